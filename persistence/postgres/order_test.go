package postgres_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/internal/pgserver"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/postgres"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// begin starts a transaction, in which statements are carried out. It is rolled back at the end of the test.
func begin(t *testing.T, pool *pgxpool.Pool, statements ...string) pgx.Tx {
	t.Helper()
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	for _, s := range statements {
		_, err := tx.Exec(t.Context(), s)
		require.NoError(t, err, s)
	}
	return tx
}

// insertOf is a statement that appends an event, as another program would.
func insertOf(id string, seq int64) string {
	return fmt.Sprintf(`INSERT INTO outbox.journal (persistence_id, sequence_number, slice, uid, type, content_type)
		VALUES ('%s', %d, %d, gen_random_uuid(), 'T', '')`, id, seq, query.SliceOf(id))
}

var everyFilter = map[string]query.Filter{
	"everything": {},
	"a type":     {Types: []string{"T", "test.v1.Happened"}},
	"all slices": {Slices: query.SliceRange{From: 0, To: 1023}},
}

// sees reads what there is to be read at once.
func sees(t *testing.T, j query.Journal, after query.Offset, filter query.Filter) (names string, next query.Offset) {
	t.Helper()
	page, err := j.Events(t.Context(), after, filter, query.Limits{Events: 100})
	require.NoError(t, err)
	require.False(t, page.More)
	for i := range page.Events {
		names += page.Events[i].ID() + " "
	}
	return strings.TrimSpace(names), page.Next
}

func TestReadersWaitForNobodyElse(t *testing.T) {
	pool := migrated(t)
	j := open(t, pool)
	exec(t, pool, "CREATE TABLE orders (id int)")
	begin(t, pool, "INSERT INTO orders VALUES (1)", "SELECT pg_current_xact_id()")
	begin(t, pool, "SELECT * FROM outbox.journal", "LOCK TABLE outbox.journal IN ROW SHARE MODE")
	begin(t, pool, "SAVEPOINT s", insertOf("undone", 1), "ROLLBACK TO s")
	require.NoError(t, begin(t, pool, insertOf("gone", 1)).Rollback(t.Context()))
	require.NoError(t, j.AppendEvent(t.Context(), event("a", 1)))
	for name, filter := range everyFilter {
		names, next := sees(t, j, 0, filter)
		require.Equal(t, "a/1", names, name)
		require.EqualValues(t, 3, next, name)
	}
	_, open := j.Gap()
	require.False(t, open)
}

func TestAGapIsShown(t *testing.T) {
	pool := migrated(t)
	j := open(t, pool)
	require.NoError(t, j.AppendEvent(t.Context(), event("a", 1)))
	late := begin(t, pool, insertOf("late", 1), insertOf("late", 2))
	long := begin(t, pool, "UPDATE outbox.journal SET hidden = true")
	require.NoError(t, j.AppendEvent(t.Context(), event("b", 1)))
	for name, filter := range everyFilter {
		names, next := sees(t, j, 0, filter)
		require.Equal(t, "a/1", names, name)
		require.EqualValues(t, 1, next, name)
	}
	gap, isOpen := j.Gap()
	require.True(t, isOpen)
	require.WithinDuration(t, time.Now(), gap.Since, time.Minute)
	gap.Since = time.Time{}
	require.Equal(t, postgres.Gap{After: 1, Missing: 2, AtWork: 2}, gap)

	require.NoError(t, late.Rollback(t.Context()))
	names, _ := sees(t, j, 1, query.Filter{})
	require.Empty(t, names, "also one that updates holds readers up: it cannot be told from one that inserts")
	gap, _ = j.Gap()
	require.Equal(t, 1, gap.AtWork)
	require.NoError(t, long.Rollback(t.Context()))
	for name, filter := range everyFilter {
		names, next := sees(t, j, 1, filter)
		require.Equal(t, "b/1", names, name)
		require.EqualValues(t, 4, next, name)
	}
	_, isOpen = j.Gap()
	require.False(t, isOpen)
}

// Others go on: those who come later hold nobody up where he is.
func TestAGapIsPassedAlthoughOthersAreAtWork(t *testing.T) {
	pool := migrated(t)
	j := open(t, pool)
	require.NoError(t, j.AppendEvent(t.Context(), event("a", 1)))
	first := begin(t, pool, insertOf("first", 1))
	require.NoError(t, j.AppendEvent(t.Context(), event("b", 1)))
	names, next := sees(t, j, 0, query.Filter{})
	require.Equal(t, "a/1", names)
	second := begin(t, pool, insertOf("second", 1))
	require.NoError(t, j.AppendEvent(t.Context(), event("c", 1)))
	require.NoError(t, first.Rollback(t.Context()))
	names, next = sees(t, j, next, query.Filter{})
	require.Equal(t, "b/1", names)
	require.NoError(t, second.Commit(t.Context()))
	names, _ = sees(t, j, next, query.Filter{})
	require.Equal(t, "second/1 c/1", names)
}

