package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/sqlite"
)

// shop is an application with a table of its own in the journal's file.
type shop struct {
	*sqlite.Journal
	path string
	db   *sql.DB
}

// openShop gives the application's connections the parameters, which are the driver's.
func openShop(t *testing.T, parameters string) *shop {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shop.db")
	s := &shop{Journal: open(t, path), path: path}
	rawSQL(t, path, "CREATE TABLE orders (id TEXT PRIMARY KEY, total INTEGER NOT NULL)")
	db, err := sql.Open("sqlite", "file:"+path+parameters)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	s.db = db
	return s
}

const immediate = "?_txlock=immediate&_pragma=busy_timeout(10000)"

func (s *shop) begin(t *testing.T) *sql.Tx {
	t.Helper()
	tx, err := s.db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback() })
	return tx
}

func (s *shop) orders(t *testing.T) (n int) {
	t.Helper()
	require.NoError(t, s.db.QueryRow("SELECT count(*) FROM orders").Scan(&n))
	return n
}

func placed(id string) journal.Record {
	return journal.Record{PersistenceID: id, Type: "shop.OrderPlaced", ContentType: "application/json", Data: []byte(`{"total":42}`), Tags: []string{"eu"}}
}

func place(t *testing.T, tx *sql.Tx, id string) {
	t.Helper()
	_, err := tx.Exec("INSERT INTO orders VALUES (?, 42)", id)
	require.NoError(t, err)
}

func TestARecordIsCommittedTogetherWithTheRestOfTheTransaction(t *testing.T) {
	s := openShop(t, immediate)
	tx := s.begin(t)
	place(t, tx, "order-1")
	pointers, err := s.AppendTx(t.Context(), tx, placed("order-1"), placed("customer-7"), placed("order-1"))
	require.NoError(t, err)
	require.Equal(t, []query.Pointer{{PersistenceID: "order-1", SequenceNumber: 1}, {PersistenceID: "customer-7", SequenceNumber: 1}, {PersistenceID: "order-1", SequenceNumber: 2}}, pointers)
	more, err := s.AppendTx(t.Context(), tx, placed("order-1"))
	require.NoError(t, err)
	require.Equal(t, []query.Pointer{{PersistenceID: "order-1", SequenceNumber: 3}}, more)
	require.Empty(t, all(t, s.Journal), "it is not committed")
	require.NoError(t, tx.Commit())

	events := all(t, s.Journal)
	require.Equal(t, []string{"order-1/1", "customer-7/1", "order-1/2", "order-1/3"}, ids(events))
	require.Equal(t, []string{"eu"}, events[0].Tags)
	require.JSONEq(t, `{"total":42}`, string(events[0].Data))
	require.Equal(t, 1, s.orders(t))
}

// The next transaction is given the same offsets. Nobody has seen them, so that the file has not gone back.
func TestATransactionThatIsRolledBackLeavesNothing(t *testing.T) {
	s := openShop(t, immediate)
	appendTo(t, s.Journal, "a", 1, 3)
	for range 3 {
		tx := s.begin(t)
		place(t, tx, "order-1")
		_, err := s.AppendTx(t.Context(), tx, placed("order-1"), placed("order-1"))
		require.NoError(t, err)
		require.Len(t, all(t, s.Journal), 3, "a reader looks meanwhile")
		require.NoError(t, tx.Rollback())
		require.Len(t, all(t, s.Journal), 3)
		require.Zero(t, s.orders(t))
	}
	appendTo(t, s.Journal, "a", 4, 4)
	tx := s.begin(t)
	pointers, err := s.AppendTx(t.Context(), tx, placed("order-1"))
	require.NoError(t, err)
	require.Equal(t, []query.Pointer{{PersistenceID: "order-1", SequenceNumber: 1}}, pointers)
	require.NoError(t, tx.Commit())
	require.Equal(t, []string{"a/1", "a/2", "a/3", "a/4", "order-1/1"}, ids(all(t, s.Journal)))
}

