package journaltest

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// newEvent is an event as a store is given it. Equal arguments give equal events.
func newEvent(id string, seq int64) query.Event {
	e := query.Event{
		PersistenceID:  id,
		SequenceNumber: seq,
		Type:           "test.v1.Happened",
		ContentType:    "application/protobuf",
		Data:           fmt.Appendf(nil, "%s happened for the %dth time", id, seq),
	}
	sum := sha256.Sum256([]byte(e.ID()))
	copy(e.UID[:], sum[:])
	return e
}

// newID is what the event is called.
func newID(id string, seq int64) string {
	return (&query.Event{PersistenceID: id, SequenceNumber: seq}).ID()
}

// otherUID is the same event, written by somebody else.
func otherUID(e query.Event) query.Event {
	e.UID[0]++
	return e
}

// write appends events first..last of an id.
func (s *subject) write(t *testing.T, id string, first, last int64) {
	t.Helper()
	for seq := first; seq <= last; seq++ {
		require.NoError(t, s.AppendEvent(s.ctx, newEvent(id, seq)))
	}
}

// feed reads all that the filter selects, in pages of the given size, and checks what holds for every page.
func (s *subject) feed(t *testing.T, filter query.Filter, limits query.Limits) []query.Event {
	t.Helper()
	head, err := s.Head(s.ctx)
	require.NoError(t, err)
	var (
		all   []query.Event
		after query.Offset
	)
	for {
		page, err := s.Events(s.ctx, after, filter, limits)
		require.NoError(t, err)
		requirePage(t, page, after, filter, limits)
		all = append(all, page.Events...)
		if !page.More {
			require.GreaterOrEqual(t, page.Next, head.Offset, "there is no more, so Next must have reached the head")
			require.NoError(t, s.reaches(s.Journal, page.Next))
			return all
		}
		require.Greater(t, page.Next, after, "there is more, so Next must move on")
		after = page.Next
	}
}

// all reads the whole feed.
func (s *subject) all(t *testing.T) []query.Event {
	t.Helper()
	return s.feed(t, query.Filter{}, query.Limits{Events: 1000})
}

// stream reads all events of an id.
func (s *subject) stream(t *testing.T, id string) []query.Event {
	t.Helper()
	events, more, err := s.EventsByPersistenceID(s.ctx, id, 1, query.Limits{Events: 10_000})
	require.NoError(t, err)
	require.False(t, more)
	return events
}

// replayed collects what a replay calls back with.
func (s *subject) replayed(t *testing.T, id string, from, to int64) []query.Event {
	t.Helper()
	var events []query.Event
	require.NoError(t, s.Replay(s.ctx, id, from, to, func(e query.Event) error {
		events = append(events, e)
		return nil
	}))
	return events
}

func requirePage(t *testing.T, page query.Page, after query.Offset, filter query.Filter, limits query.Limits) {
	t.Helper()
	require.LessOrEqual(t, len(page.Events), limits.Events, "events of a page")
	last, bytes := after, 0
	for i := range page.Events {
		e := &page.Events[i]
		require.Greater(t, e.Offset, last, "offsets rise within a page, and start after the one asked for")
		require.True(t, filter.Matches(e), "%s does not match the filter", e.ID())
		last = e.Offset
		bytes += e.Size()
	}
	if limits.Bytes > 0 && len(page.Events) > 1 {
		require.LessOrEqual(t, bytes, limits.Bytes, "bytes of a page with more than one event")
	}
	require.GreaterOrEqual(t, page.Next, last, "Next is at or after the last event of its page")
}

// requireStored compares an event that was read with the one that was written, and checks what the journal gives.
func requireStored(t *testing.T, written, read query.Event) {
	t.Helper()
	require.Positive(t, read.Offset, "%s has no offset", read.ID())
	require.Equal(t, query.SliceOf(written.PersistenceID), read.Slice, "slice of %s", read.ID())
	require.WithinDuration(t, time.Now(), read.Time, time.Hour, "time of %s", read.ID())
	require.Equal(t, time.UTC, read.Time.Location(), "the time of %s is in UTC", read.ID())
	require.Equal(t, read.Time.Truncate(time.Microsecond), read.Time, "the time of %s is in microseconds", read.ID())

	written.Offset, written.Slice, written.Time = read.Offset, read.Slice, read.Time
	require.Equal(t, written, read)
}

// ids are the events' identities, which tell more in a failure than the events themselves.
func ids(events []query.Event) []string {
	out := make([]string, len(events))
	for i := range events {
		out[i] = events[i].ID()
	}
	return out
}

// selected is the part of the events that the filter selects, found the obvious way.
func selected(events []query.Event, filter query.Filter) []query.Event {
	var out []query.Event
	for i := range events {
		if filter.Matches(&events[i]) {
			out = append(out, events[i])
		}
	}
	return out
}

func sortedTags(e query.Event) query.Event {
	e.Tags = slices.Clone(e.Tags)
	slices.Sort(e.Tags)
	return e
}
