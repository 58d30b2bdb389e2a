package memory

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/persistence"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

var (
	_ query.Journal        = (*Journal)(nil)
	_ query.SnapshotStore  = (*Journal)(nil)
	_ query.Notifier       = (*Journal)(nil)
	_ query.PersistenceIDs = (*Journal)(nil)
	_ query.Pinger         = (*Journal)(nil)
	_ query.TimeFinder     = (*Journal)(nil)
	_ journal.Store        = (*Journal)(nil)
	_ journal.Appender     = (*Journal)(nil)
	_ journal.Trimmer      = (*Journal)(nil)
)

// Journal is a journal in memory; see [New]. Its methods may be called concurrently.
type Journal struct {
	// Provider is the Proto.Actor side, made of the journal's own journal.Store.
	persistence.Provider

	identity string
	now      func() time.Time

	mu     sync.RWMutex
	closed bool
	// events are in the order of their offsets, from which some are missing once they were removed. What is in the slice
	// never changes or moves, so that a reader may go on reading what it found under the lock after giving the lock back.
	events  []query.Event
	streams map[string]*stream
	ids     []string // sorted; behind streams until somebody asks for it
	actors  map[string][]journal.ActorSnapshot
	owners  map[string]*owner

	subscribers subscribers
}

// Option is an option of [New].
type Option func(*Journal)

// WithClock sets the clock by which events are given their time; the default is time.Now. It is read once for each
// event, in the events' order, and must not use the journal. It panics if now is nil.
func WithClock(now func() time.Time) Option {
	if now == nil {
		panic(errors.New("memory.WithClock: the function is nil"))
	}
	return func(j *Journal) { j.now = now }
}

// New returns an empty journal, with an identity of its own. Close it when done.
func New(opts ...Option) *Journal {
	j := &Journal{
		identity: "memory:" + rand.Text(),
		now:      time.Now,
		streams:  make(map[string]*stream),
		actors:   make(map[string][]journal.ActorSnapshot),
		owners:   make(map[string]*owner),
	}
	for _, opt := range opts {
		opt(j)
	}
	j.Provider = journal.NewProvider(j)
	return j
}

// Close ends the journal and its subscriptions; it waits for subscribers that are being called. Later calls return
// query.ErrClosed. Closing twice is no error.
func (j *Journal) Close() error {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	j.subscribers.close()
	return nil
}

// Ping returns nil unless the journal is closed.
func (j *Journal) Ping(ctx context.Context) error {
	return wrap("ping", j.read(ctx, func() error { return nil }))
}

// read runs fn while nothing changes.
func (j *Journal) read(ctx context.Context, fn func() error) error {
	j.mu.RLock()
	defer j.mu.RUnlock()
	return j.guard(ctx, fn)
}

// write runs fn while nobody else reads or writes.
func (j *Journal) write(ctx context.Context, fn func() error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.guard(ctx, fn)
}

func (j *Journal) guard(ctx context.Context, fn func() error) error {
	if j.closed {
		return query.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return fn()
}

// onID runs fn by access, which is read or write, if the id is valid. It says what was being done to which id if
// that fails.
func onID(ctx context.Context, op, id string, access func(context.Context, func() error) error, fn func() error) error {
	if err := query.ValidateID(id); err != nil {
		return wrap(op, err) // which names the id, or as much of it as is good for a message
	}
	if err := access(ctx, fn); err != nil {
		return wrap(fmt.Sprintf("%s of %q", op, id), err)
	}
	return nil
}

// wrap says what was being done.
func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("journal in memory: %s: %w", op, err)
}