// Whoever commits in spite of an error has the rest of his transaction, and none of the records.
func TestRecordsThatFailAreNotHalfInTheTransaction(t *testing.T) {
	s := openShop(t, immediate)
	rawSQL(t, s.path, "CREATE TRIGGER refuse BEFORE INSERT ON events WHEN NEW.persistence_id = 'poison' BEGIN SELECT RAISE(ABORT, 'refused'); END")
	tx := s.begin(t)
	place(t, tx, "order-1")
	_, err := s.AppendTx(t.Context(), tx, placed("order-1"), placed("poison"), placed("order-1"))
	require.ErrorContains(t, err, "refused")
	require.ErrorContains(t, err, "record 2")
	bad := placed("order-1")
	bad.Type = "a\xff"
	_, err = s.AppendTx(t.Context(), tx, placed("order-1"), bad)
	require.ErrorIs(t, err, journal.ErrNotEncodable)
	require.ErrorContains(t, err, "record 2")
	require.ErrorContains(t, err, "type")
	none, err := s.AppendTx(t.Context(), tx)
	require.NoError(t, err)
	require.Empty(t, none)
	_, err = s.AppendTx(t.Context(), tx, placed("order-2"))
	require.NoError(t, err, "the transaction is as it was")
	require.NoError(t, tx.Commit())
	require.Equal(t, []string{"order-2/1"}, ids(all(t, s.Journal)))
	require.Equal(t, 1, s.orders(t))
}

// endingContext ends when it is asked for the n-th time whether it has.
type endingContext struct {
	context.Context //nolint:containedctx // it is a context
	end             context.CancelFunc
	left            atomic.Int64
}

func endingAt(ctx context.Context, n int64) *endingContext {
	c := new(endingContext)
	c.Context, c.end = context.WithCancel(ctx)
	c.left.Store(n)
	return c
}

func (c *endingContext) Done() <-chan struct{} {
	if c.left.Add(-1) == 0 {
		c.end()
	}
	return c.Context.Done()
}

// Whenever it ends, whoever commits in spite of the error has none of the records.
func TestAContextThatEndsLeavesNoRecordInTheTransaction(t *testing.T) {
	s := openShop(t, immediate)
	for n := int64(1); ; n++ {
		ctx := endingAt(t.Context(), n)
		tx := s.begin(t)
		_, err := s.AppendTx(ctx, tx, placed("order-1"), placed("order-1"), placed("order-1"))
		ended := ctx.Err() != nil
		ctx.end()
		committed := tx.Commit()
		if err == nil {
			require.NoError(t, committed)
			require.Len(t, all(t, s.Journal), 3)
			if !ended {
				require.Greater(t, n, int64(10))
				return
			}
			rawSQL(t, s.path, "DELETE FROM events")
			continue
		}
		require.ErrorIs(t, err, context.Canceled)
		require.Empty(t, all(t, s.Journal), "it ended at the %d-th time", n)
	}
}

func TestATransactionOfAnotherFileIsRefused(t *testing.T) {
	s := openShop(t, immediate)
	other := filepath.Join(t.TempDir(), "other.db")
	rawSQL(t, other, "CREATE TABLE orders (id TEXT)")
	alike := filepath.Join(t.TempDir(), "alike.db")
	rawSQL(t, alike, "CREATE TABLE meta (key TEXT, value TEXT)", "CREATE TABLE events (offset INTEGER)")
	second := filepath.Join(t.TempDir(), "second.db")
	head, err := open(t, second).Head(t.Context())
	require.NoError(t, err)

	for name, c := range map[string]struct{ path, first, says string }{
		"another program's":                  {other, "SELECT 1", "no such table"},
		"one with tables of the same name":   {alike, "SELECT 1", "no rows"},
		"another journal's":                  {second, "SELECT 1", "the journal " + head.Identity},
		"one to which the journal is joined": {other, "ATTACH '" + s.path + "' AS journal", "no such table"},
	} {
		t.Run(name, func(t *testing.T) {
			withSQL(t, c.path, func(db *sql.DB) {
				_, err := db.Exec(c.first)
				require.NoError(t, err)
				tx, err := db.BeginTx(t.Context(), nil)
				require.NoError(t, err)
				_, err = s.AppendTx(t.Context(), tx, placed("order-1"))
				require.ErrorIs(t, err, sqlite.ErrForeignTransaction)
				require.ErrorContains(t, err, s.path)
				require.ErrorContains(t, err, c.says)
				require.NoError(t, tx.Commit())
			})
			require.Empty(t, all(t, s.Journal))
		})
	}
}