func TestABackendThatDiesEndsItsGap(t *testing.T) {
	pool := migrated(t)
	j := open(t, pool)
	late := begin(t, pool, insertOf("late", 1))
	require.NoError(t, j.AppendEvent(t.Context(), event("a", 1)))
	names, _ := sees(t, j, 0, query.Filter{})
	require.Empty(t, names)
	exec(t, pool, fmt.Sprintf("SELECT pg_terminate_backend(%d, 10000)", late.Conn().PgConn().PID()))
	names, _ = sees(t, j, 0, query.Filter{})
	require.Equal(t, "a/1", names)
}

// A transaction that is prepared has ended for its session, and not for its readers, also after the server was started again.
func TestAPreparedTransactionIsWaitedFor(t *testing.T) {
	s := pgserver.New(t, "max_prepared_transactions = 10")
	pool := to(t, s)
	require.NoError(t, postgres.Migrate(t.Context(), pool))
	j := open(t, pool)
	prepare := func(id string) {
		_, err := begin(t, pool, insertOf(id, 1)).Exec(t.Context(), "PREPARE TRANSACTION '"+id+"'")
		require.NoError(t, err)
	}
	prepare("late")
	prepare("gone")
	require.NoError(t, j.AppendEvent(t.Context(), event("a", 1)))
	names, _ := sees(t, j, 0, query.Filter{})
	require.Empty(t, names)

	s.StopImmediately()
	s.Start()
	pool.Reset()
	for _, j := range []*postgres.Journal{j, open(t, pool)} { // one that knew of them, and one that did not
		names, _ = sees(t, j, 0, query.Filter{})
		require.Empty(t, names)
	}
	exec(t, pool, "COMMIT PREPARED 'late'")
	names, next := sees(t, j, 0, query.Filter{})
	require.Equal(t, "late/1", names)
	exec(t, pool, "ROLLBACK PREPARED 'gone'")
	names, _ = sees(t, j, next, query.Filter{})
	require.Equal(t, "a/1", names)
}

func TestNobodyBringsHisOwnOffset(t *testing.T) {
	pool := migrated(t)
	_, err := pool.Exec(t.Context(), `INSERT INTO outbox.journal (ordering, persistence_id, sequence_number, slice, uid, type, content_type)
		VALUES (7, 'a', 1, 0, gen_random_uuid(), 'T', '')`)
	require.ErrorContains(t, err, "ordering")
}

// Subscribers who look whenever they are called, and only then, get past each gap.
func TestSubscribersAreCalledUntilAGapIsPassed(t *testing.T) {
	pool := migrated(t)
	j := open(t, pool)
	late := begin(t, pool, insertOf("late", 1))
	require.NoError(t, j.AppendEvent(t.Context(), event("a", 1)))
	called := make(chan struct{}, 1)
	defer j.Subscribe(func() {
		select {
		case called <- struct{}{}:
		default:
		}
	})()
	await := func() {
		t.Helper()
		select {
		case <-called:
		case <-time.After(20 * time.Second):
			require.FailNow(t, "not called")
		}
	}
	for range 5 {
		names, _ := sees(t, j, 0, query.Filter{})
		require.Empty(t, names)
		await()
	}
	names, _ := sees(t, j, 0, query.Filter{})
	require.Empty(t, names)
	require.NoError(t, late.Commit(t.Context()))
	await()
	names, _ = sees(t, j, 0, query.Filter{})
	require.Equal(t, "late/1 a/1", names)
}

// A program that starts while somebody is at work does not know the journal's history. What follows without a gap it reads
// all the same, and a reader that has come far is not held up by what is behind him.
func TestAStartWhileSomebodyIsAtWork(t *testing.T) {
	pool := migrated(t)
	before := open(t, pool)
	require.NoError(t, before.AppendEvent(t.Context(), event("a", 1)))
	require.NoError(t, begin(t, pool, insertOf("gone", 1)).Rollback(t.Context()))
	require.NoError(t, before.AppendEvent(t.Context(), event("a", 2)))
	require.NoError(t, before.AppendEvent(t.Context(), event("a", 3)))
	_, next := sees(t, before, 0, query.Filter{})
	require.EqualValues(t, 4, next)

	late := begin(t, pool, insertOf("late", 1))
	require.NoError(t, before.AppendEvent(t.Context(), event("a", 4)))
	j := open(t, pool)
	names, next := sees(t, j, 0, query.Filter{})
	require.Equal(t, "a/1", names, "it cannot know that 2 is not late's")
	names, next2 := sees(t, j, 3, query.Filter{})
	require.Equal(t, "a/3", names)
	require.EqualValues(t, 4, next2)
	require.NoError(t, late.Commit(t.Context()))
	names, _ = sees(t, j, next, query.Filter{})
	require.Equal(t, "a/2 a/3 late/1 a/4", names)
}

