package ledger

import (
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// Input is something that happened. Inputs may come late, twice or never. Those that answer what an earlier ledger
// asked for must be kept from this one; only [Published] may come, its generation tells.
type Input interface{ input() }

// Recovered starts the ledger from the latest snapshot. It is the first input, and comes once.
type Recovered struct {
	// Snapshot is the stored one, or that of the last save that was tried, if that is a later one.
	Snapshot Snapshot
	// Index is that of the snapshot in the store. Tried is that of the last save that an earlier life has tried under the
	// same epoch, 0 if there is none: where it is greater, that save may still be on its way. It would replace the snapshot
	// that this life begins with by another one, so that nothing is read or sent before a save with a greater index is
	// known, which the store does not let it replace.
	Index, Tried int64
	// Base says that the snapshot is a new beginning that is not stored yet: nothing is read before it is known to be.
	// Otherwise a crash could begin somewhere else.
	Base bool
	// Token, if not 0, is that of a command that is answered once the new beginning is saved.
	Token uint64
}

// Tick says that time has passed.
type Tick struct{}

// Wake says that the journal may have something new.
type Wake struct{}

// FeedPage answers [ReadFeed]. The ledger keeps pointers into Page.Events.
type FeedPage struct {
	Read uint64
	Page query.Page
}

// FeedFailed answers [ReadFeed].
type FeedFailed struct {
	Read uint64
	Err  error
}

// StreamPage answers [ReadStream]. The ledger keeps pointers into Events.
type StreamPage struct {
	Read   uint64
	Events []query.Event
	More   bool
}

// StreamFailed answers [ReadStream].
type StreamFailed struct {
	Read uint64
	Err  error
}

// Outcome says what became of an event.
type Outcome uint8

// The outcomes. Unknown is the zero value: whatever was not said is not known.
const (
	Unknown Outcome = iota
	OK
	Retry
	Permanent
)

// Published answers [Dispatch].
type Published struct {
	Generation, Batch uint64
	// Outcome and Err hold for every event that Results does not name.
	Outcome Outcome
	Err     string
	Results []Result
	// Destinations says where each event was to go, by its position in Dispatch.Events; "", and what is beyond its end, is
	// not known.
	Destinations []string
}

// Result is the outcome of one event of a batch.
type Result struct {
	// Index is the position in Dispatch.Events.
	Index      int
	Outcome    Outcome
	RetryAfter time.Duration
	Err        string
	// Destination is where the event was to go; where it is "", Published.Destinations says.
	Destination string
}

// LaneUp says that a lane's publisher can take batches. Lanes are down at first.
type LaneUp struct{ Lane int }

// LaneDown says that a lane's publisher is gone: its unanswered batches will not be answered.
type LaneDown struct{ Lane int }

// SaveResult is the outcome of a save.
type SaveResult uint8

// The results of a save. A save whose outcome stays unknown is SaveFailed: the next one has a greater index, so
// that it does not matter which of the two the store sees.
const (
	SaveFailed SaveResult = iota
	SaveOK
	SaveFenced
)

// Saved answers [Save].
type Saved struct {
	Index  int64
	Result SaveResult
	Err    error
}

// AwaitSettled asks for a [Reply] once an event is settled or parked.
type AwaitSettled struct {
	Token          uint64
	PersistenceID  string
	SequenceNumber int64
	// Offset is the event's.
	Offset query.Offset
}

// Flush asks for a [Reply] once everything at or below an offset is settled or parked, and saved.
type Flush struct {
	Token  uint64
	Offset query.Offset
}

// Drain asks to stop in good order: no more reads and dispatches, wait for what is in flight, save, [Stop].
type Drain struct {
	Token    uint64
	Deadline time.Time
}

// Skip lets go of an event for good, if it is the first of its id that is not published, or parked: whoever asks has
// seen the state that he acts on. The [Reply] comes once that is saved; its error is [ErrConflict] otherwise.
type Skip struct {
	Token          uint64
	PersistenceID  string
	SequenceNumber int64
	// Offset is the event's; 0 if the journal does not have it, in which case only a parked one can be skipped.
	Offset query.Offset
}

// RetryNow has those who wait after a failure, or for an operator, tried again at once: one id, or all if it is empty.
// The [Reply] tells how many.
type RetryNow struct {
	Token         uint64
	PersistenceID string
}

// Redrive sends parked events once more, one after another: one event, all of an id if SequenceNumber is 0, all if
// PersistenceID is empty. What is delivered is no longer parked. The [Reply] comes when all were tried and the outcome
// is saved; it tells how many were delivered, and its error is [ErrNotRedriven] if one was not.
type Redrive struct {
	Token          uint64
	PersistenceID  string
	SequenceNumber int64
}

// Rewind sets the watermark back, so that everything after it is published again, except what is parked. It waits for
// what is in flight. The [Reply] comes once the new watermark is saved.
type Rewind struct {
	Token uint64
	To    query.Offset
}

// Pause stops reading and sending until [Resume], over restarts too. The [Reply] comes once that is saved.
type Pause struct{ Token uint64 }

// Resume ends a pause. The [Reply] comes once that is saved.
type Resume struct{ Token uint64 }

// Cancel takes back AwaitSettled or Flush. What changes something cannot be taken back.
type Cancel struct{ Token uint64 }

// Fenced says that another owner was seen.
type Fenced struct{}

func (Recovered) input()    {}
func (Tick) input()         {}
func (Wake) input()         {}
func (FeedPage) input()     {}
func (FeedFailed) input()   {}
func (StreamPage) input()   {}
func (StreamFailed) input() {}
func (Published) input()    {}
func (LaneUp) input()       {}
func (LaneDown) input()     {}
func (Saved) input()        {}
func (AwaitSettled) input() {}
func (Flush) input()        {}
func (Drain) input()        {}
func (Skip) input()         {}
func (RetryNow) input()     {}
func (Redrive) input()      {}
func (Rewind) input()       {}
func (Pause) input()        {}
func (Resume) input()       {}
func (Cancel) input()       {}
func (Fenced) input()       {}
