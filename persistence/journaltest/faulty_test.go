package journaltest_test

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/persistence"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// faulty is a handle to a journal in memory, of which any method can be replaced. With nothing replaced it is a good one.
type faulty struct {
	memory *memory.Journal // shared by all handles
	closed atomic.Bool

	append      func(context.Context, query.Event) error
	record      func(context.Context, ...journal.Record) ([]query.Pointer, error)
	events      func(context.Context, query.Offset, query.Filter, query.Limits) (query.Page, error)
	byID        func(context.Context, string, int64, query.Limits) ([]query.Event, bool, error)
	last        func(context.Context, string) (int64, error)
	head        func(context.Context) (query.Head, error)
	replay      func(context.Context, string, int64, int64, func(query.Event) error) error
	hide        func(context.Context, string, int64) error
	loadActor   func(context.Context, string) (journal.ActorSnapshot, bool, error)
	saveActor   func(context.Context, string, journal.ActorSnapshot) error
	deleteActor func(context.Context, string, int64) error
	acquire     func(ctx context.Context, key string, held, seen int64) (query.Saved, error)
	load        func(context.Context, string) (query.Saved, error)
	save        func(context.Context, string, query.Saved) error
	unregister  func(context.Context, string) error
	trim        func(context.Context, journal.Retention) (journal.Trimmed, error)
	subscribe   func(func()) func()
	ids         func(context.Context, string, int) ([]string, error)
	offsetAt    func(context.Context, time.Time) (query.Offset, error)
	ping        func(context.Context) error
	close       func() error
	provider    func() persistence.ProviderState
}

func newFaulty(m *memory.Journal) *faulty {
	f := &faulty{
		memory: m,
		append: m.AppendEvent, record: m.Append,
		events: m.Events, byID: m.EventsByPersistenceID, last: m.LastSequenceNumber, head: m.Head,
		replay: m.Replay, hide: m.HideEvents,
		loadActor: m.LoadActorSnapshot, saveActor: m.SaveActorSnapshot, deleteActor: m.DeleteActorSnapshots,
		acquire: m.Acquire, load: m.Load, save: m.Save, unregister: m.Unregister, trim: m.Trim,
		subscribe: m.Subscribe, ids: m.PersistenceIDs, offsetAt: m.OffsetAt, ping: m.Ping,
	}
	f.close = func() error { f.closed.Store(true); return nil }
	f.provider = journal.NewProvider(f).GetState
	return f
}

func (f *faulty) open() error {
	if f.closed.Load() {
		return query.ErrClosed
	}
	return nil
}

func (f *faulty) AppendEvent(ctx context.Context, e query.Event) error {
	if err := f.open(); err != nil {
		return err
	}
	return f.append(ctx, e)
}

func (f *faulty) Append(ctx context.Context, records ...journal.Record) ([]query.Pointer, error) {
	if err := f.open(); err != nil {
		return nil, err
	}
	return f.record(ctx, records...)
}

func (f *faulty) Events(ctx context.Context, after query.Offset, filter query.Filter, limits query.Limits) (query.Page, error) {
	if err := f.open(); err != nil {
		return query.Page{}, err
	}
	return f.events(ctx, after, filter, limits)
}

func (f *faulty) EventsByPersistenceID(ctx context.Context, id string, from int64, limits query.Limits) ([]query.Event, bool, error) {
	if err := f.open(); err != nil {
		return nil, false, err
	}
	return f.byID(ctx, id, from, limits)
}

func (f *faulty) LastSequenceNumber(ctx context.Context, id string) (int64, error) {
	if err := f.open(); err != nil {
		return 0, err
	}
	return f.last(ctx, id)
}

func (f *faulty) Head(ctx context.Context) (query.Head, error) {
	if err := f.open(); err != nil {
		return query.Head{}, err
	}
	return f.head(ctx)
}

func (f *faulty) Replay(ctx context.Context, id string, from, to int64, fn func(query.Event) error) error {
	if err := f.open(); err != nil {
		return err
	}
	return f.replay(ctx, id, from, to, fn)
}

func (f *faulty) HideEvents(ctx context.Context, id string, through int64) error {
	if err := f.open(); err != nil {
		return err
	}
	return f.hide(ctx, id, through)
}

func (f *faulty) LoadActorSnapshot(ctx context.Context, id string) (journal.ActorSnapshot, bool, error) {
	if err := f.open(); err != nil {
		return journal.ActorSnapshot{}, false, err
	}
	return f.loadActor(ctx, id)
}

func (f *faulty) SaveActorSnapshot(ctx context.Context, id string, s journal.ActorSnapshot) error {
	if err := f.open(); err != nil {
		return err
	}
	return f.saveActor(ctx, id, s)
}

