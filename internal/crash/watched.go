package crash

import (
	"context"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/sqlite"
)

// watched is the journal, which reports what it is about to commit and what it has committed.
type watched struct {
	*sqlite.Journal
	reporter *reporter
}

// Acquire implements query.SnapshotStore.
func (w watched) Acquire(ctx context.Context, key string, held int64) (query.Saved, error) {
	saved, err := w.Journal.Acquire(ctx, key, held)
	if err != nil {
		return query.Saved{}, err
	}
	return saved, w.reporter.at(ctx, Acquired, saved.Epoch)
}

// Save implements query.SnapshotStore.
func (w watched) Save(ctx context.Context, key string, s query.Saved) error {
	return w.reporter.around(ctx, SaveBegins, Saved, s.Index, func() error {
		return w.Journal.Save(ctx, key, s)
	})
}

// AppendEvent implements journal.Store.
func (w watched) AppendEvent(ctx context.Context, e query.Event) error {
	return w.reporter.around(ctx, AppendBegins, Appended, e.SequenceNumber, func() error {
		return w.Journal.AppendEvent(ctx, e)
	})
}
