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
	Snapshot Snapshot
	// Index is that of the latest snapshot in the store, or of the last save that an earlier life tried under the
	// same epoch, if that is greater: it may still be on its way, and must not replace a newer one. Saves go on
	// from there.
	Index int64
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
}

// Result is the outcome of one event of a batch.
type Result struct {
	// Index is the position in Dispatch.Events.
	Index      int
	Outcome    Outcome
	RetryAfter time.Duration
	Err        string
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

// Cancel takes back AwaitSettled or Flush. A drain cannot be taken back.
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
func (Cancel) input()       {}
func (Fenced) input()       {}
