package journaltest_test

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journaltest"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// transactional is a journal that gives out offsets before it commits, as sequences of databases do, and commits in any
// order. What is committed is in a journal in memory; what it adds are offsets, and transactions that hold them open.
type transactional struct {
	*faulty
	withoutTrim //nolint:unused // it hides a method: what the journal in memory removes goes by other offsets

	mu      sync.Mutex
	given   query.Offset                   // the last offset that was given out
	offsets map[query.Pointer]query.Offset // of what is committed
	open    map[*transaction]chan struct{} // closed when it ends
	horizon func(lowestOpen query.Offset) query.Offset
}

// withoutTrim makes what it is embedded in, beside a journal.Trimmer, none.
type withoutTrim struct{} //nolint:unused // by being there

func (withoutTrim) Trim() {} //nolint:unused // by being there

type transaction struct {
	j      *transactional
	event  query.Event
	offset query.Offset
	commit func(context.Context, query.Event) error
}

var errEnded = errors.New("the transaction has ended")

func newTransactional(f *faulty) *transactional {
	j := &transactional{faulty: f, offsets: map[query.Pointer]query.Offset{}, open: map[*transaction]chan struct{}{}}
	// Readers may go up to just before the lowest offset that may still commit.
	j.horizon = func(lowestOpen query.Offset) query.Offset { return lowestOpen - 1 }
	store := f.append
	f.append = func(ctx context.Context, e query.Event) error {
		tx, err := j.begin(ctx, e, store)
		if err != nil {
			return err
		}
		return tx.end(func() error { return store(ctx, e) })
	}
	f.record = func(ctx context.Context, records ...journal.Record) ([]query.Pointer, error) {
		return j.recordAll(ctx, records)
	}
	f.onReads(func(e *query.Event) {
		j.mu.Lock()
		defer j.mu.Unlock()
		e.Offset = j.offsets[pointer(*e)]
	})
	f.events = func(ctx context.Context, after query.Offset, filter query.Filter, limits query.Limits) (query.Page, error) {
		return j.page(ctx, after, filter, limits)
	}
	f.head = func(ctx context.Context) (query.Head, error) {
		head, err := f.memory.Head(ctx)
		j.mu.Lock()
		defer j.mu.Unlock()
		head.Offset = j.given
		return head, err
	}
	f.offsetAt = j.offset
	return j
}

func pointer(e query.Event) query.Pointer {
	return query.Pointer{PersistenceID: e.PersistenceID, SequenceNumber: e.SequenceNumber}
}

// waits reports whether an append would wait.
func (j *transactional) waits(e query.Event) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for tx := range j.open {
		if tx.event.PersistenceID == e.PersistenceID {
			return true
		}
	}
	return false
}

