package query

import (
	"context"
	"errors"
)

// ErrFenced says that the epoch is not, or no longer, the current one of its key: another owner has taken over.
// It is final.
var ErrFenced = errors.New("fenced: another owner has taken over")

// ErrTakenMeanwhile says that the key's epoch is no longer the one that its caller has seen: somebody has taken the key over,
// or unregistered it, since the caller loaded it. Nothing has changed. Who still wants the key loads it again, and tries
// again with the epoch that it finds then.
var ErrTakenMeanwhile = errors.New("taken over by somebody else meanwhile")

// ErrStaleIndex says that a snapshot with the same or a greater index is already stored under the current
// epoch: the one that was refused is old, or was saved before.
var ErrStaleIndex = errors.New("a snapshot with this or a greater index is already saved")

// SnapshotStore keeps the snapshots of outboxes, one per key, so that only the latest owner of a key can save.
// It is apart from the snapshots of persistent actors.
//
// Its methods may be called concurrently and by several processes. An error other than ErrFenced, ErrTakenMeanwhile,
// ErrStaleIndex and ErrClosed leaves the outcome unknown; Load then tells.
type SnapshotStore interface {
	// Acquire takes or re-proves ownership of a key.
	//
	// With held 0 it makes the caller the owner, if the stored epoch is still seen: the one that the caller has
	// loaded, which is 0 where nothing is stored. The epoch grows by one, in the same transaction that compares it and
	// that reads what is saved. The key is registered, so that the journal keeps every event that its owner has yet to
	// publish. Otherwise it answers ErrTakenMeanwhile, and changes nothing. So of several that have seen the same epoch
	// one becomes the owner, and a request that was thought lost, and lands after a later one, fences nobody.
	//
	// With another held it proves that the caller still is the owner: it answers ErrFenced unless held is the current
	// epoch of a registered key, and changes nothing. Seen does not matter then.
	//
	// It returns the current epoch and the latest snapshot; Index is 0 and Data nil if none was ever saved. Nothing is taken
	// over once ctx has ended, but for what the store had begun by then.
	Acquire(ctx context.Context, key string, held, seen int64) (Saved, error)

	// Load returns the current epoch and the latest snapshot of the key, and changes nothing. An unknown key
	// has epoch 0.
	Load(ctx context.Context, key string) (Saved, error)

	// Save stores a snapshot in place of the one before. It answers ErrFenced unless s.Epoch is the current
	// epoch, and ErrStaleIndex unless s.Index is greater than the stored one. It does not keep s.Data.
	Save(ctx context.Context, key string, s Saved) error

	// Unregister removes the key's snapshot and its claim on events. An unknown key is no error. An owner that
	// still runs is fenced by it: the epoch grows, and a later Acquire goes on from there.
	Unregister(ctx context.Context, key string) error
}

// Saved is an owner's snapshot.
type Saved struct {
	// Epoch is the fencing token: it grows each time that somebody takes over the key.
	Epoch int64
	// Index orders the snapshots of one key: it rises from 1, over all epochs, until the key is unregistered.
	Index int64
	// Data is opaque to the store.
	Data []byte
	// Keep is what the journal must not remove.
	Keep Keep
}

// Keep says which events an owner still needs, in terms that a journal understands. A journal may only ever
// remove events at or below Watermark that are neither at or after a held id's next sequence number nor parked.
// The anchor stays too.
type Keep struct {
	// Watermark is the offset at or below which everything is published, held or parked.
	Watermark Offset
	// Anchor is the last event at or below Watermark. It proves, after a restart, that this is still the
	// history in which the watermark was reached. Its zero value means that there is none yet.
	Anchor Pointer
	// Held maps each held persistence id to the next sequence number that is to be published.
	Held map[string]int64
	// Parked are the events that were given up on.
	Parked []Pointer
}

// Pointer names one event.
type Pointer struct {
	PersistenceID  string
	SequenceNumber int64
}
