package outboxtest

import (
	"context"
	"time"

	"github.com/asynkron/protoactor-go/persistence"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// Journal is a journal with every capability that an outbox, journal.Using and an operator look for. All journals of
// this repository have them.
type Journal interface {
	query.Journal
	query.SnapshotStore
	query.Notifier
	query.TimeFinder
	query.PersistenceIDs
	query.Pinger
	journal.Store
	persistence.Provider
}

// Journal returns j as the faults let it be seen. What it does not offer is closing: that is for who has opened j.
//
// Less than all capabilities is not accepted, because a wrapper that hides one, or promises one that is not there, has
// an outbox behave as it never would.
func (f *Faults) Journal(j Journal) Journal {
	w := &faultyJournal{journal: j, faults: f}
	// Of its own Store, so that what actors do through the provider is struck too.
	w.Provider = journal.NewProvider(w)
	return w
}

type faultyJournal struct {
	persistence.Provider
	journal Journal
	faults  *Faults
}

func (w *faultyJournal) Events(ctx context.Context, after query.Offset, filter query.Filter, limits query.Limits) (page query.Page, err error) {
	err = w.faults.meet(ctx, call{op: ReadFeed}, func() (err error) {
		page, err = w.journal.Events(ctx, after, filter, limits)
		return err
	})
	return answer(page, err)
}

func (w *faultyJournal) EventsByPersistenceID(ctx context.Context, id string, from int64, limits query.Limits) (events []query.Event, more bool, err error) {
	err = w.faults.meet(ctx, about(ReadByID, id, ""), func() (err error) {
		events, more, err = w.journal.EventsByPersistenceID(ctx, id, from, limits)
		return err
	})
	if err != nil {
		return nil, false, err
	}
	return events, more, nil
}

func (w *faultyJournal) LastSequenceNumber(ctx context.Context, id string) (last int64, err error) {
	err = w.faults.meet(ctx, about(LastSequence, id, ""), func() (err error) {
		last, err = w.journal.LastSequenceNumber(ctx, id)
		return err
	})
	return answer(last, err)
}

func (w *faultyJournal) Head(ctx context.Context) (head query.Head, err error) {
	err = w.faults.meet(ctx, call{op: Head}, func() (err error) {
		head, err = w.journal.Head(ctx)
		return err
	})
	return answer(head, err)
}

func (w *faultyJournal) OffsetAt(ctx context.Context, t time.Time) (offset query.Offset, err error) {
	err = w.faults.meet(ctx, call{op: OffsetAt}, func() (err error) {
		offset, err = w.journal.OffsetAt(ctx, t)
		return err
	})
	return answer(offset, err)
}

func (w *faultyJournal) PersistenceIDs(ctx context.Context, after string, limit int) (ids []string, err error) {
	err = w.faults.meet(ctx, call{op: ListIDs}, func() (err error) {
		ids, err = w.journal.PersistenceIDs(ctx, after, limit)
		return err
	})
	return answer(ids, err)
}

func (w *faultyJournal) Ping(ctx context.Context) error {
	return w.faults.meet(ctx, call{op: Ping}, func() error { return w.journal.Ping(ctx) })
}

// Subscribe implements query.Notifier. Cancelling ends the waits of notifications, which cancelling waits for.
func (w *faultyJournal) Subscribe(fn func()) (cancel func()) {
	ctx, end := context.WithCancel(context.Background())
	unsubscribe := w.journal.Subscribe(func() {
		// An error has the notification lost, which is all that can happen to one.
		_ = w.faults.meet(ctx, call{op: Notify}, func() error { fn(); return nil })
	})
	return func() {
		end()
		unsubscribe()
	}
}

func (w *faultyJournal) Acquire(ctx context.Context, key string, held, seen int64) (saved query.Saved, err error) {
	err = w.faults.meet(ctx, call{op: Acquire}, func() (err error) {
		saved, err = w.journal.Acquire(ctx, key, held, seen)
		return err
	})
	return answer(saved, err)
}

func (w *faultyJournal) Load(ctx context.Context, key string) (saved query.Saved, err error) {
	err = w.faults.meet(ctx, call{op: Load}, func() (err error) {
		saved, err = w.journal.Load(ctx, key)
		return err
	})
	return answer(saved, err)
}

func (w *faultyJournal) Save(ctx context.Context, key string, s query.Saved) error {
	return w.faults.meet(ctx, call{op: Save}, func() error { return w.journal.Save(ctx, key, s) })
}

func (w *faultyJournal) Unregister(ctx context.Context, key string) error {
	return w.faults.meet(ctx, call{op: Unregister}, func() error { return w.journal.Unregister(ctx, key) })
}

func (w *faultyJournal) AppendEvent(ctx context.Context, e query.Event) error {
	return w.faults.meet(ctx, about(Append, e.PersistenceID, e.Type), func() error { return w.journal.AppendEvent(ctx, e) })
}

func (w *faultyJournal) Replay(ctx context.Context, id string, from, to int64, fn func(query.Event) error) error {
	return w.faults.meet(ctx, about(Replay, id, ""), func() error { return w.journal.Replay(ctx, id, from, to, fn) })
}

func (w *faultyJournal) HideEvents(ctx context.Context, id string, through int64) error {
	return w.faults.meet(ctx, about(HideEvents, id, ""), func() error { return w.journal.HideEvents(ctx, id, through) })
}

func (w *faultyJournal) LoadActorSnapshot(ctx context.Context, id string) (s journal.ActorSnapshot, ok bool, err error) {
	err = w.faults.meet(ctx, about(LoadActorSnapshot, id, ""), func() (err error) {
		s, ok, err = w.journal.LoadActorSnapshot(ctx, id)
		return err
	})
	if err != nil {
		return journal.ActorSnapshot{}, false, err
	}
	return s, ok, nil
}

func (w *faultyJournal) SaveActorSnapshot(ctx context.Context, id string, s journal.ActorSnapshot) error {
	return w.faults.meet(ctx, about(SaveActorSnapshot, id, ""), func() error { return w.journal.SaveActorSnapshot(ctx, id, s) })
}

func (w *faultyJournal) DeleteActorSnapshots(ctx context.Context, id string, through int64) error {
	return w.faults.meet(ctx, about(DeleteActorSnapshots, id, ""), func() error { return w.journal.DeleteActorSnapshots(ctx, id, through) })
}

// answer leaves nothing of an answer whose call has failed, even if it took effect.
func answer[T any](v T, err error) (T, error) {
	if err != nil {
		var none T
		return none, err
	}
	return v, nil
}
