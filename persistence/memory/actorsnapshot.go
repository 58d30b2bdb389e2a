package memory

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
)

// The snapshots of each actor are kept in the order of their indexes.

// LoadActorSnapshot implements journal.Store.
func (j *Journal) LoadActorSnapshot(ctx context.Context, id string) (s journal.ActorSnapshot, ok bool, err error) {
	err = onID(ctx, "load the snapshot", id, j.read, func() error {
		if all := j.actors[id]; len(all) > 0 {
			s, ok = all[len(all)-1], true
			s.Data = bytes.Clone(s.Data)
		}
		return nil
	})
	return s, ok, err
}

// SaveActorSnapshot implements journal.Store.
func (j *Journal) SaveActorSnapshot(ctx context.Context, id string, s journal.ActorSnapshot) error {
	s.Data = bytes.Clone(s.Data)
	return onID(ctx, "save a snapshot", id, j.write, func() error {
		at, found := find(j.actors[id], s.Index)
		if found {
			j.actors[id][at] = s
		} else {
			j.actors[id] = slices.Insert(j.actors[id], at, s)
		}
		return nil
	})
}

// DeleteActorSnapshots implements journal.Store.
func (j *Journal) DeleteActorSnapshots(ctx context.Context, id string, through int64) error {
	return onID(ctx, "delete snapshots", id, j.write, func() error {
		at, found := find(j.actors[id], through)
		if found {
			at++
		}
		if j.actors[id] = slices.Delete(j.actors[id], 0, at); len(j.actors[id]) == 0 {
			delete(j.actors, id)
		}
		return nil
	})
}

func find(all []journal.ActorSnapshot, index int64) (at int, found bool) {
	return slices.BinarySearchFunc(all, index, func(s journal.ActorSnapshot, index int64) int {
		return cmp.Compare(s.Index, index)
	})
}
