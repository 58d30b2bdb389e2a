package ledger

import (
	"errors"
	"fmt"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// ErrFenced says that another owner has taken over.
var ErrFenced = query.ErrFenced

// ErrStopped says that the outbox stopped before the answer was known.
var ErrStopped = errors.New("the outbox stopped before that came true")

// ErrDrainDeadline says that a drain ended before everything in flight was answered and saved.
var ErrDrainDeadline = errors.New("the deadline passed before everything in flight was answered and saved")

// ErrBrokenJournal says that a journal's answer broke its contract; going on could lose events.
var ErrBrokenJournal = errors.New("the journal broke its contract")

// ErrConflict says that a command supposes what is not, or no longer, so. It is wrapped with what is.
var ErrConflict = errors.New("the outbox is in another state than the command supposes")

// ErrNotRedriven says that parked events were sent once more, and some of them not published.
var ErrNotRedriven = errors.New("some parked events could not be published")

// ParkedError says that an event was given up on.
type ParkedError struct {
	PersistenceID  string
	SequenceNumber int64
	Reason         string
}

func (e *ParkedError) Error() string {
	return fmt.Sprintf("event %s/%d was parked: %s", e.PersistenceID, e.SequenceNumber, e.Reason)
}

// SkippedError says that an event was let go of, and will not be published.
type SkippedError struct {
	PersistenceID  string
	SequenceNumber int64
	Reason         string
}

func (e *SkippedError) Error() string {
	return fmt.Sprintf("event %s/%d was skipped: %s", e.PersistenceID, e.SequenceNumber, e.Reason)
}
