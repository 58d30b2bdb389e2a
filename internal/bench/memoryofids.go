package main

import (
	"context"
	"errors"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// million is a journal of a million ids, of which each has two events.
func (b *bench) million() shape {
	ids := b.scaled(1_000_000, 100)
	return shape{ids: ids, events: 2 * ids, size: 16}
}

// memoryOfIDs compares what an outbox takes up that has published the events of many ids with one of few.
func memoryOfIDs(ctx context.Context, b *bench) error {
	return b.memoryOn(ctx, "memory", func(ctx context.Context, s shape) (query.Journal, func() error, error) {
		j, err := b.open(ctx, s)
		if err != nil {
			return nil, nil, err
		}
		return j, j.Close, nil
	})
}

// memoryOn measures journals of the shapes that it opens. What it measures goes by the name of the case.
func (b *bench) memoryOn(ctx context.Context, benchCase string, open opener) error {
	few := shape{ids: min(1000, b.million().ids/10), events: b.scaled(200_000, 100), size: 16}
	small, err := memoryAfter(ctx, b, benchCase, few, open)
	if err != nil {
		return err
	}
	large, err := memoryAfter(ctx, b, benchCase, b.million(), open)
	if err != nil {
		return err
	}
	b.claim(atMost(benchCase+": growth with 1,000,000 ids above that with 1,000", "MiB", 50, 50), large.growth()-small.growth())
	b.claim(atMost(benchCase+": heap after 1,000,000 ids above that after 1,000", "MiB", 50, 50), large.after.heap-small.after.heap)
	return nil
}

// opener opens a journal of a shape.
type opener func(context.Context, shape) (j query.Journal, closed func() error, err error)

type taken struct{ before, peak, after footprint }

// growth is the memory that was taken up at most, beyond what was when the outbox was spawned.
func (t taken) growth() float64 { return t.peak.resident - t.before.resident }

func memoryAfter(ctx context.Context, b *bench, benchCase string, s shape, open opener) (t taken, err error) {
	j, closed, err := open(ctx, s)
	if err != nil {
		return taken{}, err
	}
	defer func() { err = errors.Join(err, closed()) }()
	m := startMeter()
	o, err := b.world.spawn("memory", j, noop{})
	if err != nil {
		m.end()
		return taken{}, err
	}
	err = o.Flush(ctx)
	m.end()
	t = taken{m.before, m.peak, settled()} // while the outbox is running
	b.line(benchCase, "ids", s.ids, "events", s.events, "before_mib", m.before.resident, "peak_mib", t.peak.resident,
		"peak_heap_mib", t.peak.heap, "after_mib", t.after.resident, "after_heap_mib", t.after.heap)
	return t, errors.Join(err, o.stop())
}