func (f *faulty) DeleteActorSnapshots(ctx context.Context, id string, through int64) error {
	if err := f.open(); err != nil {
		return err
	}
	return f.deleteActor(ctx, id, through)
}

func (f *faulty) Acquire(ctx context.Context, key string, held, seen int64) (query.Saved, error) {
	if err := f.open(); err != nil {
		return query.Saved{}, err
	}
	return f.acquire(ctx, key, held, seen)
}

func (f *faulty) Load(ctx context.Context, key string) (query.Saved, error) {
	if err := f.open(); err != nil {
		return query.Saved{}, err
	}
	return f.load(ctx, key)
}

func (f *faulty) Save(ctx context.Context, key string, s query.Saved) error {
	if err := f.open(); err != nil {
		return err
	}
	return f.save(ctx, key, s)
}

func (f *faulty) Unregister(ctx context.Context, key string) error {
	if err := f.open(); err != nil {
		return err
	}
	return f.unregister(ctx, key)
}

func (f *faulty) Trim(ctx context.Context, r journal.Retention) (journal.Trimmed, error) {
	if err := f.open(); err != nil {
		return journal.Trimmed{}, err
	}
	return f.trim(ctx, r)
}

func (f *faulty) PersistenceIDs(ctx context.Context, after string, limit int) ([]string, error) {
	if err := f.open(); err != nil {
		return nil, err
	}
	return f.ids(ctx, after, limit)
}

func (f *faulty) OffsetAt(ctx context.Context, t time.Time) (query.Offset, error) {
	if err := f.open(); err != nil {
		return 0, err
	}
	return f.offsetAt(ctx, t)
}

func (f *faulty) Ping(ctx context.Context) error {
	if err := f.open(); err != nil {
		return err
	}
	return f.ping(ctx)
}

func (f *faulty) Subscribe(fn func()) (cancel func()) { return f.subscribe(fn) }

func (f *faulty) Close() error { return f.close() }

func (f *faulty) GetState() persistence.ProviderState { return f.provider() }

// onReads has every way of reading events change what it reads.
func (f *faulty) onReads(change func(*query.Event)) {
	events, byID, replay := f.events, f.byID, f.replay
	changed := func(all []query.Event) []query.Event {
		for i := range all {
			change(&all[i])
		}
		return all
	}
	f.events = func(ctx context.Context, after query.Offset, filter query.Filter, limits query.Limits) (query.Page, error) {
		page, err := events(ctx, after, filter, limits)
		page.Events = changed(page.Events)
		return page, err
	}
	f.byID = func(ctx context.Context, id string, from int64, limits query.Limits) ([]query.Event, bool, error) {
		all, more, err := byID(ctx, id, from, limits)
		return changed(all), more, err
	}
	f.replay = func(ctx context.Context, id string, from, to int64, fn func(query.Event) error) error {
		return replay(ctx, id, from, to, func(e query.Event) error {
			change(&e)
			return fn(e)
		})
	}
}

// onIDs has every method that takes a persistence id, or a key, take another one in its place.
func (f *faulty) onIDs(change func(string) string) {
	m := f.memory
	f.append = func(ctx context.Context, e query.Event) error {
		e.PersistenceID = change(e.PersistenceID)
		return m.AppendEvent(ctx, e)
	}
	f.byID = func(ctx context.Context, id string, from int64, limits query.Limits) ([]query.Event, bool, error) {
		return m.EventsByPersistenceID(ctx, change(id), from, limits)
	}
	f.last = func(ctx context.Context, id string) (int64, error) { return m.LastSequenceNumber(ctx, change(id)) }
	f.replay = func(ctx context.Context, id string, from, to int64, fn func(query.Event) error) error {
		return m.Replay(ctx, change(id), from, to, fn)
	}
	f.hide = func(ctx context.Context, id string, through int64) error {
		return m.HideEvents(ctx, change(id), through)
	}
	f.loadActor = func(ctx context.Context, id string) (journal.ActorSnapshot, bool, error) {
		return m.LoadActorSnapshot(ctx, change(id))
	}
	f.saveActor = func(ctx context.Context, id string, s journal.ActorSnapshot) error {
		return m.SaveActorSnapshot(ctx, change(id), s)
	}
	f.deleteActor = func(ctx context.Context, id string, through int64) error {
		return m.DeleteActorSnapshots(ctx, change(id), through)
	}
	f.acquire = func(ctx context.Context, key string, held, seen int64) (query.Saved, error) {
		return m.Acquire(ctx, change(key), held, seen)
	}
	f.load = func(ctx context.Context, key string) (query.Saved, error) { return m.Load(ctx, change(key)) }
	f.save = func(ctx context.Context, key string, s query.Saved) error { return m.Save(ctx, change(key), s) }
	f.unregister = func(ctx context.Context, key string) error { return m.Unregister(ctx, change(key)) }
}
