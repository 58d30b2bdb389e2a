package shards

import (
	"context"
	"errors"
	"fmt"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// Abort takes back a [Resize] that is not complete: members run the old number of shards again. What was published for it stays
// so. It returns ErrLayout if the change is complete.
//
// Where nothing is stored of a change it does nothing, and disturbs nobody. Of one from an outbox without shards nothing is stored
// while it publishes: end its process, and that is all. Once there are offsets of new shards, whoever runs the outbox
// without shards is fenced by taking the change back.
//
// Abort also removes what a member has left that was configured for a wrong number, and died before it knew: from is the right
// number then, and to the wrong one. The shards that such a member has registered never publish anything, so that the journal would
// keep every event for them.
func Abort(ctx context.Context, name string, from, to int, journal query.Journal, publisher *actor.Props, opts ...Option) error {
	r, err := newResize(name, from, to, journal, publisher, opts)
	if err != nil {
		return err
	}
	if err := r.abort(ctx); err != nil {
		return fmt.Errorf("take back the change of outbox %q from %d to %d shards: %w", name, from, to, err)
	}
	return nil
}

func (r *resize) abort(ctx context.Context) error {
	left, err := r.leftovers(ctx)
	if err != nil || !left {
		return err
	}
	// From here on who else is at it is fenced, so that none of the new shards is stored once it is removed.
	record, at, err := r.open(ctx)
	switch {
	case err != nil:
		return err
	case at == complete:
		return errComplete
	case at == begun:
		if err := r.record(ctx, &record, &outboxv1.Layout{Shards: int32(r.shards)}); err != nil {
			return err
		}
	}
	return r.unregister(ctx, r.to)
}

// leftovers reports whether anything is stored of a change that is not complete. It changes nothing.
func (r *resize) leftovers(ctx context.Context) (bool, error) {
	record, err := r.snapshots.Load(ctx, r.layoutKey())
	if err != nil {
		return false, err
	}
	switch at, err := r.stageOf(record); {
	case err != nil:
		return false, err
	case at == complete:
		return false, errComplete
	case at == begun:
		return true, nil
	case r.to.plain():
		return false, nil // it is where the layout is
	}
	for number := range r.to.count() {
		if held, err := isRegistered(ctx, r.snapshots, r.to.key(number)); held || err != nil {
			return held, err
		}
	}
	return false, nil
}

// isRegistered reports whether the journal keeps events for a key: one that was unregistered has an epoch, too, but nobody owns it.
func isRegistered(ctx context.Context, store query.SnapshotStore, key string) (bool, error) {
	saved, err := store.Load(ctx, key)
	if err != nil || saved.Epoch == 0 {
		return false, err
	}
	_, err = store.Acquire(ctx, key, saved.Epoch, 0)
	if errors.Is(err, query.ErrFenced) {
		return false, nil
	}
	return err == nil, err
}

var errComplete = fmt.Errorf("%w: the change is complete", ErrLayout)
