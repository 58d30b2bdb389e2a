package postgres_test

// One subject: waking other processes, and the connection that listens for it, whatever becomes of that.

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/postgres"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

const patience = 30 * time.Second

// processes are journals over pools of their own, as in as many processes.
func processes(t *testing.T, n int) (js []*postgres.Journal, another *pgxpool.Pool) {
	t.Helper()
	another = migrated(t)
	for range n {
		j := open(t, connect(t, another.Config().ConnConfig.Database))
		j.Hasten()
		js = append(js, j)
	}
	return js, another
}

// sleeper reads the feed when it is woken, and only then.
type sleeper struct {
	j     *postgres.Journal
	woken chan struct{}
	calls atomic.Int64
	after query.Offset
	// cancel ends the subscription.
	cancel func()
}

func subscribe(t *testing.T, j *postgres.Journal) *sleeper {
	t.Helper()
	s := &sleeper{j: j, woken: make(chan struct{}, 1)}
	s.cancel = j.Subscribe(func() {
		s.calls.Add(1)
		select {
		case s.woken <- struct{}{}:
		default:
		}
	})
	t.Cleanup(s.cancel)
	return s
}

func (s *sleeper) drain() {
	select {
	case <-s.woken:
	default:
	}
}

// finds waits until it has read the event.
func (s *sleeper) finds(t *testing.T, id string) {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case <-s.woken:
		case <-deadline:
			require.FailNow(t, "a reader slept on", "it has not found %s; waking: %+v", id, s.j.Waking())
		}
		page, err := s.j.Events(t.Context(), s.after, query.Filter{}, query.Limits{Events: 1000})
		require.NoError(t, err)
		s.after = page.Next
		for i := range page.Events {
			if page.Events[i].ID() == id {
				return
			}
		}
	}
}

func awaitThat(t testing.TB, condition func() bool, what string) {
	t.Helper()
	require.NoError(t, testkit.AwaitCondition(t.Context(), condition, patience, what))
}

func awaitListening(t *testing.T, j *postgres.Journal) {
	t.Helper()
	awaitThat(t, func() bool { return j.Waking().Listening }, "it listens")
	require.NoError(t, j.Waking().ListenErr)
	require.NotZero(t, j.Waking().Since)
}

// listeners are the processes of the server that listen in the pool's database.
func listeners(t *testing.T, pool *pgxpool.Pool) (pids []int32) {
	t.Helper()
	rows, err := pool.Query(t.Context(), `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %' ORDER BY pid`)
	require.NoError(t, err)
	pids, err = pgx.CollectRows(rows, pgx.RowTo[int32])
	require.NoError(t, err)
	return pids
}

// outsider is a connection that listens as another program would.
type outsider struct{ conn *pgx.Conn }

func listenTo(t *testing.T, j *postgres.Journal, pool *pgxpool.Pool) outsider {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), pool.Config().ConnConfig)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	_, err = conn.Exec(t.Context(), "LISTEN "+pgx.Identifier{j.Channel()}.Sanitize())
	require.NoError(t, err)
	return outsider{conn}
}

func (o outsider) next(t *testing.T) *pgconn.Notification {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	n, err := o.conn.WaitForNotification(ctx)
	require.NoError(t, err)
	return n
}

func TestAnAppendWakesOtherProcesses(t *testing.T) {
	js, pool := processes(t, 2)
	reader := subscribe(t, js[1])
	awaitListening(t, js[1])

	t.Run("an actor's event", func(t *testing.T) {
		for seq := int64(1); seq <= 20; seq++ {
			require.NoError(t, js[0].AppendEvent(t.Context(), event("a", seq)))
			reader.finds(t, fmt.Sprintf("a/%d", seq))
		}
	})
	t.Run("a record", func(t *testing.T) {
		_, err := js[0].Append(t.Context(), journal.Record{PersistenceID: "r", Type: "T"})
		require.NoError(t, err)
		reader.finds(t, "r/1")
	})
	t.Run("a transaction of the application", func(t *testing.T) {
		tx, err := pool.Begin(t.Context())
		require.NoError(t, err)
		defer tx.Rollback(t.Context()) //nolint:errcheck // after the commit there is nothing to roll back
		_, err = js[0].AppendTx(t.Context(), tx, journal.Record{PersistenceID: "tx", Type: "T"})
		require.NoError(t, err)
		require.NoError(t, tx.Commit(t.Context()))
		js[0].Notify()
		reader.finds(t, "tx/1")
	})
	require.NoError(t, js[0].Waking().NotifyErr)
}

