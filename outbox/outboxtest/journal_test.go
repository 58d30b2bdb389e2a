package outboxtest_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/outbox/outboxtest"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journaltest"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// Without faults, and with faults that do not strike, it is the journal that it wraps.
func TestConformance(t *testing.T) {
	journaltest.Run(t, journaltest.Harness{
		New: func(t *testing.T) journaltest.Journal {
			faults, m := outboxtest.NewFaults(1), newMemory(t)
			j := faults.Journal(m)
			for op := range operations(t, m, j) {
				faults.Inject(op, outboxtest.Fault{Err: errDisk, After: 1_000_000})
			}
			return j
		},
		Capabilities: journaltest.Capabilities{
			SnapshotStore: true, Notifier: true, PersistenceIDs: true, Pinger: true, TimeFinder: true,
		},
	})
}

// operations is a call, through j, of each operation that has a context. What it needs before is done in m.
func operations(t *testing.T, m *memory.Journal, j outboxtest.Journal) map[outboxtest.Operation]func(context.Context) error {
	t.Helper()
	limits := query.Limits{Events: 10}
	return map[outboxtest.Operation]func(context.Context) error{
		outboxtest.ReadFeed: func(ctx context.Context) error {
			page, err := j.Events(ctx, 0, query.Filter{}, limits)
			require.True(t, err == nil || page.Events == nil, "a call that has failed answers nothing else")
			return err
		},
		outboxtest.ReadByID: func(ctx context.Context) error {
			events, more, err := j.EventsByPersistenceID(ctx, "a", 1, query.Limits{Events: 1})
			require.True(t, err == nil || events == nil && !more)
			return err
		},
		outboxtest.LastSequence: func(ctx context.Context) error {
			last, err := j.LastSequenceNumber(ctx, "a")
			require.True(t, err == nil || last == 0)
			return err
		},
		outboxtest.Head: func(ctx context.Context) error {
			head, err := j.Head(ctx)
			require.True(t, err == nil || head == query.Head{})
			return err
		},
		outboxtest.OffsetAt: func(ctx context.Context) error {
			offset, err := j.OffsetAt(ctx, time.Now().Add(time.Hour))
			require.True(t, err == nil || offset == 0)
			return err
		},
		outboxtest.ListIDs: func(ctx context.Context) error {
			ids, err := j.PersistenceIDs(ctx, "", 10)
			require.True(t, err == nil || ids == nil)
			return err
		},
		outboxtest.Ping: j.Ping,
		outboxtest.Acquire: func(ctx context.Context) error {
			saved, err := m.Load(ctx, "outbox/x")
			require.NoError(t, err)
			saved, err = j.Acquire(ctx, "outbox/x", 0, saved.Epoch)
			require.True(t, err == nil || saved.Epoch == 0)
			return err
		},
		outboxtest.Load: func(ctx context.Context) error {
			saved, err := j.Load(ctx, "outbox/x")
			require.True(t, err == nil || saved.Epoch == 0)
			return err
		},
		outboxtest.Save: func(ctx context.Context) error {
			saved, err := m.Load(ctx, "outbox/y")
			require.NoError(t, err)
			saved, err = m.Acquire(ctx, "outbox/y", 0, saved.Epoch)
			require.NoError(t, err)
			return j.Save(ctx, "outbox/y", query.Saved{Epoch: saved.Epoch, Index: saved.Index + 1})
		},
		outboxtest.Unregister: func(ctx context.Context) error { return j.Unregister(ctx, "outbox/z") },
		outboxtest.Append:     func(ctx context.Context) error { return j.AppendEvent(ctx, event("a", 1)) },
		outboxtest.Replay: func(ctx context.Context) error {
			return j.Replay(ctx, "a", 1, 0, func(query.Event) error { return nil })
		},
		outboxtest.HideEvents: func(ctx context.Context) error { return j.HideEvents(ctx, "a", 1) },
		outboxtest.LoadActorSnapshot: func(ctx context.Context) error {
			s, ok, err := j.LoadActorSnapshot(ctx, "a")
			require.True(t, err == nil || !ok && s.Index == 0)
			return err
		},
		outboxtest.SaveActorSnapshot: func(ctx context.Context) error {
			return j.SaveActorSnapshot(ctx, "a", journal.ActorSnapshot{Index: 1, Type: "T"})
		},
		outboxtest.DeleteActorSnapshots: func(ctx context.Context) error { return j.DeleteActorSnapshots(ctx, "a", 0) },
	}
}

