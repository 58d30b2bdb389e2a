package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// postgresDrain compares with the least that somebody who reads the table can do.
func postgresDrain(ctx context.Context, b *bench) error {
	for _, s := range []shape{
		{ids: 1000, events: b.scaled(50_000, 500), size: 256},
		{ids: 1000, events: b.scaled(500_000, 1000), size: 256},
	} {
		if err := postgresDrainOf(ctx, b, s); err != nil {
			return err
		}
	}
	return nil
}

func postgresDrainOf(ctx context.Context, b *bench, s shape) (err error) {
	d, err := b.postgres(ctx)
	if err != nil {
		return err
	}
	schema, err := d.filled(ctx, b, s)
	if err != nil {
		return err
	}
	j, err := d.open(ctx, schema)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	plain := newPlainLoop(schema)
	speeds, err := compare(b.rounds(),
		contender{s.events, func(round int) error { return b.world.drainCounted(ctx, fmt.Sprintf("drain-%d", round), j, s.events) }},
		contender{s.events, func(round int) error { return plain.drain(ctx, j.pool, fmt.Sprintf("floor-%d", round), s.events) }},
	)
	if err != nil {
		return err
	}
	ours, floor := speeds[0], speeds[1]
	b.line("postgres-drain", "events", s.events, "ids", s.ids, "bytes", s.size, "per_s", ours.median(),
		"floor_per_s", floor.median(), "ratio", ours.over(floor).median())
	b.claim(atLeast(fmt.Sprintf("postgres-drain: %d events, of a plain loop", s.events), "×", 0.5, 0.8), ours.over(floor).median())
	return nil
}

// counter is a publisher that only counts.
type counter struct{ n atomic.Int64 }

func (c *counter) Publish(_ context.Context, events []publisher.Event) error {
	c.n.Add(int64(len(events)))
	return nil
}

// drainCounted drains a journal, and makes sure that all of it was published.
func (w *world) drainCounted(ctx context.Context, name string, j query.Journal, events int) error {
	var c counter
	if err := w.drain(ctx, name, j, &c); err != nil {
		return err
	}
	if n := c.n.Load(); n < int64(events) {
		return fmt.Errorf("only %d of %d events were published", n, events)
	}
	return nil
}
