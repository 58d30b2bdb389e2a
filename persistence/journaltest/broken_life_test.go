package journaltest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/persistence"
	"google.golang.org/protobuf/proto"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journaltest"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

var brokenLives = slices.Concat(brokenCapabilities, brokenNotifiers, brokenContexts, brokenCloses, brokenRestarts, brokenProviders)

var brokenCapabilities = []broken{
	{name: "can do what was not stated", finds: []string{"capabilities/are those that the harness states"}, says: "Pinger",
		breaks: func(*faulty) {}, harness: func(h *journaltest.Harness) { h.Capabilities.Pinger = false }},
	{name: "does not answer a ping", finds: []string{"ping/answers"}, says: "out of order", breaks: func(f *faulty) {
		f.ping = func(context.Context) error { return errors.New("out of order") }
	}},
	{name: "writes when it is pinged", finds: []string{"ping/changes nothing"}, says: "Not equal", breaks: func(f *faulty) {
		f.ping = func(ctx context.Context) error {
			return f.memory.AppendEvent(ctx, query.Event{PersistenceID: "ping", SequenceNumber: 1, UID: [16]byte{1}})
		}
	}},
}

// ownSubscribers replaces the notifications by simple ones, whose list is returned.
func (f *faulty) ownSubscribers() (notify func()) {
	var (
		mu  sync.Mutex
		fns []func()
	)
	f.subscribe = func(fn func()) func() {
		mu.Lock()
		defer mu.Unlock()
		fns = append(fns, fn)
		return func() {} // which is the mistake of one of them
	}
	return func() {
		mu.Lock()
		defer mu.Unlock()
		for _, fn := range fns {
			fn()
		}
	}
}

var brokenNotifiers = []broken{
	{name: "notifies nobody", finds: []string{"notification/follows an append"}, says: "a subscriber was not notified", breaks: func(f *faulty) {
		f.ownSubscribers()
	}},
	{name: "notifies before it appends", finds: []string{"notification/comes when the event can be read"}, says: "a subscriber was not notified",
		breaks: func(f *faulty) {
			notify := f.ownSubscribers()
			f.onAppend(func(ctx context.Context, e query.Event, good appendFunc) error {
				notify()
				// What was told is taken for nothing before there is something to see.
				<-time.After(5 * time.Millisecond)
				return good(ctx, e)
			})
		}},
	{name: "cannot be unsubscribed from", finds: []string{
		"notification/ends when it is cancelled", "notification/may be subscribed to and cancelled while writers append",
	}, says: "calls after cancel had returned", breaks: func(f *faulty) {
		notify := f.ownSubscribers()
		f.onAppend(func(ctx context.Context, e query.Event, good appendFunc) error {
			defer notify()
			return good(ctx, e)
		})
	}},
	{name: "has subscriptions that do not end after it was closed", finds: []string{"close/leaves subscriptions harmless"},
		says: "the end of a subscription to a closed journal does not return", breaks: func(f *faulty) {
			good := f.subscribe
			f.subscribe = func(fn func()) func() {
				cancel := good(fn)
				return func() {
					if f.closed.Load() {
						select {}
					}
					cancel()
				}
			}
		}},
}

// onContexts has every method that a case could call with an ended context do something else first. It answers with
// the error of before, if there is one.
func (f *faulty) onContexts(before func(context.Context) (context.Context, error)) {
	appendEvent, events, byID, head, last, ids, offsetAt, ping := f.append, f.events, f.byID, f.head, f.last, f.ids, f.offsetAt, f.ping
	f.append = func(ctx context.Context, e query.Event) error {
		ctx, err := before(ctx)
		if err != nil {
			return err
		}
		return appendEvent(ctx, e)
	}
	f.events = func(ctx context.Context, after query.Offset, filter query.Filter, limits query.Limits) (query.Page, error) {
		ctx, err := before(ctx)
		if err != nil {
			return query.Page{}, err
		}
		return events(ctx, after, filter, limits)
	}
	f.byID = func(ctx context.Context, id string, from int64, limits query.Limits) ([]query.Event, bool, error) {
		ctx, err := before(ctx)
		if err != nil {
			return nil, false, err
		}
		return byID(ctx, id, from, limits)
	}
	f.head = func(ctx context.Context) (query.Head, error) {
		ctx, err := before(ctx)
		if err != nil {
			return query.Head{}, err
		}
		return head(ctx)
	}
	f.last = func(ctx context.Context, id string) (int64, error) {
		ctx, err := before(ctx)
		if err != nil {
			return 0, err
		}
		return last(ctx, id)
	}
	f.ids = func(ctx context.Context, after string, limit int) ([]string, error) {
		ctx, err := before(ctx)
		if err != nil {
			return nil, err
		}
		return ids(ctx, after, limit)
	}
	f.offsetAt = func(ctx context.Context, t time.Time) (query.Offset, error) {
		ctx, err := before(ctx)
		if err != nil {
			return 0, err
		}
		return offsetAt(ctx, t)
	}
	f.ping = func(ctx context.Context) error {
		ctx, err := before(ctx)
		if err != nil {
			return err
		}
		return ping(ctx)
	}
}

