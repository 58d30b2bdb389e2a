package shards

import (
	"context"
	"errors"
	"sync"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

var errInjected = errors.New("injected")

// faulty is a journal whose snapshot store fails where it is told to, before a call has its effect or after it.
type faulty struct {
	*memory.Journal
	mu   sync.Mutex
	call func(op, key string) (before, after error)
	head func() // after the next Head
}

func (f *faulty) onCall(fn func(op, key string) (before, after error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.call = fn
}

func (f *faulty) around(op, key string, do func() error) error {
	f.mu.Lock()
	call := f.call
	var before, after error
	if call != nil {
		before, after = call(op, key)
	}
	f.mu.Unlock()
	if before != nil {
		return before
	}
	if err := do(); err != nil {
		return err
	}
	return after
}

func (f *faulty) afterHead(fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.head = fn
}

func (f *faulty) Head(ctx context.Context) (query.Head, error) {
	head, err := f.Journal.Head(ctx)
	f.mu.Lock()
	fn := f.head
	f.head = nil
	f.mu.Unlock()
	if fn != nil {
		fn()
	}
	return head, err
}

func (f *faulty) Acquire(ctx context.Context, key string, held, seen int64) (saved query.Saved, err error) {
	err = f.around("Acquire", key, func() error { saved, err = f.Journal.Acquire(ctx, key, held, seen); return err })
	return saved, err
}

func (f *faulty) Load(ctx context.Context, key string) (saved query.Saved, err error) {
	err = f.around("Load", key, func() error { saved, err = f.Journal.Load(ctx, key); return err })
	return saved, err
}

func (f *faulty) Save(ctx context.Context, key string, s query.Saved) error {
	return f.around("Save", key, func() error { return f.Journal.Save(ctx, key, s) })
}

func (f *faulty) Unregister(ctx context.Context, key string) error {
	return f.around("Unregister", key, func() error { return f.Journal.Unregister(ctx, key) })
}
