package main

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// large measures how much memory events of 1 MiB take up on their way. 10,000 of them are made as they are read; a file
// has fewer, and so has a publisher that hangs, which takes long.
func large(ctx context.Context, b *bench) error {
	many, few := b.scaled(10_000, 200), b.scaled(1000, 40)
	for _, sink := range []struct {
		name, what string
		events     int
		publisher.Publisher
		opts []outbox.Option
	}{
		{"quick", "10,000 events of 1 MiB, quick sink", many, noop{}, nil},
		{"slow", "10,000 events of 1 MiB, slow sink", many, slow(5 * time.Millisecond), nil},
		{"hanging", "1,000 events of 1 MiB, hanging sink", few, new(hanging), []outbox.Option{
			outbox.WithPublishTimeout(time.Second), outbox.WithHoldAfter(50 * time.Millisecond), // not to wait for so long
		}},
	} {
		s := shape{ids: 100, events: sink.events, size: mebibyte}
		opts := append([]outbox.Option{outbox.WithSnapshots(memory.New())}, sink.opts...)
		peak, err := peakOf(ctx, b, "made", sink.name, s, synthetic{shape: s}, sink.Publisher, opts...)
		if err != nil {
			return err
		}
		b.claim(atMost("large: "+sink.what+", peak", "MiB", 256, 256), peak)
	}
	return largeFile(ctx, b)
}

func largeFile(ctx context.Context, b *bench) (err error) {
	s := shape{ids: 100, events: b.scaled(500, 10), size: mebibyte}
	j, err := b.open(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	_, err = peakOf(ctx, b, "sqlite", "slow", s, j, slow(5*time.Millisecond))
	return err
}

func peakOf(ctx context.Context, b *bench, journal, sink string, s shape, j query.Journal, p publisher.Publisher, opts ...outbox.Option,
) (float64, error) {
	m := startMeter()
	begun := time.Now()
	err := b.world.drain(ctx, "large", j, p, opts...)
	m.end()
	b.line("large", "journal", journal, "sink", sink, "events", s.events, "bytes", s.size, "before_mib", m.before.resident,
		"peak_mib", m.peak.resident, "peak_heap_mib", m.peak.heap, "per_s", float64(s.events)/time.Since(begun).Seconds())
	return m.peak.resident, err
}

// slow is a publisher that takes its time for each batch, so that the window fills.
type slow time.Duration

func (d slow) Publish(ctx context.Context, _ []publisher.Event) error {
	timer := time.NewTimer(time.Duration(d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hanging is a publisher that does not answer every twentieth batch before its time is over.
type hanging struct{ batches atomic.Int64 }

func (h *hanging) Publish(ctx context.Context, _ []publisher.Event) error {
	if h.batches.Add(1)%20 != 0 {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

// synthetic is a journal that makes its events as they are read, in memory of their own, as a driver does.
type synthetic struct{ shape }

func (j synthetic) make(n int) query.Event {
	e := j.event(n, j.data())
	for i := 0; i < len(e.Data); i += 4096 {
		e.Data[i] = byte(n) // or the operating system would not give it any
	}
	e.Offset = query.Offset(n + 1)
	e.Slice = query.SliceOf(e.PersistenceID)
	e.Time = time.UnixMicro(int64(n)).UTC()
	return e
}

// Events implements query.Journal. The filter selects all.
func (j synthetic) Events(_ context.Context, after query.Offset, _ query.Filter, limits query.Limits) (query.Page, error) {
	page := query.Page{Next: after}
	for bytes := 0; int(page.Next) < j.events && len(page.Events) < limits.Events; page.Next++ {
		e := j.make(int(page.Next))
		if bytes += e.Size(); len(page.Events) > 0 && limits.Bytes > 0 && bytes > limits.Bytes {
			break
		}
		page.Events = append(page.Events, e)
	}
	page.More = int(page.Next) < j.events
	return page, nil
}

// EventsByPersistenceID implements query.Journal.
func (j synthetic) EventsByPersistenceID(_ context.Context, id string, from int64, limits query.Limits) (events []query.Event, more bool, err error) {
	bytes := 0
	for n := range j.events {
		named := j.event(n, nil)
		if named.PersistenceID != id || named.SequenceNumber < from {
			continue
		}
		e := j.make(n)
		if bytes += e.Size(); len(events) == limits.Events || (len(events) > 0 && limits.Bytes > 0 && bytes > limits.Bytes) {
			return events, true, nil
		}
		events = append(events, e)
	}
	return events, false, nil
}

// LastSequenceNumber implements query.Journal.
func (j synthetic) LastSequenceNumber(_ context.Context, id string) (last int64, err error) {
	for n := range j.events {
		if e := j.event(n, nil); e.PersistenceID == id {
			last = e.SequenceNumber
		}
	}
	return last, nil
}

// Head implements query.Journal.
func (j synthetic) Head(context.Context) (query.Head, error) {
	return query.Head{Identity: "synthetic", Offset: query.Offset(j.events)}, nil
}
