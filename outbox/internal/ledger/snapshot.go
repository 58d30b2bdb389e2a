package ledger

import (
	"slices"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// Snapshot is everything that must survive a crash. Its size follows the held and parked entries alone.
type Snapshot struct {
	// Watermark is the offset at or below which every event of the feed is settled, parked or held.
	Watermark query.Offset
	// Anchor is the last event at or below the watermark.
	Anchor Pointer
	// Held streams, and those that were settled beyond the watermark before they rejoined.
	Held []HeldStream
	// Parked events, oldest first.
	Parked []ParkedEvent
	// Published counts settled events over all lives, those twice that a crash repeats; Skipped those that were let go of.
	Published, Skipped int64
	// Rewinds counts how often the watermark was set back, or the journal exchanged for another.
	Rewinds int64
	// Paused says that nothing is to be read and sent until an operator resumes.
	Paused bool
}

// Rebased returns the snapshot with which an outbox begins anew behind an offset: what is held or parked below it stays so,
// all the rest is read from the feed.
func (s Snapshot) Rebased(to query.Offset) Snapshot {
	held := slices.DeleteFunc(slices.Clone(s.Held), func(h HeldStream) bool { return h.SettledOffset >= to })
	return Snapshot{
		Watermark: to,
		Held:      held,
		Parked: slices.DeleteFunc(slices.Clone(s.Parked), func(p ParkedEvent) bool {
			isAhead := func(h HeldStream) bool { return h.PersistenceID == p.PersistenceID && h.Next <= p.SequenceNumber }
			return p.Offset > to || (p.Resolution != Unresolved && !slices.ContainsFunc(held, isAhead))
		}),
		Published: s.Published,
		Skipped:   s.Skipped,
		Rewinds:   s.Rewinds + 1,
		Paused:    s.Paused,
	}
}

// Pointer names an event.
type Pointer struct {
	PersistenceID  string
	SequenceNumber int64
	Offset         query.Offset
	UID            [16]byte
}

// HeldStream is a persistence id that does not follow the feed.
type HeldStream struct {
	PersistenceID string
	// Next is the first sequence number that is neither settled nor parked.
	Next int64
	// SettledOffset is an offset up to which everything of this id is settled or parked: that of the last event
	// before Next, or more.
	SettledOffset query.Offset
}

// ParkedEvent is an event that was given up on. Once it is resolved, it stays in the snapshot only until the watermark
// has passed it: otherwise a crash would have the feed deliver it again.
type ParkedEvent struct {
	Pointer
	Reason     string
	At         time.Time
	Resolution Resolution
}

// Resolution says what has become of a parked event since.
type Resolution uint8

// The resolutions.
const (
	// Unresolved: it is parked.
	Unresolved Resolution = iota
	// Redriven: it was sent again, and published.
	Redriven
	// Skipped: an operator, or the rule for poison, has let go of it.
	Skipped
)

func pointerTo(e *query.Event) Pointer {
	return Pointer{PersistenceID: e.PersistenceID, SequenceNumber: e.SequenceNumber, Offset: e.Offset, UID: e.UID}
}
