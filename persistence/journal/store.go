package journal

import (
	"context"
	"errors"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// ErrSequenceConflict says that another event already has the sequence number, or that the sequence number
// before it is missing: somebody else writes to the same persistence id. It is final for this append.
var ErrSequenceConflict = errors.New("sequence number conflict: another writer uses this persistence id")

// Store is what a journal implements to become a Proto.Actor provider; see [NewProvider]. Unlike a provider's
// methods, its methods take a context and return errors. They are called concurrently.
//
// An error for which [IsFinal] reports false is transient, and its outcome unknown: the caller repeats the call.
type Store interface {
	// AppendEvent commits the event e of a persistent actor: id, sequence number, UID, type, content type, data,
	// tags and metadata are set; offset, time and slice are the journal's to give. The sequence number must be
	// the id's last + 1, else the error wraps ErrSequenceConflict. If the stored event with that sequence
	// number has the same UID, an earlier try has succeeded without our hearing of it: the answer is nil.
	AppendEvent(ctx context.Context, e query.Event) error

	// Replay calls fn for every event of the id with a sequence number of at least from and, if to is not 0,
	// at most to, in order, leaving out hidden ones. An error of fn ends the replay and is returned.
	Replay(ctx context.Context, id string, from, to int64, fn func(query.Event) error) error

	// HideEvents marks the id's events up to and including the sequence number as deleted by their actor:
	// they are no longer replayed, but stay readable through query.Journal.
	HideEvents(ctx context.Context, id string, through int64) error

	// LoadActorSnapshot returns the actor's snapshot with the greatest index; ok is false if there is none.
	LoadActorSnapshot(ctx context.Context, id string) (s ActorSnapshot, ok bool, err error)

	// SaveActorSnapshot stores a snapshot, replacing one with the same index.
	SaveActorSnapshot(ctx context.Context, id string, s ActorSnapshot) error

	// DeleteActorSnapshots removes the actor's snapshots up to and including the index.
	DeleteActorSnapshots(ctx context.Context, id string, through int64) error
}

// ActorSnapshot is a persistent actor's snapshot. It has nothing to do with an outbox's.
type ActorSnapshot struct {
	// Index is the number of events that the snapshot covers: Proto.Actor's snapshot index.
	Index int64
	// Type is the full name of the protobuf message in Data.
	Type string
	Data []byte
}
