package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/postgres"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// serverAddress is host:port of the tests' server.
func serverAddress(t testing.TB) string {
	t.Helper()
	u, err := url.Parse(serverURL())
	require.NoError(t, err)
	if u.Port() == "" {
		return u.Host + ":5432"
	}
	return u.Host
}

// wired is a database that is reached through a proxy.
type wired struct {
	*wire
	pool   *pgxpool.Pool // through the proxy
	direct *pgxpool.Pool
	j      *postgres.Journal
}

func newWired(t testing.TB) *wired {
	t.Helper()
	direct := migrated(t)
	w := newWire(t, serverAddress(t))
	pool := connect(t, direct.Config().ConnConfig.Database, w.through)
	return &wired{wire: w, pool: pool, direct: direct, j: open(t, pool)}
}

// stored returns the data of an id's events, by a connection that nobody cuts.
func (w *wired) stored(t testing.TB, id string) (data []string) {
	t.Helper()
	rows, err := w.direct.Query(t.Context(), "SELECT convert_from(data, 'UTF8') FROM outbox.journal WHERE persistence_id = $1 ORDER BY sequence_number", id)
	require.NoError(t, err)
	for rows.Next() {
		var text string
		require.NoError(t, rows.Scan(&text))
		data = append(data, text)
	}
	require.NoError(t, rows.Err())
	return data
}

// settled waits until no transaction is under way that a connection which was cut has left behind.
func (w *wired) settled(t testing.TB) {
	t.Helper()
	await(t, "the transactions of lost connections have ended", func() bool {
		var atWork int
		err := w.direct.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks WHERE relation = 'outbox.journal'::regclass AND mode = 'RowExclusiveLock'
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&atWork)
		return err == nil && atWork == 0
	})
}

// await waits for what must happen, which takes milliseconds on a machine with nothing else to do.
func await(t testing.TB, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, faultPatience, 5*time.Millisecond, what)
}

const faultPatience = time.Minute

