package journal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/asynkron/protoactor-go/persistence"
	"google.golang.org/protobuf/proto"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// NewProvider returns the Proto.Actor provider that keeps events and snapshots in the store. Journals call it, and
// offer its methods as their own; applications use [Using].
//
// The provider may be used by any number of actors at once. Its methods panic with an [*Error]; see the package's
// documentation. GetEvents takes Proto.Actor's event indexes, from the first up to, but not including, the second;
// 0 for the second means all. It panics if store is nil.
func NewProvider(store Store, opts ...ProviderOption) persistence.Provider {
	o := defaultProviderOptions()
	for _, opt := range opts {
		opt.applyToProvider(&o)
	}
	return newProvider(store, o)
}

func newProvider(store Store, o providerOptions) *provider {
	if store == nil {
		panic(errors.New("journal: the store is nil"))
	}
	return &provider{store: store, providerOptions: o}
}

// provider is both halves of Proto.Actor's interface, since it has no state of its own.
type provider struct {
	store Store
	providerOptions
}

var (
	_ persistence.Provider      = (*provider)(nil)
	_ persistence.ProviderState = (*provider)(nil)
)

func (p *provider) GetState() persistence.ProviderState { return p }

func (p *provider) Restart() {}

func (p *provider) GetSnapshotInterval() int { return p.snapshotInterval }

func (p *provider) PersistEvent(id string, index int, event proto.Message) {
	p.append(id, index, event, func(proto.Message) map[string]string { return nil })
}

func (p *provider) append(id string, index int, event proto.Message, metadata func(bare proto.Message) map[string]string) {
	e := query.Event{PersistenceID: id, SequenceNumber: int64(index) + 1, ContentType: contentType}
	check := func(err error) { must("persist event", id, e.SequenceNumber, err) }

	bare, tags := untag(event)
	var err error
	e.Type, e.Data, err = encode(bare)
	check(err)
	e.Tags, e.Metadata = tags, metadata(bare)
	check(checkText(e.Tags, e.Metadata))

	// The same for all attempts: by its UID the store recognizes an event that was committed after all.
	rand.Read(e.UID[:])
	check(p.retry(func(ctx context.Context) error { return p.store.AppendEvent(ctx, e) }))
}

func (p *provider) GetEvents(id string, start, end int, callback func(event any)) {
	p.replay(id, int64(start)+1, int64(end), func(_ int64, event proto.Message) { callback(event) })
}

// What one page of a replay holds in memory, at most, but for its last event.
const (
	replayEvents = 256
	replayBytes  = 1 << 20
)

// errPageFull ends one page of a replay.
var errPageFull = errors.New("page is full")

// replay calls fn for the events from..to, or all from the first if to is 0. It reads them page by page, so that
// fn, which is the actor's code, neither uses up the time for retries nor runs within the store's.
func (p *provider) replay(id string, from, to int64, fn func(seq int64, event proto.Message)) {
	for {
		page, more := p.replayPage(id, from, to)
		for _, e := range page {
			check := func(err error) { must("replay event", id, e.SequenceNumber, err) }
			if e.SequenceNumber != from {
				// The framework numbers what it replays by counting.
				check(fmt.Errorf("%w: event %d comes next", ErrEventsMissing, from))
			}
			if e.ContentType != contentType {
				check(fmt.Errorf("%w: its content type is %q, not %q", ErrNotDecodable, e.ContentType, contentType))
			}
			event, err := decode(e.Type, e.Data)
			check(err)
			fn(e.SequenceNumber, event)
			from++
		}
		if !more {
			return
		}
	}
}

func (p *provider) replayPage(id string, from, to int64) (page []query.Event, more bool) {
	err := p.retry(func(ctx context.Context) error {
		page, more = page[:0], false
		bytes := 0
		err := p.store.Replay(ctx, id, from, to, func(e query.Event) error {
			page = append(page, e)
			bytes += e.Size()
			if len(page) == replayEvents || bytes >= replayBytes {
				return errPageFull
			}
			return nil
		})
		if more = errors.Is(err, errPageFull); more {
			return nil
		}
		return err
	})
	must("replay events", id, 0, err)
	return page, more
}

// DeleteEvents hides the events up to and including the index from replay. It panics with ErrUnsafeDelete if one
// of them is not covered by the newest snapshot.
func (p *provider) DeleteEvents(id string, inclusiveToIndex int) {
	if inclusiveToIndex < 0 {
		return
	}
	// The framework starts numbering at the snapshot's index and counts what is replayed. So every event from
	// that index on must be there: after hiding any of them, the next event would take a number already used.
	covered := int64(0)
	if s, ok := p.loadSnapshot("delete events", id); ok {
		covered = s.Index
	}
	through := int64(inclusiveToIndex) + 1
	if through > covered {
		must("delete events", id, 0, fmt.Errorf(
			"%w: events through index %d were to be deleted, but the newest snapshot covers only those below index %d: take a snapshot first",
			ErrUnsafeDelete, inclusiveToIndex, covered))
	}
	must("delete events", id, 0, p.retry(func(ctx context.Context) error { return p.store.HideEvents(ctx, id, through) }))
}

// must panics unless err is nil.
func must(op, id string, seq int64, err error) {
	if err != nil {
		panic(&Error{Op: op, PersistenceID: id, SequenceNumber: seq, Err: err})
	}
}