// A program that appends and ends is not to leave what it appended last to the next poll.
func TestWhatWasAppendedBeforeCloseWakesOthers(t *testing.T) {
	js, _ := processes(t, 2)
	reader := subscribe(t, js[1])
	awaitListening(t, js[1])
	for seq := int64(1); seq <= 3; seq++ { // the first is told of at once, the others together
		require.NoError(t, js[0].AppendEvent(t.Context(), event("a", seq)))
	}
	require.NoError(t, js[0].Close())
	reader.finds(t, "a/3")
	js[0].Notify() // is no error
}

func TestAppendsOfOneselfWakeOnce(t *testing.T) {
	js, pool := processes(t, 1)
	j := js[0]
	own := subscribe(t, j)
	awaitListening(t, j) // after its first call, and an announcement of its own
	other := listenTo(t, j, pool)
	before := own.calls.Load()
	require.NoError(t, j.AppendEvent(t.Context(), event("a", 1)))
	mine := other.next(t)

	// The journal hears this after its own.
	exec(t, pool, fmt.Sprintf("SELECT pg_notify('%s', 'from elsewhere')", j.Channel()))
	require.NotEqual(t, mine.Payload, other.next(t).Payload)
	awaitThat(t, func() bool { return own.calls.Load() >= before+2 }, "the other one has woken it")
	require.Equal(t, before+2, own.calls.Load())
}

func TestManyAppendsAreFewNotifications(t *testing.T) {
	js, pool := processes(t, 1)
	j := js[0]
	other := listenTo(t, j, pool)
	began, calls := time.Now(), 0
	for ; time.Since(began) < 200*time.Millisecond; calls++ {
		if calls%1000 == 0 {
			_, err := j.Append(t.Context(), journal.Record{PersistenceID: "a", Type: "T"})
			require.NoError(t, err)
		}
		j.Notify()
	}
	require.NoError(t, j.Close()) // with it, the last one is sent
	atMost := int(time.Since(began)/(5*time.Millisecond)) + 1
	_, err := other.conn.Exec(t.Context(), "SELECT pg_notify($1, 'end')", j.Channel())
	require.NoError(t, err)
	heard := 0
	for other.next(t).Payload != "end" {
		heard++
	}
	t.Logf("%d calls, %d notifications, of at most %d", calls, heard, atMost)
	require.Greater(t, heard, 1, "it goes on while there are more")
	require.LessOrEqual(t, heard, atMost)
	require.Less(t, atMost, calls, "the machine is too slow for this test to tell anything")
}

func TestOneConnectionListensWhileThereAreSubscribers(t *testing.T) {
	js, pool := processes(t, 1)
	j := js[0]
	require.NoError(t, j.AppendEvent(t.Context(), event("a", 1)))
	require.Empty(t, listeners(t, pool), "nobody has subscribed")
	require.Zero(t, j.Waking())

	first, second := subscribe(t, j), subscribe(t, j)
	awaitListening(t, j)
	one := listeners(t, pool)
	require.Len(t, one, 1)
	first.cancel()
	first.cancel() // does not count twice
	second.cancel()
	again := subscribe(t, j) // in time, as an outbox does that is restarted
	require.NoError(t, j.AppendEvent(t.Context(), event("a", 2)))
	again.finds(t, "a/2")
	awaitListening(t, j)
	require.Equal(t, one, listeners(t, pool), "the connection is kept")

	again.cancel()
	awaitThat(t, func() bool { return len(listeners(t, pool)) == 0 }, "the connection ends after the last subscriber")
	require.False(t, j.Waking().Listening)
	require.NoError(t, j.Waking().ListenErr, "nobody wants to listen")

	subscribe(t, j)
	awaitListening(t, j)
	require.NoError(t, j.Close())
	awaitThat(t, func() bool { return len(listeners(t, pool)) == 0 }, "it ends with the journal")
	before := j.Waking()
	subscribe(t, j)
	require.Equal(t, before, j.Waking(), "a closed one does not begin again")
}

