package journal

import (
	"context"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// Importer is a journal that takes over the events of streams which were kept elsewhere, with their sequence numbers.
type Importer interface {
	// ImportEvents commits events of one persistence id, all of them or none. Their sequence numbers follow one another.
	// The first one follows the last event of the id; if the id has none, it may be any, because earlier events may have
	// been deleted where they come from. UID, type, content type, data, tags, metadata and, unless it is zero, the time are
	// taken over; offset and slice are the journal's to give.
	//
	// What is there already, under the same number and with the same UID, is passed over, so that repeating a call is safe. If
	// another event is there, or there is a gap, the error wraps [ErrSequenceConflict]. The events are not modified, and
	// nothing of them is kept.
	ImportEvents(ctx context.Context, events []query.Event) error
}