// What is done with a connection that is cut after each message that it sends or gets, from its first one: an error is
// transient, nil is true, and doing it again settles it.
func TestAConnectionIsLostAfterEachMessage(t *testing.T) {
	type operation struct {
		name string
		// do is given the number of the run, and what it did in earlier ones is still there.
		do func(ctx context.Context, w *wired, run int) error
		// check looks, with other connections, whether what was done is true: it did return nil.
		check func(t *testing.T, w *wired, run int)
		// once says that it cannot be told from an earlier try, so that one of unknown outcome is not done again. unknown
		// is then called in place of check.
		unknown func(t *testing.T, w *wired, run int)
		// step is from how many messages one is chosen, where there are many; each statement has more.
		step int
	}
	idOf := func(run int) string { return fmt.Sprintf("id-%d", run) }
	recordOf := func(run int) journal.Record {
		return journal.Record{PersistenceID: idOf(run), Type: "T", Data: []byte("record")}
	}
	allOrNone := func(t *testing.T, w *wired, run int) {
		w.settled(t)
		if stored := w.stored(t, idOf(run)); len(stored) > 0 {
			require.Equal(t, []string{"record", "record"}, stored)
		}
	}
	both := func(t *testing.T, w *wired, run int) {
		require.Equal(t, []string{"record", "record"}, w.stored(t, idOf(run)))
	}
	for i, o := range []operation{
		{
			name: "an actor's event",
			do: func(ctx context.Context, w *wired, run int) error {
				return w.j.AppendEvent(ctx, event(idOf(run), 1))
			},
			check: func(t *testing.T, w *wired, run int) { require.Equal(t, []string{"1"}, w.stored(t, idOf(run))) },
		},
		{
			name: "an event whose number is taken",
			do: func(ctx context.Context, w *wired, run int) error {
				if err := w.j.AppendEvent(ctx, event("taken", 1)); err != nil {
					return err
				}
				e := event("taken", 1)
				e.UID[15] = 9
				if err := w.j.AppendEvent(ctx, e); err == nil || !journal.IsFinal(err) {
					return fmt.Errorf("no conflict: %w", err)
				}
				return nil
			},
			check: func(t *testing.T, w *wired, _ int) { require.Equal(t, []string{"1"}, w.stored(t, "taken")) },
		},
		{
			name: "events of several actors",
			do: func(ctx context.Context, w *wired, run int) error {
				var wg sync.WaitGroup
				errs := make([]error, 6)
				for i := range errs {
					wg.Go(func() { errs[i] = w.j.AppendEvent(ctx, event(fmt.Sprintf("%s-%d", idOf(run), i), 1)) })
				}
				wg.Wait()
				for i, err := range errs {
					var stored int
					if err == nil {
						err = w.direct.QueryRow(ctx, "SELECT count(*) FROM outbox.journal WHERE persistence_id = $1", fmt.Sprintf("%s-%d", idOf(run), i)).Scan(&stored)
					}
					if err == nil && stored != 1 {
						return fmt.Errorf("%w: %d of %d is not there, which was told to be", journal.ErrEventsMissing, i, run)
					}
				}
				return errors.Join(errs...)
			},
			check: func(t *testing.T, w *wired, run int) {
				for i := range 6 {
					require.Equal(t, []string{"1"}, w.stored(t, fmt.Sprintf("%s-%d", idOf(run), i)))
				}
			},
		},
		{
			name: "records",
			do: func(ctx context.Context, w *wired, run int) error {
				_, err := w.j.Append(ctx, recordOf(run), recordOf(run))
				return err
			},
			check: both, unknown: allOrNone,
		},
		{
			name: "records in the application's transaction",
			do: func(ctx context.Context, w *wired, run int) error {
				tx, err := w.pool.Begin(ctx)
				if err != nil {
					return err
				}
				defer func() { _ = tx.Rollback(ctx) }()
				if _, err := w.j.AppendTx(ctx, tx, recordOf(run), recordOf(run)); err != nil {
					return err
				}
				return tx.Commit(ctx)
			},
			check: both, unknown: allOrNone,
		},
		{
			name: "ownership, and a save",
			do: func(ctx context.Context, w *wired, run int) error {
				key := "outbox/" + idOf(run)
				saved, err := w.j.Load(ctx, key)
				if err != nil {
					return err
				}
				if saved, err = w.j.Acquire(ctx, key, 0, saved.Epoch); err != nil {
					return err
				}
				return w.j.Save(ctx, key, query.Saved{Epoch: saved.Epoch, Index: saved.Index + 1, Data: []byte(key)})
			},
			check: func(t *testing.T, w *wired, run int) {
				var data string
				require.NoError(t, w.direct.QueryRow(t.Context(), "SELECT convert_from(data, 'UTF8') FROM outbox.outbox_snapshots WHERE key = $1", "outbox/"+idOf(run)).Scan(&data))
				require.Equal(t, "outbox/"+idOf(run), data)
			},
		},
		{
			name: "an actor's snapshot, and its deletions",
			do: func(ctx context.Context, w *wired, run int) error {
				if err := w.j.SaveActorSnapshot(ctx, idOf(run), journal.ActorSnapshot{Index: 1, Type: "T", Data: []byte("state")}); err != nil {
					return err
				}
				if err := w.j.DeleteActorSnapshots(ctx, idOf(run), 0); err != nil {
					return err
				}
				return w.j.HideEvents(ctx, idOf(run), 1)
			},
			check: func(t *testing.T, w *wired, run int) {
				s, ok, err := open(t, w.direct).LoadActorSnapshot(t.Context(), idOf(run))
				require.NoError(t, err)
				require.True(t, ok)
				require.Equal(t, "state", string(s.Data))
			},
		},
		{name: "the feed", do: readFeed(query.Filter{})},
		{name: "the feed through a filter", do: readFeed(query.Filter{Types: []string{"test.v1.Happened"}})},
		{name: "other reads", do: lookUp, step: 4},
	} {
		t.Run(o.name, func(t *testing.T) {
			w := newWired(t)
			// Something to read, with a gap, and an event whose data are read by a statement of their own.
			large := event("large", 1)
			large.Data = []byte(strings.Repeat("1", 2048))
			straight := open(t, w.direct)
			require.NoError(t, straight.AppendEvent(t.Context(), large))
			require.NoError(t, begin(t, w.direct, insertOf("gone", 1)).Rollback(t.Context()))
			require.NoError(t, straight.AppendEvent(t.Context(), event("large", 2)))

			first := 1
			if i > 0 { // what comes before the first statement of ours is the same for all
				w.pool.Reset()
				w.cutAfter(0)
				require.NoError(t, w.pool.Ping(t.Context()))
				first, _ = w.heal()
			}
			step := max(1, o.step)
			if faultRounds(t, 1) > 1 {
				step = 1
			}
			for n, run := first, 1; ; n, run = n+step, run+1 {
				w.pool.Reset()
				_, before := w.heal()
				w.cutAfter(n)
				err := o.do(t.Context(), w, run)
				_, after := w.heal()
				if err != nil {
					require.False(t, journal.IsFinal(err), "after message %d: %v", n, err)
				}
				if err != nil && o.unknown != nil {
					o.unknown(t, w, run)
					continue
				}
				if err != nil {
					require.NoError(t, o.do(t.Context(), w, run), "again, after it was lost at message %d: %v", n, err)
				}
				if o.check != nil {
					o.check(t, w, run)
				}
				if before == after {
					require.Greater(t, run, 10, "runs that were cut")
					t.Logf("lost after messages %d to %d, each %d", first, n-step, step)
					return
				}
			}
		})
	}
}

