package adopt_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/adopt"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journaltest"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// Some facts that the suite supposes are false for an adopted provider:
//
//   - It keeps a protobuf message, and no uid, time, tags, metadata, nor bytes of any kind. So the suite's events travel in a
//     message, and tags and types are selected by the carrier.
//   - The feed is in the order in which events are discovered, which is not that of the appends over several ids. So the
//     carrier has each event discovered when it is appended.
//   - A replay has no offsets: actors have no use for them. So the carrier looks them up.
//   - A feed is for one outbox. So the carrier gives the suite's second one a feed of its own.
//
// What is shown here is paging, the completeness of the feed, conflicts, hidden events, snapshots, fencing within a process,
// contexts and the end. The rest is tested beside this.
func TestConformance(t *testing.T) {
	journaltest.Run(t, journaltest.Harness{
		New:             func(t *testing.T) journaltest.Journal { return newCarrier(t, newTable()) },
		ForeignProvider: true,
		Capabilities: journaltest.Capabilities{
			SnapshotStore:  true,
			Notifier:       true,
			PersistenceIDs: true,
			Pinger:         true,
			Closer:         true,
		},
	})
}

// carrier packs the suite's events into messages that a provider can keep.
type carrier struct {
	*adopt.Journal
	mu    sync.Mutex
	feeds map[string]*adopt.Feed // the suite has outboxes of several names; the first has the journal's own feed
	times map[[16]byte]time.Time // when an event was first appended: each try packs the same message
}

func newCarrier(t *testing.T, p *table) *carrier {
	t.Helper()
	j, err := adopt.Wrap(p, func(context.Context) ([]string, error) { return p.ids(), nil })
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, j.Close()) })
	return &carrier{Journal: j, feeds: make(map[string]*adopt.Feed), times: make(map[[16]byte]time.Time)}
}

func (c *carrier) feed(key string) *adopt.Feed {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.feeds[key] == nil {
		if c.feeds[key] = c.Feed; len(c.feeds) > 1 {
			c.feeds[key] = c.NewFeed()
		}
	}
	return c.feeds[key]
}

func (c *carrier) Acquire(ctx context.Context, key string, held, seen int64) (query.Saved, error) {
	return c.feed(key).Acquire(ctx, key, held, seen)
}

func (c *carrier) Load(ctx context.Context, key string) (query.Saved, error) {
	return c.feed(key).Load(ctx, key)
}

func (c *carrier) Save(ctx context.Context, key string, s query.Saved) error {
	return c.feed(key).Save(ctx, key, s)
}

func (c *carrier) Unregister(ctx context.Context, key string) error {
	return c.feed(key).Unregister(ctx, key)
}

func (c *carrier) AppendEvent(ctx context.Context, e query.Event) error {
	tags := slices.Clone(e.Tags)
	slices.Sort(tags)
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(&outboxv1.Event{
		Uid: e.UID[:], Type: e.Type, ContentType: e.ContentType, Data: e.Data, Tags: slices.Compact(tags), Metadata: e.Metadata,
		Time: timestamppb.New(c.firstTried(e.UID)), Offset: present(e.Data),
	})
	if err != nil {
		return fmt.Errorf("%w: %w", journal.ErrNotEncodable, err)
	}
	stored, _, err := c.EventsByPersistenceID(ctx, e.PersistenceID, e.SequenceNumber, query.Limits{Events: 1})
	if err != nil {
		return err
	}
	if len(stored) > 0 && stored[0].UID == e.UID { // the provider would see another time
		return nil
	}
	e.Type, e.ContentType, e.Data, e.Tags, e.Metadata = "outbox.v1.Event", "application/protobuf", data, nil, nil
	if err := c.Journal.AppendEvent(ctx, e); err != nil {
		return err
	}
	_, err = c.LastSequenceNumber(context.WithoutCancel(ctx), e.PersistenceID)
	return err
}

func (c *carrier) firstTried(uid [16]byte) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.times[uid].IsZero() {
		c.times[uid] = time.Now().Truncate(time.Microsecond)
	}
	return c.times[uid]
}

// present tells no bytes from none, which protobuf does not.
func present(data []byte) int64 {
	if data == nil {
		return 0
	}
	return 1
}

func unpack(e query.Event) query.Event {
	var m outboxv1.Event
	if err := proto.Unmarshal(e.Data, &m); err != nil {
		panic(err)
	}
	copy(e.UID[:], m.GetUid())
	e.Type, e.ContentType, e.Data, e.Tags, e.Metadata = m.GetType(), m.GetContentType(), m.GetData(), m.GetTags(), m.GetMetadata()
	e.Time = m.GetTime().AsTime()
	if m.GetOffset() != 0 && e.Data == nil {
		e.Data = []byte{}
	}
	return e
}

// Events filters what it has unpacked: a page of the provider's events at a time.
func (c *carrier) Events(ctx context.Context, after query.Offset, filter query.Filter, limits query.Limits) (query.Page, error) {
	page := query.Page{Next: after}
	bytes := 0
	for {
		found, err := c.Journal.Events(ctx, page.Next, query.Filter{Slices: filter.Slices}, query.Limits{Events: limits.Events})
		if err != nil {
			return query.Page{}, err
		}
		for _, e := range found.Events {
			if e = unpack(e); filter.Matches(&e) {
				bytes += e.Size()
				if n := len(page.Events); n == limits.Events || (n > 0 && limits.Bytes > 0 && bytes > limits.Bytes) {
					page.More = true
					return page, nil
				}
				page.Events = append(page.Events, e)
			}
			page.Next = e.Offset
		}
		if page.Next = found.Next; !found.More {
			return page, nil
		}
	}
}

func (c *carrier) EventsByPersistenceID(ctx context.Context, id string, from int64, limits query.Limits) ([]query.Event, bool, error) {
	found, more, err := c.Journal.EventsByPersistenceID(ctx, id, from, query.Limits{Events: limits.Events})
	bytes := 0
	for i := range found {
		found[i] = unpack(found[i])
		if bytes += found[i].Size(); i > 0 && limits.Bytes > 0 && bytes > limits.Bytes {
			return found[:i], true, err
		}
	}
	return found, more, err
}

func (c *carrier) Replay(ctx context.Context, id string, from, to int64, fn func(query.Event) error) error {
	return c.Journal.Replay(ctx, id, from, to, func(e query.Event) error {
		stored, _, err := c.EventsByPersistenceID(ctx, id, e.SequenceNumber, query.Limits{Events: 1})
		if err != nil {
			return err
		}
		e = unpack(e)
		e.Offset = stored[0].Offset
		return fn(e)
	})
}

func (c *carrier) SaveActorSnapshot(ctx context.Context, id string, s journal.ActorSnapshot) error {
	data, err := proto.Marshal(&outboxv1.Event{Type: s.Type, Data: s.Data, Offset: present(s.Data)})
	if err != nil {
		return err
	}
	return c.Journal.SaveActorSnapshot(ctx, id, journal.ActorSnapshot{Index: s.Index, Type: "outbox.v1.Event", Data: data})
}

func (c *carrier) LoadActorSnapshot(ctx context.Context, id string) (journal.ActorSnapshot, bool, error) {
	s, ok, err := c.Journal.LoadActorSnapshot(ctx, id)
	if ok {
		e := unpack(query.Event{Data: s.Data})
		s.Type, s.Data = e.Type, e.Data
	}
	return s, ok, err
}
