package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/sqlite"
)

// restart measures how long an outbox takes to be at work again, in a journal of a million ids.
func restart(ctx context.Context, b *bench) error {
	if err := restartInMemory(ctx, b, b.million()); err != nil {
		return err
	}
	path, err := b.file(ctx, b.million())
	if err != nil {
		return err
	}
	return restartOn(ctx, b, "restart", "sqlite", b.million(), func() (restartJournal, func() error, error) {
		j, err := sqlite.Open(ctx, path)
		if err != nil {
			return nil, nil, err
		}
		return j, j.Close, nil
	})
}

func restartInMemory(ctx context.Context, b *bench, s shape) error {
	j, err := s.inMemory(ctx)
	if err != nil {
		return err
	}
	return restartOn(ctx, b, "restart", "memory", s, func() (restartJournal, func() error, error) {
		return j, func() error { return nil }, nil
	})
}

// restartJournal is what a restart needs of a journal.
type restartJournal interface {
	query.Journal
	query.SnapshotStore
	appender
}

// restartOn opens the journal anew for each start. The first is at the journal's beginning, the others have one new event
// to publish after all those that are. What it measures goes by the name of the case.
func restartOn(ctx context.Context, b *bench, benchCase, name string, s shape, open func() (restartJournal, func() error, error)) error {
	var first float64
	var later, opening sample
	snapshot := 0
	for round := range b.rounds() + 1 {
		runtime.GC() // of what came before
		begun := time.Now()
		j, closed, err := open()
		if err != nil {
			return err
		}
		opening = append(opening, milliseconds(time.Since(begun)))
		id, seq := s.event(0, nil).PersistenceID, int64(1)
		if round > 0 {
			id, seq = "restart-"+name, int64(round)
			err = j.AppendEvent(ctx, restartEvent(id, round))
		}
		var ms float64
		if err == nil {
			ms, snapshot, err = b.firstPublish(ctx, j, id, seq)
		}
		if err := errors.Join(err, closed()); err != nil {
			return fmt.Errorf("start %d: %w", round, err)
		}
		if round == 0 {
			first = ms
		} else {
			later = append(later, ms)
		}
	}
	b.line(benchCase, "journal", name, "ids", s.ids, "events", s.events, "first_ms", first, "restart_p50_ms", later.median(),
		"restart_max_ms", later.quantile(1), "open_p50_ms", opening.median(), "snapshot_bytes", snapshot)
	b.claim(atMost(benchCase+": first publish, "+name, "ms", 200, 200), max(first, later.quantile(1)))
	b.claim(atMost(benchCase+": snapshot, "+name, "bytes", 4096, 4096), float64(snapshot))
	return nil
}

func restartEvent(id string, seq int) query.Event {
	e := shape{ids: 1}.event(seq-1, make([]byte, 16))
	e.PersistenceID = id
	return e
}

// firstPublish spawns an outbox and returns how long it takes for the event to be published, and how long the snapshot
// is once everything is.
func (b *bench) firstPublish(ctx context.Context, j restartJournal, id string, seq int64) (ms float64, snapshot int, err error) {
	a := newArrivals(id)
	begun := time.Now()
	o, err := b.world.spawn("restart", j, a)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, o.stop()) }()
	at, err := a.await(ctx, seq)
	if err != nil {
		return 0, 0, err
	}
	if err := o.Flush(ctx); err != nil {
		return 0, 0, err
	}
	saved, err := j.Load(ctx, "outbox/restart")
	return milliseconds(at.Sub(begun)), len(saved.Data), err
}
