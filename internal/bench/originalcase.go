package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
)

// original compares with the original algorithm in journals of 1,000 ids.
func original(ctx context.Context, b *bench) (err error) {
	s := shape{ids: b.scaled(1000, 10), events: b.scaled(50_000, 50), size: 256}
	inMemory, err := s.inMemory(ctx)
	if err != nil {
		return err
	}
	if err := originalDrain(ctx, b, "memory", inMemory, s); err != nil {
		return err
	}
	j, err := b.open(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	if err := originalDrain(ctx, b, "sqlite", j, s); err != nil {
		return err
	}
	return originalLatency(ctx, b, j, s)
}

// originalDrain publishes a backlog. A query of the original brings all new events of its id, which is what it does best,
// or the next one, as most queries do when nothing has piled up.
func originalDrain(ctx context.Context, b *bench, name string, j originalJournal, s shape) error {
	plain := func(key string, limit int) contender {
		return contender{s.events, func(round int) error {
			o, err := startOriginal(ctx, b.world, fmt.Sprintf("original-%s-%d", key, round), j, noop{}, limit)
			if err != nil {
				return err
			}
			return errors.Join(o.run(ctx, s.events), o.stop())
		}}
	}
	speeds, err := compare(min(3, b.rounds()),
		contender{s.events, func(round int) error { return b.world.drain(ctx, fmt.Sprintf("original-%d", round), j, noop{}) }},
		plain("one", 1), plain("all", allOfThem),
	)
	if err != nil {
		return err
	}
	ours, one, all := speeds[0], speeds[1], speeds[2]
	b.line("original", "measure", "drain", "journal", name, "events", s.events, "ids", s.ids, "per_s", ours.median(),
		"original_per_s", one.median(), "ratio", ours.over(one).median(),
		"original_all_per_s", all.median(), "ratio_all", ours.over(all).median())
	if name == "memory" { // no reader of a file is five times as fast as this one: see docs/benchmarks.md
		b.claim(atLeast("original: drain, a query brings all events of its id, "+name, "×", 5, 20), ours.over(all).median())
	}
	b.claim(atLeast("original: drain, a query brings one event, "+name, "×", 5, 20), ours.over(one).median())
	return nil
}

func originalLatency(ctx context.Context, b *bench, j interface {
	originalJournal
	appender
}, s shape,
) error {
	events := b.scaled(200, 3)
	ours, err := persistToPublish(ctx, b, j, "latency-ours", events, func(_ context.Context, p publisher.Publisher) (func() error, error) {
		o, err := b.world.spawn("original-latency", j, p)
		if err != nil {
			return nil, err
		}
		return o.stop, o.Flush(ctx)
	})
	if err != nil {
		return err
	}
	theirs, err := persistToPublish(ctx, b, j, "latency-theirs", events, func(ctx context.Context, p publisher.Publisher) (func() error, error) {
		o, err := startOriginal(ctx, b.world, "original-latency", j, p, allOfThem)
		if err != nil {
			return nil, err
		}
		if _, err := o.look(ctx); err != nil { // what is there already
			return nil, err
		}
		end := background(ctx, func(ctx context.Context) error { return o.run(ctx, allOfThem) })
		return func() error { return errors.Join(end(), o.stop()) }, nil
	})
	if err != nil {
		return err
	}
	ratio := theirs.above() / max(ours.above(), 0.001) // below a microsecond it says nothing
	b.line("original", "measure", "latency", "ids", s.ids, "events", events, "above_p50_ms", ours.above(),
		"original_above_p50_ms", theirs.above(), "ratio", ratio, "p50_ms", ours.total.median(), "original_p50_ms", theirs.total.median())
	b.claim(atLeast("original: latency above the append, p50", "×", 20, 20), ratio)
	return nil
}