// SQLite refuses to give the write lock to a transaction that has read what is not the newest any more.
func TestATransactionThatHasReadBeforeIsToldToBeginWithTheLock(t *testing.T) {
	s := openShop(t, "?_pragma=busy_timeout(10000)")
	tx := s.begin(t)
	var n int
	require.NoError(t, tx.QueryRow("SELECT count(*) FROM orders").Scan(&n))
	appendTo(t, s.Journal, "a", 1, 1)
	_, err := s.AppendTx(t.Context(), tx, placed("order-1"))
	require.ErrorContains(t, err, "BEGIN IMMEDIATE")
	require.NotErrorIs(t, err, sqlite.ErrForeignTransaction)
	require.False(t, journal.IsFinal(err), "run again, it can succeed")
	require.NoError(t, tx.Rollback())

	tx = s.begin(t)
	_, err = s.AppendTx(t.Context(), tx, placed("order-1"))
	require.NoError(t, err, "one that has not read waits, and takes the lock")
	require.NoError(t, tx.Commit())
}

func TestATransactionWithoutABusyTimeoutIsToldToHaveOne(t *testing.T) {
	s := openShop(t, "")
	withSQL(t, s.path, func(db *sql.DB) {
		_, err := db.Exec("BEGIN IMMEDIATE")
		require.NoError(t, err)
		tx := s.begin(t)
		_, err = s.AppendTx(t.Context(), tx, placed("order-1"))
		require.ErrorContains(t, err, "busy timeout")
		require.NoError(t, tx.Rollback())
		_, err = db.Exec("ROLLBACK")
		require.NoError(t, err)
	})
}