// readFeed reads what there is through a filter. What it gets is there.
func readFeed(filter query.Filter) func(context.Context, *wired, int) error {
	return func(ctx context.Context, w *wired, _ int) error {
		var ids []string
		for after := query.Offset(0); ; {
			page, err := w.j.Events(ctx, after, filter, query.Limits{Events: 100, Bytes: 50_000})
			if err != nil {
				return err
			}
			for _, e := range page.Events {
				ids = append(ids, e.ID())
				if e.Data[0] != byte('0'+e.SequenceNumber) {
					return fmt.Errorf("%w: %s has other data", journal.ErrNotDecodable, e.ID())
				}
			}
			if after = page.Next; !page.More {
				break
			}
		}
		if len(ids) != 2 {
			return fmt.Errorf("%w: of the feed: %v", journal.ErrEventsMissing, ids)
		}
		return nil
	}
}

// lookUp uses every other way to read.
func lookUp(ctx context.Context, w *wired, _ int) error {
	for name, ask := range map[string]func() (bool, error){
		"the id": func() (bool, error) {
			events, _, err := w.j.EventsByPersistenceID(ctx, "large", 1, query.Limits{Events: 100})
			return len(events) == 2, err
		},
		"the last number": func() (bool, error) { n, err := w.j.LastSequenceNumber(ctx, "large"); return n == 2, err },
		"the head":        func() (bool, error) { h, err := w.j.Head(ctx); return h.Offset == 3, err },
		"the ids":         func() (bool, error) { ids, err := w.j.PersistenceIDs(ctx, "", 9); return len(ids) == 1, err },
		"a time":          func() (bool, error) { o, err := w.j.OffsetAt(ctx, time.Unix(0, 0)); return o == 0, err },
		"no snapshot": func() (bool, error) {
			_, ok, err := w.j.LoadActorSnapshot(ctx, "large")
			return !ok, err
		},
		"no owner": func() (bool, error) { s, err := w.j.Load(ctx, "outbox/nobody"); return s.Epoch == 0, err },
	} {
		right, err := ask()
		if err == nil && !right {
			err = fmt.Errorf("%w: the answer is wrong", journal.ErrNotDecodable)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}