// begin waits for the transactions that append to the same id, and takes an offset.
func (j *transactional) begin(ctx context.Context, e query.Event, commit appendFunc) (*transaction, error) {
	for {
		tx, wait := j.tryToBegin(e, commit)
		if tx != nil {
			return tx, nil
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// tryToBegin returns the transaction, or what is closed when it is worthwhile to try again.
func (j *transactional) tryToBegin(e query.Event, commit appendFunc) (*transaction, chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for tx, ended := range j.open {
		if tx.event.PersistenceID == e.PersistenceID {
			return nil, ended
		}
	}
	j.given++
	tx := &transaction{j, e, j.given, commit}
	j.open[tx] = make(chan struct{})
	return tx, nil
}

func (tx *transaction) Commit() error {
	return tx.end(func() error { return tx.commit(context.Background(), tx.event) })
}

func (tx *transaction) Rollback() error { return tx.end(func() error { return nil }) }

func (tx *transaction) end(do func() error) error {
	j := tx.j
	j.mu.Lock()
	defer j.mu.Unlock()
	ended, ok := j.open[tx]
	if !ok {
		return errEnded
	}
	before, _ := j.memory.Head(context.Background())
	err := do()
	if after, _ := j.memory.Head(context.Background()); after.Offset > before.Offset {
		j.offsets[pointer(tx.event)] = tx.offset
	}
	delete(j.open, tx)
	close(ended)
	return err
}

// recordAll appends the records next to each other.
func (j *transactional) recordAll(ctx context.Context, records []journal.Record) ([]query.Pointer, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	pointers, err := j.memory.Append(ctx, records...)
	for _, p := range pointers {
		j.given++
		j.offsets[p] = j.given
	}
	return pointers, err
}

// committed are all events in the order of their offsets, and the offset up to which they are complete.
func (j *transactional) committed(ctx context.Context) (all []query.Event, horizon query.Offset, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	page, err := j.memory.Events(ctx, 0, query.Filter{}, query.Limits{Events: math.MaxInt})
	if err != nil {
		return nil, 0, err
	}
	for i := range page.Events {
		page.Events[i].Offset = j.offsets[pointer(page.Events[i])]
	}
	slices.SortFunc(page.Events, func(a, b query.Event) int { return cmp.Compare(a.Offset, b.Offset) })
	horizon = j.given
	for tx := range j.open {
		horizon = min(horizon, j.horizon(tx.offset))
	}
	return page.Events, horizon, nil
}

func (j *transactional) page(ctx context.Context, after query.Offset, filter query.Filter, limits query.Limits) (query.Page, error) {
	if limits.Events < 1 {
		return query.Page{}, errors.New("ask for at least one event")
	}
	all, horizon, err := j.committed(ctx)
	if err != nil {
		return query.Page{}, err
	}
	page, size := query.Page{Next: max(after, horizon)}, 0
	for i := range all {
		e := &all[i]
		if e.Offset <= after || e.Offset > horizon || !filter.Matches(e) {
			continue
		}
		size += e.Size()
		if n := len(page.Events); n > 0 && (n == limits.Events || limits.Bytes > 0 && size > limits.Bytes) {
			page.Next, page.More = page.Events[n-1].Offset, true
			break
		}
		page.Events = append(page.Events, *e)
	}
	return page, nil
}

// offset finds a time: what is still open may have any.
func (j *transactional) offset(ctx context.Context, t time.Time) (query.Offset, error) {
	all, horizon, err := j.committed(ctx)
	for i := range all {
		if !all[i].Time.Before(t) {
			return min(horizon, all[i].Offset-1), err
		}
	}
	return horizon, err
}

// transactionalHarness is that of a journal with several transactions at a time.
func transactionalHarness(breaks func(*transactional)) journaltest.Harness {
	h := harness(func(*faulty) {})
	h.Reopen, h.Crash, h.Open = nil, nil, nil
	h.Capabilities.Trimmer = false
	h.New = func(t *testing.T) journaltest.Journal {
		m := memory.New()
		t.Cleanup(func() { _ = m.Close() })
		j := newTransactional(newFaulty(m))
		breaks(j)
		return j
	}
	h.Begin = func(t *testing.T, journal journaltest.Journal, e query.Event) journaltest.Transaction {
		j := journal.(*transactional)
		tx, err := j.begin(t.Context(), e, j.memory.AppendEvent)
		require.NoError(t, err)
		return tx
	}
	return h
}

// breaksTransactions has the suite run on a transactional journal that is broken so.
func breaksTransactions(breaks func(*transactional)) func(*journaltest.Harness) {
	return func(h *journaltest.Harness) { *h = transactionalHarness(breaks) }
}

var brokenTransactions = []broken{
	{name: "passes transactions that are open", finds: []string{
		"open transaction/is not passed by a reader", "open transaction/is not passed when the others commit in any order",
		"open transaction/among many that come and go, none is missed",
	}, says: "late/1", breaks: func(*faulty) {}, harness: breaksTransactions(func(j *transactional) {
		j.horizon = func(query.Offset) query.Offset { return math.MaxInt64 }
	})},
	{name: "passes transactions where it is asked for a tag", finds: []string{"open transaction/is not passed by a reader"}, says: "a reader of a tag",
		breaks: func(*faulty) {}, harness: breaksTransactions(func(j *transactional) {
			j.onPage(func(page *query.Page, _ query.Offset, filter query.Filter, _ query.Limits) {
				if len(filter.Tags) > 0 && !page.More {
					head, _ := j.head(context.Background())
					page.Next = max(page.Next, head.Offset)
				}
			})
		})},
	{name: "goes up to and including an open transaction", finds: []string{"open transaction/is not passed by a reader"}, says: "late/1",
		breaks: func(*faulty) {}, harness: breaksTransactions(func(j *transactional) {
			j.horizon = func(lowestOpen query.Offset) query.Offset { return lowestOpen }
		})},
	{name: "never passes what was rolled back", finds: []string{
		"open transaction/that is rolled back is passed after a while", "open transaction/that is the last one is passed when it is rolled back",
	}, says: "reaches the head: it did not come to that", breaks: func(*faulty) {}, harness: breaksTransactions(func(j *transactional) {
		j.onPage(func(page *query.Page, after query.Offset, _ query.Filter, _ query.Limits) {
			all, _, _ := j.committed(context.Background())
			gap := query.Offset(1)
			for gap <= query.Offset(len(all)) && all[gap-1].Offset == gap {
				gap++
			}
			page.Next = max(after, min(page.Next, gap-1))
			page.Events = slices.DeleteFunc(page.Events, func(e query.Event) bool { return e.Offset >= gap })
		})
	})},
	{name: "has more behind an open transaction", finds: []string{"open transaction/does not make a reader ask again at once"},
		says: "there is nothing more to be had yet", breaks: func(*faulty) {}, harness: breaksTransactions(func(j *transactional) {
			j.onPage(func(page *query.Page, _ query.Offset, _ query.Filter, _ query.Limits) {
				head, _ := j.head(context.Background())
				page.More = page.More || page.Next < head.Offset
			})
		})},
	{name: "shows what is not committed", finds: []string{"open transaction/is invisible until it commits"}, says: "a/2", breaks: func(*faulty) {},
		harness: func(h *journaltest.Harness) {
			*h = transactionalHarness(func(*transactional) {})
			h.Begin = func(t *testing.T, j journaltest.Journal, e query.Event) journaltest.Transaction {
				require.NoError(t, j.AppendEvent(t.Context(), e))
				return ended{}
			}
		}},
	{name: "does not wait for a writer of the same id", finds: []string{
		"open transaction/holds up another writer of its id, until it commits", "open transaction/settles an append of the same event",
		"open transaction/holds nobody up longer than his context", "open transaction/holds up another writer of its id, until it is rolled back",
	}, says: "database is locked", breaks: func(*faulty) {}, harness: breaksTransactions(func(j *transactional) {
		j.onAppend(func(ctx context.Context, e query.Event, good appendFunc) error {
			if j.waits(e) {
				return errors.New("database is locked")
			}
			return good(ctx, e)
		})
	})},
	{name: "holds writers up for ever", finds: []string{"open transaction/holds nobody up longer than his context"}, says: "does not return",
		breaks: func(*faulty) {}, harness: breaksTransactions(func(j *transactional) {
			j.onAppend(func(ctx context.Context, e query.Event, good appendFunc) error {
				return good(context.WithoutCancel(ctx), e)
			})
		})},
	{name: "finds times behind open transactions", finds: []string{"open transaction/is not passed by a search for a time"}, says: "late/1",
		breaks: func(*faulty) {}, harness: breaksTransactions(func(j *transactional) {
			j.offsetAt = func(ctx context.Context, _ time.Time) (query.Offset, error) {
				all, _, err := j.committed(ctx)
				return all[0].Offset - 1, err
			}
		})},
}

// ended is a transaction that has ended before.
type ended struct{}

func (ended) Commit() error   { return nil }
func (ended) Rollback() error { return nil }

var _ journal.Store = (*transactional)(nil)
