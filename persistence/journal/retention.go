package journal

import (
	"context"
	"errors"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// ErrNoOutbox says that no outbox is registered with the journal, so that nobody can say what has been published. Nothing was
// removed.
var ErrNoOutbox = errors.New("no outbox is registered with the journal, so that nothing is known to be published: " +
	"start the outbox once, with its offsets in this journal, before events are removed")

// Trimmer is a journal that can remove events for good once nobody needs them any more.
type Trimmer interface {
	// Trim removes the events which
	//
	//   - were deleted by their actor, or belong to a stream that was written without one ([Appender]), and
	//   - are older than the retention says, and
	//   - are needed by no registered outbox, by what each has last saved (query.Keep): they are at or below its watermark,
	//     before the next sequence number of an id that it holds, and neither parked nor its anchor.
	//
	// The last event of each persistence id stays, because it tells which sequence number comes next. So does every event of
	// a stream that an actor and other code have both written, unless the actor has deleted it.
	//
	// An outbox is registered from its first start until it is unregistered (query.SnapshotStore), and needs everything until
	// it has saved for the first time. With none the error wraps [ErrNoOutbox]. What an outbox needs whose offsets are kept
	// elsewhere is not known here: a journal that has such a reader is not to be trimmed.
	//
	// It may be called at any time and by several at once, beside appends, reads, and outboxes that register, save, rewind or
	// are unregistered: what an outbox needs by what it has saved when its call returns is there from then on. It works in
	// batches, each a short transaction, and waits in between for as long as the last one took. With an error, or when ctx has
	// ended, those that are done stay done, and Trimmed counts them; of the last one the outcome may be unknown. Calling it
	// again goes on with the rest.
	Trim(ctx context.Context, r Retention) (Trimmed, error)
}

// Retention says what is old enough to be removed.
type Retention struct {
	// Before spares the events whose Time, by the journal's clock, is this moment or later. With the zero value no event is
	// spared for its age. A journal need not look for older events behind many that are younger, as a clock that was set
	// back leaves them: those go once their predecessors are old enough.
	Before time.Time
}

// Spares reports whether an event of that time is too young to be removed.
func (r Retention) Spares(t time.Time) bool { return !r.Before.IsZero() && !t.Before(r.Before) }

// Trimmed is what a call of Trim has done, and what has kept it from removing more.
type Trimmed struct {
	// Events is how many events were removed.
	Events int64
	// Watermark is the lowest one that a registered outbox had saved: every event above it stays.
	Watermark query.Offset
	// Slowest is the key of that outbox. One that is not to come back holds up all removal until it is unregistered.
	Slowest string
}

// Needs is what the registered outboxes of a journal need, all together: what Trim must not remove. Its zero value is that
// of no outbox.
type Needs struct {
	// Outboxes is how many there are.
	Outboxes int
	// Watermark is the lowest one, and Slowest the key of its outbox.
	Watermark query.Offset
	Slowest   string

	held   map[string]int64 // id → the least of the next sequence numbers
	single map[query.Pointer]struct{}
}

// Add adds what the outbox with that key has saved, the zero value if it has saved nothing yet.
func (n *Needs) Add(key string, k query.Keep) {
	if n.Outboxes == 0 || k.Watermark < n.Watermark || (k.Watermark == n.Watermark && key < n.Slowest) {
		n.Watermark, n.Slowest = k.Watermark, key
	}
	n.Outboxes++
	if n.held == nil {
		n.held, n.single = make(map[string]int64), make(map[query.Pointer]struct{})
	}
	for id, next := range k.Held {
		if other, ok := n.held[id]; !ok || next < other {
			n.held[id] = next
		}
	}
	for _, p := range k.Parked {
		n.single[p] = struct{}{}
	}
	if k.Anchor != (query.Pointer{}) {
		n.single[k.Anchor] = struct{}{}
	}
}

// Has reports whether an outbox needs the event p at that offset, or whether there is none that could say that it does not.
func (n *Needs) Has(p query.Pointer, at query.Offset) bool {
	if n.Outboxes == 0 || at > n.Watermark {
		return true
	}
	if next, held := n.held[p.PersistenceID]; held && p.SequenceNumber >= next {
		return true
	}
	_, single := n.single[p]
	return single
}
