package main

import (
	"context"
	"errors"
	"fmt"
)

// peer is another library that publishes what was written to a PostgreSQL database, tuned for throughput.
type peer interface {
	// prepare writes the events that round is to publish.
	prepare(ctx context.Context, round, events int) error
	// drain publishes them, and returns once all are.
	drain(ctx context.Context, round, events int) error
}

// postgresPeers has others publish as many events of the same size, to publishers that count them, in the same database.
func postgresPeers(ctx context.Context, b *bench) (err error) {
	s := shape{ids: 1000, events: b.scaled(50_000, 50), size: 256}
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

	rounds := min(3, b.rounds())
	contenders := []contender{
		{s.events, func(round int) error { return b.world.drainCounted(ctx, fmt.Sprintf("peers-%d", round), j, s.events) }},
	}
	names := []string{"watermill", "watermill_forwarder", "river"}
	for i, open := range []func(context.Context, *served, shape) (peer, error){openWatermill, openForwarder, openRiver} {
		p, err := open(ctx, j, s)
		if err != nil {
			return fmt.Errorf("%s: %w", names[i], err)
		}
		for round := range rounds {
			if err := p.prepare(ctx, round, s.events); err != nil {
				return fmt.Errorf("%s: prepare: %w", names[i], err)
			}
		}
		contenders = append(contenders, contender{s.events, func(round int) error {
			if err := p.drain(ctx, round, s.events); err != nil {
				return fmt.Errorf("%s: %w", names[i], err)
			}
			return nil
		}})
	}
	if _, err := j.pool.Exec(ctx, "ANALYZE"); err != nil {
		return err
	}
	speeds, err := compare(rounds, contenders...)
	if err != nil {
		return err
	}
	ours := speeds[0]
	pairs := []any{"events", s.events, "bytes", s.size, "per_s", ours.median()}
	for i, name := range names {
		ratio := ours.over(speeds[i+1]).median()
		pairs = append(pairs, name+"_per_s", speeds[i+1].median(), name+"_ratio", ratio)
		b.claim(atLeast("postgres-peers: against "+name, "×", 1, 2), ratio)
	}
	b.line("postgres-peers", pairs...)
	return nil
}
