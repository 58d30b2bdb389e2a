package journal

import (
	"context"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// Record is an event that no persistent actor writes: that of code which has its state elsewhere, and uses the journal
// as a transactional outbox. The journal gives it the next sequence number of its persistence id.
//
// A persistence id belongs either to an actor or to such code: an actor whose id somebody else appends to meets
// [ErrSequenceConflict] at its next event.
type Record struct {
	// PersistenceID names the entity; its records are published in the order in which they were committed.
	PersistenceID string
	// Type is the event's public name, such as "shop.v1.OrderPlaced". Of a protobuf message it is the full name.
	Type string
	// ContentType is the media type of Data, such as "application/json".
	ContentType string
	// Data is opaque to the journal. It is not modified, and not kept.
	Data []byte
	// Tags can be selected by a feed's filter.
	Tags []string
	// Metadata travels with the event; traceparent and tracestate continue a trace.
	Metadata map[string]string
}

// Appender is a journal that takes records. SQL journals also have AppendTx, in a transaction of the application.
type Appender interface {
	// Append commits the records, all of them or none, and returns where each was stored, in order. Each record gets the
	// next sequence number of its id, whoever else appends to it at the same time. If the outcome is unknown to the
	// caller, appending again may store the records a second time.
	Append(ctx context.Context, records ...Record) ([]query.Pointer, error)
}