func TestAppendTxRefuses(t *testing.T) {
	s := openShop(t, immediate)
	_, err := s.AppendTx(t.Context(), nil, placed("order-1"))
	require.ErrorContains(t, err, "nil")

	ended := s.begin(t)
	require.NoError(t, ended.Rollback())
	_, err = s.AppendTx(t.Context(), ended, placed("order-1"))
	require.ErrorIs(t, err, sql.ErrTxDone)

	tx := s.begin(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.AppendTx(ctx, tx, placed("order-1"))
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.AppendTx(t.Context(), tx, placed("order-1"))
	require.NoError(t, err, "the transaction has a context of its own")

	require.NoError(t, s.Close())
	_, err = s.AppendTx(t.Context(), tx, placed("order-1"))
	require.ErrorIs(t, err, query.ErrClosed)
}

func TestAppendTxNoticesThatTheFileHasChanged(t *testing.T) {
	s := openShop(t, immediate)
	tx := s.begin(t)
	require.NoError(t, os.Remove(s.path))
	_, err := s.AppendTx(t.Context(), tx, placed("order-1"))
	requireFileChanged(t, s.path, err)
}

// A copy has the same identity. The journal itself is none the worse for it.
func TestAppendTxRefusesACopy(t *testing.T) {
	s := openShop(t, immediate)
	older, newest := filepath.Join(t.TempDir(), "older.db"), filepath.Join(t.TempDir(), "newest.db")
	rawSQL(t, s.path, "VACUUM INTO '"+older+"'")
	appendTo(t, s.Journal, "a", 1, 3)
	rawSQL(t, s.path, "VACUUM INTO '"+newest+"'")
	for _, path := range []string{older, newest} {
		withSQL(t, path, func(db *sql.DB) {
			tx, err := db.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			_, err = s.AppendTx(t.Context(), tx, placed("order-1"))
			require.ErrorIs(t, err, sqlite.ErrForeignTransaction)
			require.ErrorContains(t, err, path)
			require.NoError(t, tx.Commit())
		})
		require.Len(t, all(t, s.Journal), 3)
	}
	head, err := s.Head(t.Context())
	require.NoError(t, err)
	memory, err := sql.Open("sqlite", ":memory:")
	require.NoError(t, err)
	memory.SetMaxOpenConns(1)
	_, err = memory.Exec("CREATE TABLE meta (key TEXT, value TEXT); INSERT INTO meta VALUES ('identity', ?)", head.Identity)
	require.NoError(t, err)
	tx, err := memory.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = s.AppendTx(t.Context(), tx, placed("order-1"))
	require.ErrorIs(t, err, sqlite.ErrForeignTransaction)
	require.NoError(t, errors.Join(tx.Rollback(), memory.Close()))
	appendTo(t, s.Journal, "a", 4, 4)
}

// The file that a link leads to is the journal's, whatever it is called.
func TestAppendTxTakesAnotherPathToTheFile(t *testing.T) {
	s := openShop(t, immediate)
	link := filepath.Join(t.TempDir(), "link.db")
	require.NoError(t, os.Symlink(s.path, link))
	withSQL(t, link, func(db *sql.DB) {
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		_, err = s.AppendTx(t.Context(), tx, placed("order-1"))
		require.NoError(t, err)
		require.NoError(t, tx.Commit())
	})
	require.Equal(t, []string{"order-1/1"}, ids(all(t, s.Journal)))
}

// Offsets that readers have passed are not given out again.
func TestAppendTxNoticesThatTheFileWasSetBack(t *testing.T) {
	s := openShop(t, immediate)
	appendTo(t, s.Journal, "a", 1, 3)
	rawSQL(t, s.path, "DELETE FROM events WHERE sequence_number = 3", "UPDATE sqlite_sequence SET seq = 2 WHERE name = 'events'")
	tx := s.begin(t)
	_, err := s.AppendTx(t.Context(), tx, placed("order-1"))
	require.ErrorIs(t, err, sqlite.ErrFileChanged)
	require.NoError(t, tx.Rollback())
}

func TestNotifyWakesSubscribers(t *testing.T) {
	s := openShop(t, immediate)
	var woken atomic.Int64
	defer s.Subscribe(func() { woken.Add(1) })()
	tx := s.begin(t)
	_, err := s.AppendTx(t.Context(), tx, placed("order-1"))
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	require.Zero(t, woken.Load(), "the journal does not learn of the commit")
	s.Notify()
	require.EqualValues(t, 1, woken.Load())
}

// Records of ids that are new to all, in transactions of every kind, while others roll theirs back.
func TestTransactionsAndAppendsShareIDs(t *testing.T) {
	const writers, each = 8, 12
	s := openShop(t, immediate)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := range each {
				id := fmt.Sprintf("order-%d", n)
				if w%2 == 0 {
					_, err := s.Append(t.Context(), placed(id), placed(id))
					assert.NoError(t, err)
					continue
				}
				tx, err := s.db.BeginTx(t.Context(), nil)
				if !assert.NoError(t, err) {
					return
				}
				_, err = s.AppendTx(t.Context(), tx, placed(id), placed(id))
				assert.NoError(t, err)
				if n%3 == 0 {
					assert.NoError(t, tx.Rollback())
				} else {
					assert.NoError(t, tx.Commit())
				}
			}
		})
	}
	stop, tailed := make(chan struct{}), make(chan []query.Event)
	go func() { tailed <- tail(t, s.Journal, stop) }()
	wg.Wait()
	close(stop)
	events := <-tailed
	require.Equal(t, all(t, s.Journal), events)
	require.Len(t, events, 2*(writers/2*each+writers/2*each*2/3))
	last := map[string]int64{}
	for _, e := range events {
		require.Equal(t, last[e.PersistenceID]+1, e.SequenceNumber, "%s comes in order", e.PersistenceID)
		last[e.PersistenceID]++
	}
}
