package crash

import (
	"context"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// watched is the journal, which reports what it is about to commit and what it has committed.
type watched struct {
	store
	reporter *reporter
}

// Acquire implements query.SnapshotStore.
func (w watched) Acquire(ctx context.Context, key string, held, seen int64) (query.Saved, error) {
	saved, err := w.store.Acquire(ctx, key, held, seen)
	if err != nil {
		return query.Saved{}, err
	}
	return saved, w.reporter.at(ctx, Acquired, saved.Epoch)
}

// Save implements query.SnapshotStore.
func (w watched) Save(ctx context.Context, key string, s query.Saved) error {
	return w.reporter.around(ctx, saves, s.Index, func() error {
		return w.store.Save(ctx, key, s)
	})
}

// AppendEvent implements journal.Store.
func (w watched) AppendEvent(ctx context.Context, e query.Event) error {
	return w.reporter.around(ctx, appends, e.SequenceNumber, func() error {
		return w.store.AppendEvent(ctx, e)
	})
}
