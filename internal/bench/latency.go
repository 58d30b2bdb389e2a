package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/sqlite"
)

// latencyInterval is the time between two events.
const latencyInterval = 20 * time.Millisecond

// latency measures how soon an event is with the publisher, beyond the time that it takes to append it.
func latency(ctx context.Context, b *bench) (err error) {
	if err := latencyOf(ctx, b, "memory", memory.New()); err != nil {
		return err
	}
	path := filepath.Join(b.dir, "latency.db")
	j, err := sqlite.Open(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	return latencyOf(ctx, b, "sqlite", j)
}

func latencyOf(ctx context.Context, b *bench, name string, j interface {
	query.Journal
	appender
},
) error {
	events := b.scaled(300, 3)
	l, err := persistToPublish(ctx, b, j, "entity", events, func(ctx context.Context, p publisher.Publisher) (func() error, error) {
		o, err := b.world.spawn("latency", j, p)
		if err != nil {
			return nil, err
		}
		return o.stop, o.Flush(ctx)
	})
	if err != nil {
		return err
	}
	b.line("latency", "journal", name, "events", events, "p50_ms", l.total.median(), "p99_ms", l.total.quantile(0.99),
		"append_p50_ms", l.append.median(), "above_p50_ms", l.above())
	b.claim(atMost("latency: p50 above the append, "+name, "ms", 1, 0.3), l.above())
	return nil
}

// appender is the write side of a journal.
type appender interface {
	AppendEvent(ctx context.Context, e query.Event) error
}

// latencies are in milliseconds, from the beginning of the append.
type latencies struct{ append, total sample }

// above is what publishing adds to the append, which is the disk's affair.
func (l latencies) above() float64 { return l.total.median() - l.append.median() }

// persistToPublish appends events of one id at a steady, low rate, while what it has started publishes them.
func persistToPublish(ctx context.Context, b *bench, j appender, id string, events int,
	start func(context.Context, publisher.Publisher) (stop func() error, err error),
) (l latencies, err error) {
	arrivals := newArrivals(id)
	stop, err := start(ctx, arrivals)
	if err != nil {
		return latencies{}, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	ticker := time.NewTicker(latencyInterval)
	defer ticker.Stop()
	begun := make([]time.Time, events)
	for i := range events {
		<-ticker.C
		e := shape{ids: 1, size: 256}.event(i, make([]byte, 256))
		e.PersistenceID = id
		begun[i] = time.Now()
		if err := j.AppendEvent(ctx, e); err != nil {
			return latencies{}, err
		}
		l.append = append(l.append, milliseconds(time.Since(begun[i])))
	}
	for i, at := range begun {
		arrived, err := arrivals.await(ctx, int64(i)+1)
		if err != nil {
			return latencies{}, err
		}
		l.total = append(l.total, milliseconds(arrived.Sub(at)))
	}
	return l, nil
}

// arrivals is a publisher that notes when the events of one id came.
type arrivals struct {
	id string

	mu    sync.Mutex
	at    map[int64]time.Time // by sequence number
	fresh chan struct{}       // closed at the next arrival
}

func newArrivals(id string) *arrivals {
	return &arrivals{id: id, at: map[int64]time.Time{}, fresh: make(chan struct{})}
}

func (a *arrivals) Publish(_ context.Context, events []publisher.Event) error {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range events {
		if events[i].PersistenceID == a.id {
			a.at[events[i].SequenceNumber] = now
		}
	}
	close(a.fresh)
	a.fresh = make(chan struct{})
	return nil
}

// await returns when the event came.
func (a *arrivals) await(ctx context.Context, sequenceNumber int64) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		a.mu.Lock()
		at, ok := a.at[sequenceNumber]
		fresh := a.fresh
		a.mu.Unlock()
		if ok {
			return at, nil
		}
		select {
		case <-fresh:
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("event %d of %q does not come: %w", sequenceNumber, a.id, ctx.Err())
		}
	}
}

// background runs fn until it is stopped, which tells what went wrong before.
func background(ctx context.Context, fn func(context.Context) error) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- fn(ctx) }()
	return func() error {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			return err
		}
		return nil
	}
}
