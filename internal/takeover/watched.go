package takeover

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// watched is a journal that reports what becomes of its snapshots. It has no other capability: it is looked at by polling.
type watched struct {
	query.Journal
	store    query.SnapshotStore
	reporter *reporter
}

// Acquire implements query.SnapshotStore.
func (w watched) Acquire(ctx context.Context, key string, held, seen int64) (query.Saved, error) {
	began := time.Now()
	saved, err := w.store.Acquire(ctx, key, held, seen)
	return saved, w.tell(began, Acquired, key, saved.Epoch, saved.Index, err)
}

// Load implements query.SnapshotStore.
func (w watched) Load(ctx context.Context, key string) (query.Saved, error) {
	return w.store.Load(ctx, key)
}

// Save implements query.SnapshotStore.
func (w watched) Save(ctx context.Context, key string, s query.Saved) error {
	began := time.Now()
	err := w.store.Save(ctx, key, s)
	return w.tell(began, Saved, key, s.Epoch, s.Index, err)
}

// Unregister implements query.SnapshotStore.
func (w watched) Unregister(ctx context.Context, key string) error {
	return w.store.Unregister(ctx, key)
}

func (w watched) tell(began time.Time, what What, key string, epoch, index int64, err error) error {
	switch {
	case errors.Is(err, query.ErrFenced):
		what = Fenced
	case err != nil:
		return err
	}
	if !strings.Contains(key, "/"+outboxName+"-") {
		return err // the layout's
	}
	return errors.Join(err, w.reporter.report(Report{What: what, Key: key, Epoch: epoch, Index: index, Began: began, Ended: time.Now()}))
}
