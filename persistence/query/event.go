package query

import (
	"strconv"
	"time"
)

// Offset is a position in a journal's own order over all persistence ids. Offsets are positive; 0 is the
// position before the first event. Within one persistence id they rise with the sequence number; they need not
// be consecutive.
type Offset int64

// Event is one event as the journal stores it. It is a value; Data, Tags and Metadata are shared with the
// journal and with every other reader, and must not be modified.
type Event struct {
	// PersistenceID names the stream (the entity) that the event belongs to; see [ValidateID].
	PersistenceID string
	// SequenceNumber is the 1-based position in that stream: Proto.Actor's event index + 1.
	SequenceNumber int64
	// Offset is the position in the journal.
	Offset Offset
	// UID was given to the event when it was first written. It tells two events apart that took the same
	// place in different histories of a journal, for example before and after a restore.
	UID [16]byte
	// Type is the full name of the protobuf message in Data, such as "shop.v1.OrderPlaced", or whatever name
	// was given to a record that was appended without an actor.
	Type string
	// ContentType is the media type of Data: "application/protobuf" for everything that actors persist.
	ContentType string
	// Data is the encoded event.
	Data []byte
	// Time is when the journal wrote the event, by the journal's clock: UTC, in microseconds.
	Time time.Time
	// Tags were given by the writer, sorted and without repetition; nil if there are none.
	Tags []string
	// Metadata was given by the writer, such as a trace context; nil if there is none.
	Metadata map[string]string
	// Slice is [SliceOf] of the persistence id.
	Slice uint16
}

// ID is the event's identity towards the outside world, the same at every delivery:
// "<persistence id>/<sequence number>".
func (e *Event) ID() string {
	return e.PersistenceID + "/" + strconv.FormatInt(e.SequenceNumber, 10)
}

// Size estimates, in bytes, what the event takes up in memory and on the wire. Byte limits count it.
func (e *Event) Size() int {
	n := eventOverhead + len(e.PersistenceID) + len(e.Type) + len(e.ContentType) + len(e.Data)
	for _, t := range e.Tags {
		n += len(t) + stringOverhead
	}
	for k, v := range e.Metadata {
		n += len(k) + len(v) + 2*stringOverhead
	}
	return n
}

// What an Event and a string take up besides their bytes, rounded.
const (
	eventOverhead  = 192
	stringOverhead = 16
)
