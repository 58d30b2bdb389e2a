package ledger

import (
	"errors"
	"fmt"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

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
	// Err is nil, a *[ParkedError], [ErrDrainDeadline] or what the ledger stopped with.
	Err error
}

// Notice is worth a line in the log.
type Notice struct {
	Kind           NoticeKind
	PersistenceID  string
	SequenceNumber int64
	Err            string
}

// NoticeKind says what a [Notice] is about.
type NoticeKind uint8

// The kinds of notices.
const (
	NoticeHeld NoticeKind = iota
	NoticeRejoined
	NoticeParked
	NoticeMissing
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

// ErrFenced says that another owner has taken over.
var ErrFenced = query.ErrFenced

// ErrStopped says that the outbox stopped before the answer was known.
var ErrStopped = errors.New("the outbox stopped before that came true")

// ErrDrainDeadline says that a drain ended before everything in flight was answered and saved.
var ErrDrainDeadline = errors.New("the deadline passed before everything in flight was answered and saved")

// ErrBrokenJournal says that a journal's answer broke its contract; going on could lose events.
var ErrBrokenJournal = errors.New("the journal broke its contract")

// ParkedError says that an event was given up on.
type ParkedError struct {
	PersistenceID  string
	SequenceNumber int64
	Reason         string
}

func (e *ParkedError) Error() string {
	return fmt.Sprintf("event %s/%d was parked: %s", e.PersistenceID, e.SequenceNumber, e.Reason)
}
