package ledger

import (
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
	// Published counts settled events over all lives.
	Published int64
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

// ParkedEvent is an event that was given up on.
type ParkedEvent struct {
	Pointer
	Reason string
	At     time.Time
}

func pointerTo(e *query.Event) Pointer {
	return Pointer{PersistenceID: e.PersistenceID, SequenceNumber: e.SequenceNumber, Offset: e.Offset, UID: e.UID}
}
