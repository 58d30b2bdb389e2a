package shards

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/stored"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// layoutKeep is what a layout has the journal keep: nothing.
var layoutKeep = query.Keep{Watermark: math.MaxInt64}

// creation lets the shards of one member store the layout one after another, so that the first does it for all. Nil lets
// everybody in.
type creation struct {
	turn chan struct{}
	// registered are the shards, from the first, that are so by now: an attempt that takes too long is gone on with. It belongs to who
	// has entered.
	registered int
}

func newCreation() *creation { return &creation{turn: make(chan struct{}, 1)} }

// enter waits until nobody else of this member stores the layout, or ctx ends.
func (c *creation) enter(ctx context.Context) (leave func(), err error) {
	select {
	case c.turn <- struct{}{}:
		return func() { <-c.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// checkLayout returns nil if the stored layout is that of these names. Where none is stored, it stores it: of several
// members that do so at once, one succeeds. Its errors wrap ErrLayout or ErrPlain, or are transient.
func checkLayout(ctx context.Context, store query.SnapshotStore, n names, creating *creation) error {
	found, err := findLayout(ctx, store, n)
	if found || err != nil {
		return err
	}
	if creating == nil {
		creating = newCreation()
	}
	leave, err := creating.enter(ctx)
	if err != nil {
		return fmt.Errorf("store the layout of outbox %q: %w", n.name, err)
	}
	defer leave()
	if found, err = findLayout(ctx, store, n); found || err != nil {
		return err
	}
	return createLayout(ctx, store, n, creating)
}

// findLayout looks for a layout, and compares it.
func findLayout(ctx context.Context, store query.SnapshotStore, n names) (found bool, err error) {
	saved, err := store.Load(ctx, n.layoutKey())
	if err != nil {
		return false, fmt.Errorf("read the layout of outbox %q: %w", n.name, err)
	}
	if saved.Index == 0 {
		return false, nil
	}
	return true, n.compare(saved)
}

// createLayout stores it, once its shards are registered: the layout has the journal keep nothing, and what a shard has yet to
// publish is kept only for one that is registered, whenever it runs for the first time.
func createLayout(ctx context.Context, store query.SnapshotStore, n names, creating *creation) error {
	found, err := registerShards(ctx, store, n, creating)
	if err == nil && !found {
		err = storeLayout(ctx, store, n)
	}
	if isLayout(err) { // another number was faster
		for ; creating.registered > 0; creating.registered-- {
			if forget := store.Unregister(ctx, n.key(creating.registered-1)); forget != nil {
				return errors.Join(err, fmt.Errorf("what it has registered holds back the journal's retention: %w", forget))
			}
		}
	}
	if err == nil {
		creating.registered = 0
	}
	return err
}

// registerShards goes on until somebody else has stored a layout, which is found then. It sees the epoch of a shard first, and
// then that there is no layout: a shard that runs has been taken over since, under a layout, and is not fenced by this.
func registerShards(ctx context.Context, store query.SnapshotStore, n names, creating *creation) (found bool, err error) {
	for creating.registered < n.shards {
		key := n.key(creating.registered)
		seen, err := store.Load(ctx, key)
		if err == nil {
			if found, err = findLayout(ctx, store, n); found || err != nil {
				return found, err
			}
			_, err = store.Acquire(ctx, key, 0, seen.Epoch)
		}
		switch {
		case err == nil:
			creating.registered++
		case !errors.Is(err, query.ErrTakenMeanwhile): // or else another member was faster, and it is looked at again
			return false, fmt.Errorf("register shard %d of outbox %q: %w", creating.registered, n.name, err)
		}
	}
	return false, nil
}

func storeLayout(ctx context.Context, store query.SnapshotStore, n names) error {
	saved, err := store.Load(ctx, n.layoutKey())
	if err == nil && saved.Index == 0 {
		saved, err = store.Acquire(ctx, n.layoutKey(), 0, saved.Epoch)
	}
	if err != nil {
		return fmt.Errorf("store the layout of outbox %q: %w", n.name, err)
	}
	if saved.Index > 0 { // somebody was faster
		return n.compare(saved)
	}
	layout := &outboxv1.Layout{Shards: int32(n.shards), Since: timestamppb.New(time.Now())}
	saved = query.Saved{Epoch: saved.Epoch, Index: 1, Data: stored.SealLayout(layout), Keep: layoutKeep}
	err = store.Save(ctx, n.layoutKey(), saved)
	if errors.Is(err, query.ErrFenced) || errors.Is(err, query.ErrStaleIndex) {
		// Another member is at it. Fenced is final to an outbox, and this is not.
		return fmt.Errorf("store the layout of outbox %q: another member does so too: %v", n.name, err) //nolint:errorlint // see above
	}
	if err != nil {
		return fmt.Errorf("store the layout of outbox %q: %w", n.name, err)
	}
	return nil
}

// compare returns nil if what is stored is the layout of these names.
func (n names) compare(saved query.Saved) error {
	layout, err := stored.OpenLayout(saved.Data)
	switch {
	case errors.Is(err, stored.ErrKind):
		return fmt.Errorf("%w: run outbox %q without shards, or move it to %d shards with shards.Resize from 0 shards", ErrPlain, n.name, n.shards)
	case err != nil:
		return fmt.Errorf("%w: it cannot be read: %w", ErrLayout, err)
	case layout.GetResize() != nil:
		return fmt.Errorf("%w: it is being changed from %d to %d shards: complete that with shards.Resize, and configure members for %d",
			ErrLayout, layout.GetShards(), layout.GetResize().GetTo(), layout.GetResize().GetTo())
	case int(layout.GetShards()) != n.shards:
		return fmt.Errorf("%w: outbox %q has %d shards, this member is configured for %d: configure it for %d, or stop all members and change the number with shards.Resize",
			ErrLayout, n.name, layout.GetShards(), n.shards, layout.GetShards())
	}
	return nil
}