// After a restore into the same tables the offsets start again lower, and what was known of them counts for nothing.
func TestAJournalThatWasSetBack(t *testing.T) {
	pool := migrated(t)
	j := open(t, pool)
	for seq := int64(1); seq <= 10; seq++ {
		require.NoError(t, j.AppendEvent(t.Context(), event("a", seq)))
	}
	require.Len(t, all(t, j), 10)
	exec(t, pool, "DELETE FROM outbox.journal WHERE ordering > 5", "SELECT setval('outbox.journal_ordering_seq', 5)")
	head, err := j.Head(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 5, head.Offset, "which tells a reader that was farther")

	late := begin(t, pool, insertOf("late", 1))
	require.NoError(t, j.AppendEvent(t.Context(), event("b", 1)))
	names, _ := sees(t, j, 5, query.Filter{})
	require.Empty(t, names)
	require.NoError(t, late.Commit(t.Context()))
	names, _ = sees(t, j, 5, query.Filter{})
	require.Equal(t, "late/1 b/1", names)
}

// statementCounter counts the statements of a pool, but not the NOTIFY that follows an append by itself.
type statementCounter struct{ n atomic.Int64 }

func (c *statementCounter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if !strings.HasPrefix(data.SQL, "NOTIFY") {
		c.n.Add(1)
	}
	return ctx
}

func (*statementCounter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func TestAnIdlePollIsOneStatement(t *testing.T) {
	pool := migrated(t)
	counter := &statementCounter{}
	traced := connect(t, pool.Config().ConnConfig.Database, func(c *pgxpool.Config) { c.ConnConfig.Tracer, c.MaxConns = counter, 1 })
	j := open(t, traced)
	require.NoError(t, j.AppendEvent(t.Context(), event("a", 1)))
	for name, filter := range everyFilter {
		_, next := sees(t, j, 0, filter)
		before := counter.n.Load()
		for range 10 {
			sees(t, j, next, filter)
		}
		require.EqualValues(t, 10, counter.n.Load()-before, name)
	}
	late := begin(t, pool, insertOf("late", 1))
	require.NoError(t, j.AppendEvent(t.Context(), event("b", 1)))
	_, next := sees(t, j, 1, query.Filter{})
	before := counter.n.Load()
	for range 10 {
		sees(t, j, next, query.Filter{})
	}
	require.EqualValues(t, 10, counter.n.Load()-before, "also at a gap")
	require.NoError(t, late.Rollback(t.Context()))

	var prepared int
	require.NoError(t, traced.QueryRow(t.Context(), "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%ordering%'", pgx.QueryExecModeExec).Scan(&prepared))
	require.Zero(t, prepared, "a plan that is kept was made for a smaller table")
}

// Pages of large events cost no more to send than what they may hold, whatever comes after them.
func TestAPageOfLargeEvents(t *testing.T) {
	const size, n = 256 << 10, 24
	pool := migrated(t)
	wire := &countingDialer{}
	j := open(t, connect(t, pool.Config().ConnConfig.Database, func(c *pgxpool.Config) { c.ConnConfig.DialFunc = wire.dial }))
	for seq := int64(1); seq <= n; seq++ {
		e := event("large", seq)
		if seq%2 == 0 {
			e.Data = []byte(strings.Repeat(fmt.Sprint(seq%10), size))
		}
		require.NoError(t, j.AppendEvent(t.Context(), e))
	}
	for name, filter := range everyFilter {
		var after query.Offset
		seq, limits := int64(0), query.Limits{Events: 1000, Bytes: 2 * size}
		for pages := 0; seq < n; pages++ {
			before := wire.read.Load()
			page, err := j.Events(t.Context(), after, filter, limits)
			require.NoError(t, err)
			require.Less(t, wire.read.Load()-before, int64(limits.Bytes+size), "%s: bytes sent for a page of %d", name, limits.Bytes)
			for _, e := range page.Events {
				seq++
				require.Equal(t, seq, e.SequenceNumber)
				if seq%2 == 0 {
					require.Equal(t, strings.Repeat(fmt.Sprint(seq%10), size), string(e.Data))
				}
			}
			after = page.Next
			require.Less(t, pages, n)
		}
	}
}

func TestReadersOfAllKindsShareWhatIsKnown(t *testing.T) {
	pool := migrated(t)
	j := open(t, pool)
	for seq := int64(1); seq <= 50; seq++ {
		require.NoError(t, begin(t, pool, insertOf("gone", 1)).Rollback(t.Context()))
		require.NoError(t, j.AppendEvent(t.Context(), event("a", seq)))
	}
	late := begin(t, pool, insertOf("late", 1))
	require.NoError(t, j.AppendEvent(t.Context(), event("b", 1)))
	var wg sync.WaitGroup
	for _, filter := range everyFilter {
		for size := 1; size <= 4; size++ {
			wg.Go(func() {
				var after query.Offset
				n := 0
				for deadline := time.Now().Add(30 * time.Second); n < 52 && time.Now().Before(deadline); {
					page, err := j.Events(context.Background(), after, filter, query.Limits{Events: size})
					if err != nil {
						t.Error(err)
						return
					}
					n, after = n+len(page.Events), page.Next
				}
				if n != 52 {
					t.Errorf("a reader of %+v got %d events", filter, n)
				}
			})
		}
	}
	require.NoError(t, late.Commit(t.Context()))
	wg.Wait()
}