func TestAListenerThatWasEndedComesBack(t *testing.T) {
	js, pool := processes(t, 2)
	reader := subscribe(t, js[1])
	awaitListening(t, js[1])
	for i := int64(1); i <= 3; i++ {
		missed := fmt.Sprintf("missed-%d", i)
		reader.drain()
		exec(t, pool, insertOf(missed, 1)) // of which nobody tells
		exec(t, pool, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %'")
		reader.finds(t, missed+"/1")
		awaitListening(t, js[1])
		require.NoError(t, js[0].AppendEvent(t.Context(), event("a", i)))
		reader.finds(t, fmt.Sprintf("a/%d", i))
	}
}

func TestWithoutAServerTheListenerTriesAgain(t *testing.T) {
	database := migrated(t).Config().ConnConfig.Database
	var n network
	j := open(t, connect(t, database, n.use, func(c *pgxpool.Config) { c.MaxConns = 1 }))
	j.Hasten()
	n.cut.Store(true) // the connection that there is goes on
	reader := subscribe(t, j)
	awaitThat(t, func() bool { return j.Waking().ListenErr != nil }, "it says why not")
	tried := n.dials.Load()
	awaitThat(t, func() bool { return n.dials.Load() > tried+3 }, "it tries again")
	w := j.Waking()
	require.False(t, w.Listening)
	require.ErrorContains(t, w.ListenErr, "listen")
	require.NotContains(t, w.ListenErr.Error(), "postgres@")

	require.NoError(t, j.AppendEvent(t.Context(), event("a", 1)))
	reader.finds(t, "a/1")
	n.cut.Store(false)
	awaitListening(t, j)
}

// As after a switch or a firewall has forgotten the connection.
func TestAServerThatIsGoneWithoutAWordIsNoticed(t *testing.T) {
	database := migrated(t).Config().ConnConfig.Database
	var n network
	pool := connect(t, database, n.use)
	j, other := open(t, pool), open(t, connect(t, database))
	j.Hasten()
	reader := subscribe(t, j)
	awaitListening(t, j)
	dials := n.dials.Load()
	n.freeze()
	pool.Reset() // not what the test is about
	awaitThat(t, func() bool { return n.dials.Load() > dials }, "another connection is made")
	require.NoError(t, other.AppendEvent(t.Context(), event("a", 1)))
	reader.finds(t, "a/1")
	awaitListening(t, j)
}

// As with PgBouncer in transaction mode, where LISTEN is no error, and nothing comes.
func TestWhatIsNeverHeardIsNotListening(t *testing.T) {
	database := migrated(t).Config().ConnConfig.Database
	var n network
	n.unheard.Store(true)
	j := open(t, connect(t, database, n.use))
	j.Hasten()
	reader := subscribe(t, j)
	said := false
	awaitThat(t, func() bool {
		w := j.Waking()
		said = said || w.Listening
		return errors.Is(w.ListenErr, postgres.ErrDeaf)
	}, "it says that nothing is heard")
	require.False(t, said, "it has said that it listens")
	require.NoError(t, j.Waking().NotifyErr)
	require.NoError(t, j.AppendEvent(t.Context(), event("a", 1)))
	reader.finds(t, "a/1")

	n.unheard.Store(false)
	awaitListening(t, j)
	n.unheard.Store(true) // from then on: what is sent does not come back
	require.NoError(t, j.AppendEvent(t.Context(), event("a", 2)))
	awaitThat(t, func() bool { return errors.Is(j.Waking().ListenErr, postgres.ErrDeaf) }, "it says that nothing is heard any more")
}

func TestAConnectionThatIsNotFitToListenIsGivenUp(t *testing.T) {
	owner := migrated(t)
	exec(t, owner, "CREATE SCHEMA fake", "CREATE FUNCTION fake.pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS 'SELECT true'")
	var standby, refused atomic.Bool
	errRefused := errors.New("not this one")
	pool := connect(t, owner.Config().ConnConfig.Database, func(c *pgxpool.Config) {
		c.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
			if standby.Load() {
				c.RuntimeParams["search_path"] = "fake, pg_catalog"
			}
			return nil
		}
		c.AfterConnect = func(context.Context, *pgx.Conn) error {
			if refused.Load() {
				return errRefused
			}
			return nil
		}
	})
	j := open(t, pool)
	j.Hasten()
	standby.Store(true)
	subscribe(t, j)
	awaitThat(t, func() bool { return errors.Is(j.Waking().ListenErr, postgres.ErrStandby) }, "a standby tells of nothing")
	refused.Store(true)
	awaitThat(t, func() bool { return errors.Is(j.Waking().ListenErr, errRefused) }, "AfterConnect refuses it")
	standby.Store(false)
	refused.Store(false)
	awaitListening(t, j)
	require.Len(t, listeners(t, owner), 1)
}

