package journal

import (
	"errors"
	"fmt"
	"slices"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

var (
	// ErrNotEncodable says that an event or snapshot cannot be stored as it is: it is nil, protobuf refuses it
	// (for example a string that is not valid UTF-8), its type is not linked into the program and could
	// therefore not be replayed, or one of its tags or its metadata is not valid text. Nothing was written.
	ErrNotEncodable = errors.New("it cannot be stored")

	// ErrNotDecodable says that a stored event or snapshot cannot be turned back into its protobuf message:
	// its type is not linked into the program, or its data are not of that type.
	ErrNotDecodable = errors.New("it cannot be decoded")

	// ErrEventsMissing says that events which the actor needs to recover are hidden or gone. The actor cannot
	// recover without them, or without a snapshot that covers them.
	ErrEventsMissing = errors.New("events are missing")

	// ErrUnconfirmed says that a store has taken an event without an error, and does not show it. It may or may not come to
	// light: the actor must recover to know.
	ErrUnconfirmed = errors.New("the store does not show what it has taken")

	// ErrUnsafeDelete says that a deletion would leave the actor unable to recover: only events that the newest
	// snapshot covers may be deleted, and the newest snapshot only while no event is. Nothing was deleted.
	ErrUnsafeDelete = errors.New("the actor could not recover any more")

	// ErrNotPersistent says that an actor under [Using] does not embed persistence.Mixin.
	ErrNotPersistent = errors.New("the actor does not embed persistence.Mixin")

	// ErrNotRecovered says that an actor tried to persist something before its recovery was complete, or after
	// it had failed. An actor may persist from persistence.ReplayComplete on; Recovering tells.
	ErrNotRecovered = errors.New("the actor has not recovered")
)

// Error is what a provider panics with, for the supervisor of the actor to see as the reason of the failure.
type Error struct {
	// Op is what was being done, such as "persist event".
	Op string
	// PersistenceID is the actor's persistence id, or what was meant to be one.
	PersistenceID string
	// SequenceNumber is the event's; 0 where no single event is concerned.
	SequenceNumber int64
	// Err is the cause.
	Err error
}

func (e *Error) Error() string {
	id := fmt.Sprintf("%q", e.PersistenceID)
	if len(e.PersistenceID) > query.MaxIDBytes {
		id = fmt.Sprintf("%.40q…", e.PersistenceID)
	}
	if e.SequenceNumber > 0 {
		return fmt.Sprintf("journal: %s %d of %s: %v", e.Op, e.SequenceNumber, id, e.Err)
	}
	return fmt.Sprintf("journal: %s of %s: %v", e.Op, id, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// IsFinal reports whether err would come back however often the call is repeated: a conflict, an invalid id, a
// closed journal, or one of this package's errors. Any other error is taken for transient, and leaves open whether
// the call took effect.
func IsFinal(err error) bool {
	return slices.ContainsFunc(finalErrors, func(final error) bool { return errors.Is(err, final) })
}

var finalErrors = []error{
	ErrSequenceConflict,
	query.ErrInvalidID,
	query.ErrClosed,
	ErrNotEncodable,
	ErrNotDecodable,
	ErrEventsMissing,
	ErrUnconfirmed,
	ErrUnsafeDelete,
	ErrNotPersistent,
	ErrNotRecovered,
}
