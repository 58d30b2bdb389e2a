package ledger

import "github.com/protoactor-contrib/protoactor-outbox/persistence/query"

// Effect is something that the caller of [Ledger.Step] must do, in the order given.
type Effect interface{ effect() }

// ReadFeed asks for a page of the feed: answer with [FeedPage] or [FeedFailed].
type ReadFeed struct {
	Read   uint64
	After  query.Offset
	Limits query.Limits
}

// ReadStream asks for the events of one id: answer with [StreamPage] or [StreamFailed].
type ReadStream struct {
	Read          uint64
	PersistenceID string
	From          int64
	Limits        query.Limits
}

// Dispatch sends a batch to a lane's publisher: answer with [Published]. Events must not be modified or used
// after the answer was given to the ledger.
type Dispatch struct {
	Generation, Batch uint64
	Lane              int
	Events            []*query.Event
}

// Save stores a snapshot: answer with [Saved].
type Save struct {
	Index    int64
	Snapshot Snapshot
}

// Reply answers a command.
type Reply struct {
	Token uint64
	// Count is how many ids or events a command was about, where it may be more than one.
	Count int
	// Err is nil, *[SkippedError], [ErrConflict], [ErrNotRedriven], [ErrDrainDeadline] or what the ledger stopped with.
	Err error
}

// Notice is worth a line in the log.
type Notice struct {
	Kind           NoticeKind
	PersistenceID  string
	SequenceNumber int64
	// Destination is the one that is out, or no longer so; "" if it is the sink as a whole.
	Destination string
	Err         string
}

// NoticeKind says what a [Notice] is about.
type NoticeKind uint8

// The kinds of notices.
const (
	NoticeHeld NoticeKind = iota
	NoticeRejoined
	NoticeParked
	// NoticeSkipped: an event was let go of, by the rule for poison or by an operator.
	NoticeSkipped
	// NoticeStuck: an id waits for an operator.
	NoticeStuck
	// NoticeRedriven: a parked event was published after all.
	NoticeRedriven
	// NoticeGap: the feed has shown an event, but not the one before it, which is looked for by id.
	NoticeGap
	NoticeMissing
	// NoticePaused, NoticeResumed and NoticeRewound tell of what an operator did; the last one once it is saved.
	NoticePaused
	NoticeResumed
	NoticeRewound
	NoticeOutageBegan
	NoticeOutageEnded
)

// Stop ends the ledger: it answers no further input. Err is nil after a drain.
type Stop struct{ Err error }

func (ReadFeed) effect()   {}
func (ReadStream) effect() {}
func (Dispatch) effect()   {}
func (Save) effect()       {}
func (Reply) effect()      {}
func (Notice) effect()     {}
func (Stop) effect()       {}