// After a failover, connections to the old server may live on. What is appended to the new one is not told there.
func TestTheListenerFollowsTheJournalToAnotherServer(t *testing.T) {
	owner := migrated(t)
	exec(t, owner, "CREATE SCHEMA fake", "CREATE FUNCTION fake.pg_postmaster_start_time() RETURNS timestamptz LANGUAGE sql AS $$SELECT timestamptz '2000-01-01'$$")
	var moved atomic.Bool
	pool := connect(t, owner.Config().ConnConfig.Database, func(c *pgxpool.Config) {
		c.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
			if moved.Load() {
				c.RuntimeParams["search_path"] = "fake, pg_catalog"
			}
			return nil
		}
	})
	j := open(t, pool)
	j.Hasten()
	reader := subscribe(t, j)
	awaitListening(t, j)
	reader.drain()
	old := listeners(t, owner)
	exec(t, owner, insertOf("missed", 1))
	moved.Store(true)
	pool.Reset()
	require.NoError(t, j.Ping(t.Context()))
	reader.finds(t, "missed/1")
	require.NotEqual(t, old, listeners(t, owner))
}

func TestCloseEndsAListenerThatIsConnecting(t *testing.T) {
	var began atomic.Bool
	hang := make(chan struct{})
	pool := connect(t, migrated(t).Config().ConnConfig.Database, func(c *pgxpool.Config) {
		c.BeforeConnect = func(ctx context.Context, _ *pgx.ConnConfig) error {
			if !began.Load() {
				return nil
			}
			close(hang)
			<-ctx.Done()
			return ctx.Err()
		}
	})
	j := open(t, pool)
	began.Store(true)
	subscribe(t, j)
	<-hang
	require.NoError(t, j.Close())
	require.False(t, j.Waking().Listening)
}

func TestTheListenerIsConnectedAsThePoolIs(t *testing.T) {
	database := migrated(t).Config().ConnConfig.Database
	var opened, closed atomic.Int64
	pool := connect(t, database, func(c *pgxpool.Config) {
		c.MaxConns = 1
		c.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
			c.RuntimeParams["application_name"] = "as configured"
			return nil
		}
		c.AfterConnect = func(context.Context, *pgx.Conn) error { opened.Add(1); return nil }
		c.BeforeClose = func(*pgx.Conn) { closed.Add(1) }
		// What the application wants to hear, the journal hears all the same.
		c.ConnConfig.OnNotification = func(*pgconn.PgConn, *pgconn.Notification) {}
		c.ConnConfig.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
			return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, CancelRequestDelay: time.Hour, DeadlineDelay: time.Hour}
		}
		c.MaxConnLifetime = time.Second
	})
	j := open(t, pool)
	j.Hasten()
	reader := subscribe(t, j)
	awaitListening(t, j)
	watch := connect(t, database)
	var name string
	require.NoError(t, watch.QueryRow(t.Context(),
		"SELECT application_name FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %'").Scan(&name))
	require.Equal(t, "as configured", name)

	first := listeners(t, watch)
	awaitThat(t, func() bool { now := listeners(t, watch); return len(now) == 1 && now[0] != first[0] }, "another connection takes its place")
	awaitListening(t, j)
	// Although the pool has one connection, which a transaction holds for a while.
	tx := begin(t, pool)
	exec(t, watch, insertOf("a", 1), fmt.Sprintf("SELECT pg_notify('%s', '')", j.Channel()))
	awaitThat(t, func() bool { return reader.calls.Load() > 0 }, "it hears")
	require.NoError(t, tx.Rollback(t.Context()))
	reader.finds(t, "a/1")

	require.NoError(t, j.Close())
	pool.Close()
	require.Equal(t, opened.Load(), closed.Load())
}

// It is best effort, but not in secret.
func TestAnAppendDoesNotFailWithItsNotification(t *testing.T) {
	database := migrated(t).Config().ConnConfig.Database
	var trouble failingNotify
	j := open(t, connect(t, database, func(c *pgxpool.Config) { c.ConnConfig.Tracer = &trouble }))
	trouble.on.Store(true)
	for seq := int64(1); seq <= 50; seq++ {
		require.NoError(t, j.AppendEvent(t.Context(), event("a", seq)))
	}
	awaitThat(t, func() bool { return j.Waking().NotifyErr != nil }, "it says so")
	require.ErrorIs(t, j.Waking().NotifyErr, context.Canceled)
	require.ErrorContains(t, j.Waking().NotifyErr, "outbox.journal")
	trouble.on.Store(false)
	require.NoError(t, j.AppendEvent(t.Context(), event("a", 51)))
	awaitThat(t, func() bool { return j.Waking().NotifyErr == nil }, "it works again")
}

// failingNotify has the statement NOTIFY fail.
type failingNotify struct{ on atomic.Bool }

func (f *failingNotify) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if !f.on.Load() || !strings.HasPrefix(data.SQL, "NOTIFY ") {
		return ctx
	}
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}

func (f *failingNotify) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