var brokenContexts = []broken{
	{name: "takes no notice of its context", finds: []string{
		"context/that was cancelled stops every call", "context/whose deadline has passed stops every call",
	}, says: "context canceled", breaks: func(f *faulty) {
		f.onContexts(func(ctx context.Context) (context.Context, error) { return context.WithoutCancel(ctx), nil })
	}},
	{name: "takes no notice of its context in a capability", finds: []string{"context/that was cancelled stops every call"}, says: "OffsetAt",
		breaks: func(f *faulty) {
			f.offsetAt = func(ctx context.Context, t time.Time) (query.Offset, error) {
				return f.memory.OffsetAt(context.WithoutCancel(ctx), t)
			}
		}},
	{name: "has an error of its own for a context", finds: []string{"context/whose deadline has passed stops every call"}, says: "interrupted",
		breaks: func(f *faulty) {
			f.onContexts(func(ctx context.Context) (context.Context, error) {
				if ctx.Err() != nil {
					return ctx, errors.New("interrupted")
				}
				return ctx, nil
			})
		}},
	{name: "hangs when its context has ended", finds: []string{
		"context/that was cancelled stops every call", "context/that ended leaves nothing half done, and the journal usable",
	}, says: "does not return", breaks: func(f *faulty) {
		f.onContexts(func(ctx context.Context) (context.Context, error) {
			if ctx.Err() != nil {
				select {}
			}
			return ctx, nil
		})
	}},
	{name: "appends with a context that has ended", finds: []string{"context/that ended leaves nothing half done, and the journal usable"},
		says: "Should be empty", breaks: func(f *faulty) {
			f.onAppend(func(ctx context.Context, e query.Event, good appendFunc) error {
				return errors.Join(ctx.Err(), good(context.WithoutCancel(ctx), e))
			})
		}},
	{name: "does not know again what it had no time to tell", finds: []string{"context/that ends during appends tells the truth about them"},
		says: "sequence number conflict", breaks: func(f *faulty) {
			f.onAppend(func(ctx context.Context, e query.Event, good appendFunc) error {
				if last, err := f.last(context.WithoutCancel(ctx), e.PersistenceID); err != nil || e.SequenceNumber <= last {
					return errors.Join(err, journal.ErrSequenceConflict)
				}
				if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < time.Second {
					return errors.Join(good(context.WithoutCancel(ctx), e), context.DeadlineExceeded)
				}
				return good(ctx, e)
			})
		}},
	{name: "acknowledges what it had no time for", finds: []string{"context/that ends during appends tells the truth about them"},
		says: "what was acknowledged", breaks: func(f *faulty) {
			f.onAppend(func(ctx context.Context, e query.Event, good appendFunc) error {
				if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < time.Second {
					return nil
				}
				return good(ctx, e)
			})
		}},
}

var brokenCloses = []broken{
	{name: "works on after it was closed", finds: []string{
		"close/ends every call with ErrClosed", "close/ends the provider's calls with a typed panic",
	}, says: "journal is closed", breaks: func(f *faulty) {
		f.close = func() error { return nil }
	}},
	{name: "complains of being closed twice", finds: []string{"close/may be called twice, and by several at once"}, says: "it was closed already",
		breaks: func(f *faulty) {
			f.close = func() error {
				if f.closed.Swap(true) {
					return errors.New("it was closed already")
				}
				return nil
			}
		}},
	{name: "does not say that it was closed during an append", finds: []string{"close/lets calls under way end"}, says: "bad connection",
		breaks: func(f *faulty) {
			good, gone := f.append, make(chan struct{})
			f.append = func(ctx context.Context, e query.Event) error {
				select {
				case <-gone:
					return errors.New("bad connection")
				default:
					return good(ctx, e)
				}
			}
			f.close = sync.OnceValue(func() error { close(gone); return nil })
		}},
	{name: "closes all handles with one", finds: []string{"several handles/are closed one by one"}, says: "journal is closed", breaks: func(f *faulty) {
		f.close = func() error {
			f.closed.Store(true)
			return f.memory.Close()
		}
	}},
}

// restarted opens what j stored and lets something be done to it first.
func restarted(do func(good *memory.Journal) *memory.Journal) func(*journaltest.Harness) {
	return func(h *journaltest.Harness) {
		again := func(_ *testing.T, j journaltest.Journal) journaltest.Journal {
			return newFaulty(do(j.(*faulty).memory))
		}
		h.Reopen, h.Crash = again, again
	}
}

// bothWays are cases of the groups "reopen" and "crash".
func bothWays(cases ...string) (names []string) {
	for _, c := range cases {
		names = append(names, "reopen/"+c, "crash/"+c)
	}
	return names
}

