package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/scheduler"

	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// idle counts what an outbox asks of its journal while nothing happens. The journal does not notify, so that the outbox
// looks every 50 ms.
func idle(ctx context.Context, b *bench) error {
	for _, ids := range []int{10, 10_000, 1_000_000} {
		s := shape{ids: b.scaled(ids, 10), size: 16}
		s.events = s.ids
		j, err := s.inMemory(ctx)
		if err != nil {
			return err
		}
		written := func() (int64, error) { return 0, nil } // all writes pass the counters
		if err := idleOn(ctx, b, "memory", s, &counting{store: j}, written); err != nil {
			return err
		}
	}
	return idleFile(ctx, b, b.million())
}

// idleFile asks the file itself, besides, whether anything was written.
func idleFile(ctx context.Context, b *bench, s shape) (err error) {
	j, err := b.open(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	db, err := connect(b.files[s], 1, "_pragma=query_only(1)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return idleOn(ctx, b, "sqlite", s, &counting{store: j}, func() (int64, error) { return dataVersion(ctx, db) })
}

// dataVersion is a number that SQLite changes for this connection when any other one has written.
func dataVersion(ctx context.Context, db *sql.DB) (v int64, err error) {
	err = db.QueryRowContext(ctx, "PRAGMA data_version").Scan(&v)
	return v, err
}

func idleOn(ctx context.Context, b *bench, journal string, s shape, j *counting, written func() (int64, error)) (err error) {
	ticks := &countingScheduler{to: scheduler.NewTimerScheduler(b.world.system.Root)}
	o, err := b.world.spawn("idle", j, noop{}, outbox.WithScheduler(ticks))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.stop()) }()
	if err := o.Flush(ctx); err != nil {
		return err
	}
	version, err := written()
	if err != nil {
		return err
	}
	ticksBefore, before := ticks.n.Load(), j.counts()
	select {
	case <-time.After(time.Duration(b.scaled(int(6*time.Second), int(200*time.Millisecond)))):
	case <-ctx.Done():
		return ctx.Err()
	}
	n, after := ticks.n.Load()-ticksBefore, j.counts()
	versionAfter, err := written()
	if err != nil {
		return err
	}
	perTick := float64(after.reads-before.reads) / float64(max(1, n))
	writes := after.writes - before.writes + versionAfter - version
	b.line("idle", "journal", journal, "ids", s.ids, "ticks", n, "queries_per_tick", perTick,
		"looks", after.looks-before.looks, "writes", writes)
	what := fmt.Sprintf("idle: %s, %d ids, ", journal, s.ids)
	b.claim(atMost(what+"queries per tick", "", 1.05, 1.05), perTick)
	b.claim(atMost(what+"writes", "", 0, 0), float64(writes))
	return nil
}

// store is a journal that keeps snapshots.
type store interface {
	query.Journal
	query.SnapshotStore
}

// counting counts the calls of a journal. It is no query.Notifier, whatever that journal is.
type counting struct {
	store
	reads, looks, writes atomic.Int64
}

// counts are those so far.
type counts struct {
	reads  int64 // of events
	looks  int64 // whether journal and ownership are as they were: every 5 s
	writes int64
}

func (c *counting) counts() counts { return counts{c.reads.Load(), c.looks.Load(), c.writes.Load()} }

// Events implements query.Journal.
func (c *counting) Events(ctx context.Context, after query.Offset, filter query.Filter, limits query.Limits) (query.Page, error) {
	c.reads.Add(1)
	return c.store.Events(ctx, after, filter, limits)
}

// EventsByPersistenceID implements query.Journal.
func (c *counting) EventsByPersistenceID(ctx context.Context, id string, from int64, limits query.Limits) ([]query.Event, bool, error) {
	if limits.Events == 1 { // whether the event at the watermark is still the same
		c.looks.Add(1)
	} else {
		c.reads.Add(1)
	}
	return c.store.EventsByPersistenceID(ctx, id, from, limits)
}

// Head implements query.Journal.
func (c *counting) Head(ctx context.Context) (query.Head, error) {
	c.looks.Add(1)
	return c.store.Head(ctx)
}

// Load implements query.SnapshotStore.
func (c *counting) Load(ctx context.Context, key string) (query.Saved, error) {
	c.looks.Add(1)
	return c.store.Load(ctx, key)
}

// Acquire implements query.SnapshotStore.
func (c *counting) Acquire(ctx context.Context, key string, held, seen int64) (query.Saved, error) {
	c.writes.Add(1)
	return c.store.Acquire(ctx, key, held, seen)
}

// Save implements query.SnapshotStore.
func (c *counting) Save(ctx context.Context, key string, s query.Saved) error {
	c.writes.Add(1)
	return c.store.Save(ctx, key, s)
}

// countingScheduler counts the ticks of an outbox, which are the messages that it wants soon, and does not take back.
type countingScheduler struct {
	to *scheduler.TimerScheduler
	n  atomic.Int64
}

// SendOnce implements outbox.Scheduler.
func (s *countingScheduler) SendOnce(delay time.Duration, pid *actor.PID, message any) scheduler.CancelFunc {
	cancel := s.to.SendOnce(delay, pid, message)
	if delay > time.Second {
		return cancel
	}
	s.n.Add(1)
	due := time.Now().Add(delay)
	var once sync.Once
	return func() {
		cancel()
		once.Do(func() {
			if time.Now().Before(due) {
				s.n.Add(-1)
			}
		})
	}
}