func TestEachOperationIsStruckByItsName(t *testing.T) {
	for _, unheard := range []bool{false, true} {
		m := newMemory(t)
		require.NoError(t, m.AppendEvent(t.Context(), event("a", 1)))
		require.NoError(t, m.SaveActorSnapshot(t.Context(), "a", journal.ActorSnapshot{Index: 1, Type: "T"}))
		faults := outboxtest.NewFaults(1)
		all := operations(t, m, faults.Journal(m))
		for struck := range all {
			heal := faults.Inject(struck, outboxtest.Fault{Err: errDisk, Times: 1, Unheard: unheard})
			for op, call := range all {
				if op != struck {
					require.NoError(t, call(t.Context()), "%s, while %s fails", op, struck)
				} else {
					require.ErrorIs(t, call(t.Context()), errDisk, op)
				}
			}
			require.Equal(t, 1, faults.Struck(struck))
			heal()
		}
	}
}

func TestOnlyWhatIsUnheardHasTakenEffect(t *testing.T) {
	for _, unheard := range []bool{false, true} {
		m := newMemory(t)
		faults := outboxtest.NewFaults(1)
		j := faults.Journal(m)
		faults.Inject(outboxtest.Append, outboxtest.Fault{Err: errDisk, Unheard: unheard})
		require.ErrorIs(t, j.AppendEvent(t.Context(), event("a", 1)), errDisk)
		last, err := m.LastSequenceNumber(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, unheard, last == 1)

		require.Error(t, j.AppendEvent(t.Context(), event("a", 7)))
		if unheard {
			require.ErrorIs(t, j.AppendEvent(t.Context(), event("a", 7)), journal.ErrSequenceConflict, "a failure of its own is told")
		}
	}
}

func TestAFaultOfOneIDLeavesTheOthersAlone(t *testing.T) {
	faults := outboxtest.NewFaults(1)
	j := faults.Journal(newMemory(t))
	faults.Inject(outboxtest.Append, outboxtest.Fault{Err: errDisk, PersistenceID: "a", Type: "test.v1.Happened"})
	require.NoError(t, j.AppendEvent(t.Context(), event("b", 1)))
	require.ErrorIs(t, j.AppendEvent(t.Context(), event("a", 1)), errDisk)
	other := event("a", 1)
	other.Type = "test.v1.Other"
	require.NoError(t, j.AppendEvent(t.Context(), other))
}

func TestAPanicIsOneOfTheCall(t *testing.T) {
	faults := outboxtest.NewFaults(1)
	m := newMemory(t)
	j := faults.Journal(m)
	faults.Inject(outboxtest.Append, outboxtest.Fault{Panic: "boom", Unheard: true, Times: 1})
	require.PanicsWithValue(t, "boom", func() { _ = j.AppendEvent(t.Context(), event("a", 1)) })
	last, err := m.LastSequenceNumber(t.Context(), "a")
	require.NoError(t, err)
	require.EqualValues(t, 1, last)
}

func TestNotifications(t *testing.T) {
	faults := outboxtest.NewFaults(1)
	j := faults.Journal(newMemory(t))
	called := make(chan struct{}, 10)
	cancel := j.Subscribe(func() { called <- struct{}{} })
	appends := func(seq int64) { require.NoError(t, j.AppendEvent(t.Context(), event("a", seq))) }
	appends(1)
	next(t, "a notification", called)

	faults.Inject(outboxtest.Notify, outboxtest.Fault{Err: errDisk, Times: 1})
	appends(2)
	await(t, "one is lost", func() bool { return faults.Struck(outboxtest.Notify) == 1 })
	require.Empty(t, called)
	appends(3)
	next(t, "a notification", called)

	faults.Inject(outboxtest.Notify, outboxtest.Fault{Hang: true, Times: 1})
	appends(4)
	await(t, "one hangs", func() bool { return faults.Struck(outboxtest.Notify) == 2 })
	require.Empty(t, called)
	faults.Clear()
	next(t, "a notification", called)

	faults.Inject(outboxtest.Notify, outboxtest.Fault{Hang: true})
	appends(5)
	await(t, "another one hangs", func() bool { return faults.Struck(outboxtest.Notify) == 3 })
	cancel() // waits for it, and would wait for ever
	require.Empty(t, called)
}