// copied is a journal with the same events, less those at or above an offset, and nothing else.
func copied(j *memory.Journal, below query.Offset) *memory.Journal {
	fresh := memory.New()
	page, _ := j.Events(context.Background(), 0, query.Filter{}, query.Limits{Events: 1_000_000})
	for _, e := range page.Events {
		if e.Offset < below {
			_ = fresh.AppendEvent(context.Background(), e)
		}
	}
	return fresh
}

var brokenRestarts = []broken{
	{name: "is empty when it is opened again", finds: bothWays(
		"keeps the identity and the head", "keeps events, and which of them are hidden", "keeps everything that was acknowledged to many writers",
		"goes on with sequence numbers and offsets", "goes on where a reader was", "keeps snapshots of actors",
		"keeps snapshots, indexes and epochs of outboxes", "keeps what an actor has become",
	), says: "Not equal", breaks: func(*faulty) {}, harness: restarted(func(*memory.Journal) *memory.Journal { return memory.New() })},
	{name: "loses the last event that it acknowledged", finds: bothWays(
		"keeps events, and which of them are hidden", "keeps everything that was acknowledged to many writers", "goes on where a reader was",
	), says: "", breaks: func(*faulty) {}, harness: restarted(func(j *memory.Journal) *memory.Journal {
		head, _ := j.Head(context.Background())
		return copied(j, head.Offset)
	})},
	{name: "keeps nothing but events", finds: bothWays(
		"keeps events, and which of them are hidden", "keeps snapshots of actors", "keeps snapshots, indexes and epochs of outboxes",
	), says: "Not equal", breaks: func(*faulty) {}, harness: restarted(func(j *memory.Journal) *memory.Journal { return copied(j, 1<<40) })},
	{name: "is another one for each handle", finds: []string{
		"several handles/are one journal", "several handles/refuse each other's sequence numbers", "several handles/let exactly one of several writers of an id win",
		"several handles/miss and reorder nothing while writers append through each", "several handles/fence each other",
		"several handles/fence each other at the same moment, too", "several handles/are closed one by one",
		"several handles/keep what many writers append through each at once",
	}, says: "Not equal", breaks: func(*faulty) {}, harness: func(h *journaltest.Harness) {
		h.Open = func(_ *testing.T, j journaltest.Journal) journaltest.Journal {
			return newFaulty(copied(j.(*faulty).memory, 1<<40))
		}
	}},
}

// badProvider is a provider that does as its functions say.
type badProvider struct {
	persistence.ProviderState
	persist func(id string, index int, event proto.Message)
}

func (p *badProvider) PersistEvent(id string, index int, event proto.Message) {
	p.persist(id, index, event)
}

func (f *faulty) onPersist(do func(good persistence.ProviderState, id string, index int, event proto.Message)) {
	good := f.provider
	f.provider = func() persistence.ProviderState {
		state := good()
		return &badProvider{state, func(id string, index int, event proto.Message) { do(state, id, index, event) }}
	}
}

var brokenProviders = []broken{
	{name: "drops tags that come through its provider", finds: []string{"provider/keeps tags, and gives events back without them"}, says: "a/1",
		breaks: func(f *faulty) {
			f.onAppend(func(ctx context.Context, e query.Event, good appendFunc) error {
				e.Tags = nil
				return good(ctx, e)
			})
		}},
	{name: "counts indexes from 1 in its provider", finds: []string{"provider/keeps events under their indexes"}, says: "sequence number conflict",
		breaks: func(f *faulty) {
			f.onPersist(func(good persistence.ProviderState, id string, index int, event proto.Message) {
				good.PersistEvent(id, index-1, event)
			})
		}},
	{name: "panics with text in its provider", finds: []string{"provider/panics with what went wrong", "close/ends the provider's calls with a typed panic"},
		says: "for the actor's supervisor", breaks: func(f *faulty) {
			f.onPersist(func(good persistence.ProviderState, id string, index int, event proto.Message) {
				defer func() {
					if r := recover(); r != nil {
						panic(fmt.Sprint(r))
					}
				}()
				good.PersistEvent(id, index, event)
			})
		}},
	{name: "logs and swallows failures in its provider", finds: []string{"provider/panics with what went wrong"}, says: "for the actor's supervisor",
		breaks: func(f *faulty) {
			f.onPersist(func(good persistence.ProviderState, id string, index int, event proto.Message) {
				defer func() { _ = recover() }()
				good.PersistEvent(id, index, event)
			})
		}},
	{name: "loses snapshots of its provider", finds: []string{
		"provider/keeps snapshots", "persistent actor/recovers from its snapshot and the events after it",
	}, says: "Should be true", breaks: func(f *faulty) {
		f.saveActor = func(context.Context, string, journal.ActorSnapshot) error { return nil }
	}},
}
