package outbox_test

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// spy is a journal that counts calls by method, and in which a test may meet them: a hook may wait, and the error that
// it returns is the answer.
type spy struct {
	*memory.Journal
	mu     sync.Mutex
	calls  map[string]int
	hooks  map[string]func(context.Context) error
	saving func(context.Context, query.Saved) error
	head   func(*query.Head)
	event  func(*query.Event) // of those that are read by id
	page   func(*query.Page)
	saves  []query.Saved // that were tried
}

func newSpy() *spy {
	return &spy{Journal: memory.New(), calls: make(map[string]int), hooks: make(map[string]func(context.Context) error)}
}

// set changes the spy while it is in use.
func (s *spy) set(change func(*spy)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// fail has all calls of the methods fail, or succeed again if err is nil.
func (s *spy) fail(err error, methods ...string) {
	s.set(func(s *spy) {
		for _, m := range methods {
			s.hooks[m] = func(context.Context) error { return err }
		}
	})
}

func (s *spy) count(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[method]
}

// all returns the calls so far, by method.
func (s *spy) all() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.calls)
}

// indexes of the saves that were tried, in their order.
func (s *spy) indexes() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []int64
	for _, saved := range s.saves {
		all = append(all, saved.Index)
	}
	return all
}

func (s *spy) called(ctx context.Context, method string) error {
	s.mu.Lock()
	s.calls[method]++
	hook := s.hooks[method]
	s.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(ctx)
}

func (s *spy) Events(ctx context.Context, after query.Offset, filter query.Filter, limits query.Limits) (query.Page, error) {
	if err := s.called(ctx, "Events"); err != nil {
		return query.Page{}, err
	}
	page, err := s.Journal.Events(ctx, after, filter, limits)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.page != nil {
		s.page(&page)
	}
	return page, err
}

func (s *spy) EventsByPersistenceID(ctx context.Context, id string, from int64, limits query.Limits) ([]query.Event, bool, error) {
	if err := s.called(ctx, "EventsByPersistenceID"); err != nil {
		return nil, false, err
	}
	events, more, err := s.Journal.EventsByPersistenceID(ctx, id, from, limits)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range events {
		if s.event != nil {
			s.event(&events[i])
		}
	}
	return events, more, err
}

func (s *spy) LastSequenceNumber(ctx context.Context, id string) (int64, error) {
	if err := s.called(ctx, "LastSequenceNumber"); err != nil {
		return 0, err
	}
	return s.Journal.LastSequenceNumber(ctx, id)
}

func (s *spy) Head(ctx context.Context) (query.Head, error) {
	if err := s.called(ctx, "Head"); err != nil {
		return query.Head{}, err
	}
	head, err := s.Journal.Head(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.head != nil {
		s.head(&head)
	}
	return head, err
}

// takeOver makes another the owner of the outbox's name.
func takeOver(t *testing.T, store query.SnapshotStore) query.Saved {
	t.Helper()
	seen, err := store.Load(within(t), "outbox/test")
	require.NoError(t, err)
	saved, err := store.Acquire(within(t), "outbox/test", 0, seen.Epoch)
	require.NoError(t, err)
	return saved
}

func (s *spy) Acquire(ctx context.Context, key string, held, seen int64) (query.Saved, error) {
	if err := s.called(ctx, "Acquire"); err != nil {
		return query.Saved{}, err
	}
	return s.Journal.Acquire(ctx, key, held, seen)
}

func (s *spy) Load(ctx context.Context, key string) (query.Saved, error) {
	if err := s.called(ctx, "Load"); err != nil {
		return query.Saved{}, err
	}
	return s.Journal.Load(ctx, key)
}

func (s *spy) Save(ctx context.Context, key string, saved query.Saved) error {
	s.mu.Lock()
	s.saves = append(s.saves, saved)
	saving := s.saving
	s.mu.Unlock()
	if err := s.called(ctx, "Save"); err != nil {
		return err
	}
	if saving != nil {
		if err := saving(ctx, saved); err != nil {
			return err
		}
	}
	return s.Journal.Save(ctx, key, saved)
}

// Subscribe counts cancelling as a call, Unsubscribe.
func (s *spy) Subscribe(fn func()) func() {
	_ = s.called(context.Background(), "Subscribe")
	cancel := s.Journal.Subscribe(fn)
	return func() {
		defer cancel()
		_ = s.called(context.Background(), "Unsubscribe")
	}
}

// log counts the messages that an outbox has received, by type; the key of an outbox's own is "outbox.located".
type log struct {
	mu   sync.Mutex
	seen map[string]int
}

func (l *log) count(message string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen[message]
}

// option has the outbox log a message when it has handled it.
func (l *log) option() outbox.Option {
	return outbox.WithPropsOptions(actor.WithReceiverMiddleware(func(next actor.ReceiverFunc) actor.ReceiverFunc {
		return func(c actor.ReceiverContext, env *actor.MessageEnvelope) {
			next(c, env)
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.seen == nil {
				l.seen = make(map[string]int)
			}
			l.seen[fmt.Sprintf("%T", env.Message)]++
		}
	}))
}

// next takes what must come soon.
func next[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		require.FailNow(t, "it did not come in time", what)
		panic("unreachable")
	}
}

// async calls fn in a goroutine and returns where its result will be.
func async(fn func() error) <-chan error {
	result := make(chan error, 1)
	go func() { result <- fn() }()
	return result
}

// eventsOf collects what the system's event stream says from now on and wanted accepts.
func eventsOf(t *testing.T, system *actor.ActorSystem, wanted func(any) bool) func() []any {
	t.Helper()
	var mu sync.Mutex
	var all []any
	subscription := system.EventStream.Subscribe(func(event any) {
		if wanted(event) {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, event)
		}
	})
	t.Cleanup(func() { system.EventStream.Unsubscribe(subscription) })
	return func() []any {
		mu.Lock()
		defer mu.Unlock()
		return append([]any(nil), all...)
	}
}
