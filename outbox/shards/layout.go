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
type creation chan struct{}

func newCreation() creation { return make(creation, 1) }

// enter waits until nobody else of this member stores the layout, or ctx ends.
func (c creation) enter(ctx context.Context) (leave func(), err error) {
	if c == nil {
		return func() {}, nil
	}
	select {
	case c <- struct{}{}:
		return func() { <-c }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// checkLayout returns nil if the stored layout is that of these names. Where none is stored, it stores it: of several
// members that do so at once, one succeeds. Its errors wrap ErrLayout or ErrPlain, or are transient.
func checkLayout(ctx context.Context, store query.SnapshotStore, n names, creating creation) error {
	found, err := findLayout(ctx, store, n)
	if found || err != nil {
		return err
	}
	leave, err := creating.enter(ctx)
	if err != nil {
		return fmt.Errorf("store the layout of outbox %q: %w", n.name, err)
	}
	defer leave()
	if found, err = findLayout(ctx, store, n); found || err != nil {
		return err
	}
	return createLayout(ctx, store, n)
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
func createLayout(ctx context.Context, store query.SnapshotStore, n names) error {
	var fresh []string
	for number := range n.shards {
		key := n.key(number)
		registered, err := register(ctx, store, key)
		if err != nil {
			return fmt.Errorf("register shard %d of outbox %q: %w", number, n.name, err)
		}
		if registered {
			fresh = append(fresh, key)
		}
	}
	err := storeLayout(ctx, store, n)
	if isLayout(err) { // another number was faster
		for _, key := range fresh {
			err = errors.Join(err, store.Unregister(ctx, key))
		}
	}
	return err
}

// register makes sure that a key is registered, and reports whether it had not been. Who is faster, and owns the key by now, may be
// fenced by it: he stands by, and goes on soon.
func register(ctx context.Context, store query.SnapshotStore, key string) (fresh bool, err error) {
	saved, err := store.Load(ctx, key)
	if err != nil {
		return false, err
	}
	if saved.Epoch != 0 { // it may have been unregistered since
		if _, err = store.Acquire(ctx, key, saved.Epoch); !errors.Is(err, query.ErrFenced) {
			return false, err
		}
		now, err := store.Load(ctx, key)
		if err != nil || now.Epoch != saved.Epoch {
			return false, err
		}
	}
	if saved, err = store.Acquire(ctx, key, 0); err != nil {
		return false, err
	}
	return true, markReleased(ctx, store, key, saved.Epoch)
}

func storeLayout(ctx context.Context, store query.SnapshotStore, n names) error {
	saved, err := store.Acquire(ctx, n.layoutKey(), 0)
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
