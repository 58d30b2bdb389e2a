package query

import (
	"context"
	"errors"
	"slices"
)

// ErrClosed is returned by every method of a journal that has been closed.
var ErrClosed = errors.New("journal is closed")

// Journal serves the events of all persistence ids in the journal's order.
//
// Its methods may be called concurrently. They return promptly when ctx ends, with its error. A transient
// failure is returned as it is: the caller retries, the journal does not. They never modify the journal.
type Journal interface {
	// Events returns the events with an offset greater than after that match the filter, in offset order, and
	// the offset up to which that answer is complete (see [Page]). It returns at least one event where there
	// is one, whatever the byte limit. No event with an offset at or below a returned Next ever becomes
	// visible later: a reader that goes on from Next misses nothing.
	//
	// The returned slice belongs to the caller.
	Events(ctx context.Context, after Offset, filter Filter, limits Limits) (Page, error)

	// EventsByPersistenceID returns the events of one id with a sequence number of at least from, in order,
	// and whether the limits, not the end of the stream, ended the answer. It includes events that were
	// deleted by their actor and are still kept for outboxes. An unknown id has no events; that is no error.
	//
	// The returned slice belongs to the caller.
	EventsByPersistenceID(ctx context.Context, id string, from int64, limits Limits) (events []Event, more bool, err error)

	// LastSequenceNumber returns the greatest sequence number committed under the id, 0 for an unknown id.
	LastSequenceNumber(ctx context.Context, id string) (int64, error)

	// Head says which journal this is and how far it reaches.
	Head(ctx context.Context) (Head, error)
}

// Head describes a journal at one moment.
type Head struct {
	// Identity is given to a journal when it is created and never changes. A journal that answers with
	// another identity is another journal, whatever its address.
	Identity string
	// Offset is at or above the offset of every event whose append returned before the call, and at or above the Next of
	// every page that was answered before it.
	Offset Offset
}

// Page is a part of a feed.
type Page struct {
	// Events in offset order; may be empty.
	Events []Event
	// Next is the offset up to which the answer is complete; the next page is read after it. It is at least
	// the offset that was asked after, and may rise over an empty page, where other events were filtered out.
	Next Offset
	// More says that the limits ended the page and that it is worthwhile to ask for the next one at once.
	More bool
	// Instance names the server that has answered, where the journal has one: it is another one after each restart, failover or
	// restore, and empty where there is none. What comes after it may lack what came before, so a reader that sees a
	// change compares what it knows of the journal with what is there.
	Instance string
}

// Limits bound one answer.
type Limits struct {
	// Events is the greatest number of events, at least 1.
	Events int
	// Bytes bounds the sum of [Event.Size]; 0 means no bound. One event is returned even if it exceeds it.
	Bytes int
}

// Filter selects events of a feed. Its zero value selects all. What is selected by each non-empty field is
// intersected.
type Filter struct {
	// Slices selects by the persistence id's slice.
	Slices SliceRange
	// Types selects events whose Type is one of these.
	Types []string
	// Tags selects events that have at least one of these.
	Tags []string
}

// SliceRange is the slices from From up to, but not including, To. The zero value means all of them.
type SliceRange struct {
	From, To uint16
}

// All reports whether the range selects every slice.
func (r SliceRange) All() bool {
	return r == SliceRange{} || (r.From == 0 && r.To >= NumSlices)
}

// Contains reports whether the range selects the slice.
func (r SliceRange) Contains(slice uint16) bool {
	return r.All() || (slice >= r.From && slice < r.To)
}

// All reports whether the filter selects every event.
func (f Filter) All() bool {
	return f.Slices.All() && len(f.Types) == 0 && len(f.Tags) == 0
}

// Matches reports whether the filter selects the event.
func (f Filter) Matches(e *Event) bool {
	if !f.Slices.Contains(e.Slice) {
		return false
	}
	if len(f.Types) > 0 && !slices.Contains(f.Types, e.Type) {
		return false
	}
	return len(f.Tags) == 0 || slices.ContainsFunc(f.Tags, func(t string) bool { return slices.Contains(e.Tags, t) })
}

// Notifier is a journal that can tell a reader early that something was appended.
type Notifier interface {
	// Subscribe has fn called soon after events were appended, until cancel is called. Calls may be merged,
	// repeated or missing: a subscriber polls all the same, only less often. fn must not block and may be
	// called concurrently. After cancel has returned, fn is not called any more.
	Subscribe(fn func()) (cancel func())
}

// PersistenceIDs is a journal that can list its persistence ids.
type PersistenceIDs interface {
	// PersistenceIDs returns up to limit ids in ascending byte order, greater than after.
	PersistenceIDs(ctx context.Context, after string, limit int) ([]string, error)
}

// Pinger is a journal that can check whether it is able to serve.
type Pinger interface {
	// Ping returns nil if the journal answers.
	Ping(ctx context.Context) error
}
