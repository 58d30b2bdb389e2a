package journal_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

func newJournal(t *testing.T) *memory.Journal {
	j := memory.New()
	t.Cleanup(func() { assert.NoError(t, j.Close()) })
	return j
}

// faulty is a store whose operations fail as a test says. It counts attempts.
type faulty struct {
	journal.Store
	mu       sync.Mutex
	attempts map[string]int
	before   func(op string, attempt int) error // what an attempt fails with before it takes effect
	after    func(op string, attempt int) error // … and after it
	hang     bool                               // attempts last until their context ends
}

func (f *faulty) call(ctx context.Context, op string, fn func() error) error {
	f.mu.Lock()
	if f.attempts == nil {
		f.attempts = map[string]int{}
	}
	f.attempts[op]++
	attempt, before, after, hang := f.attempts[op], f.before, f.after, f.hang
	f.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	if before != nil {
		if err := before(op, attempt); err != nil {
			return err
		}
	}
	if err := fn(); err != nil {
		return err
	}
	if after != nil {
		return after(op, attempt)
	}
	return nil
}

func (f *faulty) attemptsOf(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.attempts[op]
}

func (f *faulty) fail(before func(op string, attempt int) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before, f.attempts = before, nil
}

func (f *faulty) AppendEvent(ctx context.Context, e query.Event) error {
	return f.call(ctx, "append", func() error { return f.Store.AppendEvent(ctx, e) })
}

func (f *faulty) Replay(ctx context.Context, id string, from, to int64, fn func(query.Event) error) error {
	return f.call(ctx, "replay", func() error { return f.Store.Replay(ctx, id, from, to, fn) })
}

func (f *faulty) HideEvents(ctx context.Context, id string, through int64) error {
	return f.call(ctx, "hide", func() error { return f.Store.HideEvents(ctx, id, through) })
}

func (f *faulty) LoadActorSnapshot(ctx context.Context, id string) (s journal.ActorSnapshot, ok bool, err error) {
	err = f.call(ctx, "load", func() error {
		s, ok, err = f.Store.LoadActorSnapshot(ctx, id)
		return err
	})
	return s, ok, err
}

func (f *faulty) SaveActorSnapshot(ctx context.Context, id string, s journal.ActorSnapshot) error {
	return f.call(ctx, "save", func() error { return f.Store.SaveActorSnapshot(ctx, id, s) })
}

func (f *faulty) DeleteActorSnapshots(ctx context.Context, id string, through int64) error {
	return f.call(ctx, "delete", func() error { return f.Store.DeleteActorSnapshots(ctx, id, through) })
}
