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

// checkLayout returns nil if the stored layout is that of these names. Where none is stored, it stores it: of several
// members that do so at once, one succeeds. Its errors wrap ErrLayout or ErrPlain, or are transient.
func checkLayout(ctx context.Context, store query.SnapshotStore, n names) error {
	saved, err := store.Load(ctx, n.layoutKey())
	if err != nil {
		return fmt.Errorf("read the layout of outbox %q: %w", n.name, err)
	}
	if saved.Index == 0 {
		return createLayout(ctx, store, n)
	}
	return n.compare(saved)
}

func createLayout(ctx context.Context, store query.SnapshotStore, n names) error {
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
