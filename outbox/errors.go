package outbox

import (
	"errors"
	"fmt"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/ledger"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/stored"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// Errors that an outbox stops with, or that its [Client] returns. They are wrapped with details.
var (
	// ErrFenced: another outbox of this name has taken over. Do not respawn this one: the other is at work.
	ErrFenced = query.ErrFenced
	// ErrNameInUse: another outbox of this name runs in the same actor system.
	ErrNameInUse = errors.New("an outbox of this name runs already in this actor system")
	// ErrCorruptSnapshot: the stored offsets cannot be read. Going on without them would publish everything again,
	// so the outbox does not.
	ErrCorruptSnapshot = stored.ErrCorrupt
	// ErrNewerSnapshot: the stored offsets were written by a newer version of the outbox, which is the one to run.
	ErrNewerSnapshot = stored.ErrNewer
	// ErrSharded: the outbox of this name runs in shards; see package shards. Run it there, or choose another name.
	ErrSharded = errors.New("the outbox of this name runs in shards: run it with package shards, or choose another name")
	// ErrCrashed: the outbox panicked, and its supervisor stopped it.
	ErrCrashed = errors.New("the outbox crashed and was stopped by its supervisor")
	// ErrJournalChanged: the journal is not the one, or not in the history, that the offsets belong to. The outbox does not
	// stop, but waits for the right one, or for an operator; see [Blocked].
	ErrJournalChanged = errors.New("the journal is not the one that the outbox's offsets belong to")
	// ErrBrokenJournal: an answer of the journal broke the contract of query.Journal.
	ErrBrokenJournal = ledger.ErrBrokenJournal
	// ErrStopped: the outbox has stopped, or stopped before it could answer.
	ErrStopped = errors.New("the outbox has stopped")
	// ErrDrainDeadline: a drain ended before everything in flight was answered and saved.
	ErrDrainDeadline = ledger.ErrDrainDeadline
	// ErrNotFound: the journal has no such event.
	ErrNotFound = errors.New("no such event")
	// ErrFiltered: the outbox's filter leaves the event out, so it will never be published.
	ErrFiltered = errors.New("the outbox's filter leaves this event out")
	// ErrConflict: the outbox is in another state than the command supposes. Look at its status, and ask again.
	ErrConflict = ledger.ErrConflict
	// ErrNotRedriven: some parked events could not be published, and are still parked.
	ErrNotRedriven = ledger.ErrNotRedriven
	// ErrUnsupported: the command cannot be carried out with this outbox or its journal.
	ErrUnsupported = errors.New("the outbox cannot do that")
	// ErrUnauthorized: the outbox takes no commands from outside its actor system; see [WithAuthorize].
	ErrUnauthorized = errors.New("command refused")
	// ErrUnavailable: the journal did not answer, or the outbox was restarted meanwhile; ask again.
	ErrUnavailable = errors.New("the outbox cannot answer now: ask again")
)

// ParkedError is returned by [Client.WaitPublished] for an event that was given up on.
type ParkedError = ledger.ParkedError

// SkippedError is returned by [Client.WaitPublished] for an event that was let go of.
type SkippedError = ledger.SkippedError

// Stopped is published on the actor system's event stream when an outbox has stopped.
type Stopped struct {
	// Name of the outbox.
	Name string
	// PID it had.
	PID *actor.PID
	// Err says why it stopped itself; nil if it was told to, or drained.
	Err error
	// Abandoned are the publishers in which a Publish call has not returned although its context has ended:
	// its goroutine stays behind.
	Abandoned []*actor.PID
	// Unreturned are the calls into the journal of which the same is true.
	Unreturned int
}

// OptionError says what is wrong with an argument of [Props].
type OptionError struct {
	// Option is the argument or the option function's name.
	Option string
	// Problem says what is wrong and what would be right.
	Problem string
}

func (e *OptionError) Error() string {
	return fmt.Sprintf("outbox: %s: %s", e.Option, e.Problem)
}
