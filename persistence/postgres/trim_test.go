package postgres_test

import (
	"context"
	"crypto/rand"
	"fmt"
	rand2 "math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/postgres"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// deleted appends events that their actor has deleted, and an outbox has published.
func deleted(t testing.TB, j *postgres.Journal, id string, last int64) {
	t.Helper()
	for seq := int64(1); seq <= last; seq++ {
		require.NoError(t, j.AppendEvent(t.Context(), event(id, seq)))
	}
	require.NoError(t, j.HideEvents(t.Context(), id, last))
	published(t, j)
}

// published has an outbox say that it needs nothing of what is there.
func published(t testing.TB, j *postgres.Journal) query.Saved {
	t.Helper()
	head, err := j.Head(t.Context())
	require.NoError(t, err)
	saved, err := j.Load(t.Context(), "outbox/all")
	require.NoError(t, err)
	saved, err = j.Acquire(t.Context(), "outbox/all", 0, saved.Epoch)
	require.NoError(t, err)
	saved.Index++
	saved.Keep.Watermark = head.Offset
	require.NoError(t, j.Save(t.Context(), "outbox/all", saved))
	return saved
}

func trim(t testing.TB, j *postgres.Journal) int64 {
	t.Helper()
	trimmed, err := j.Trim(t.Context(), journal.Retention{})
	require.NoError(t, err)
	return trimmed.Events
}

// waitsForLock is how many sessions wait for a lock of that type.
func waitsForLock(t testing.TB, pool *pgxpool.Pool, locktype string) func() bool {
	return func() (waits bool) {
		require.NoError(t, pool.QueryRow(context.Background(), `SELECT count(*) > 0 FROM pg_locks l JOIN pg_stat_activity a USING (pid)
			WHERE NOT granted AND l.locktype = $1 AND a.datname = current_database()`, locktype).Scan(&waits))
		return waits
	}
}

// An outbox that registers while a batch is removed gets its answer when the batch is gone, or the batch sees it.
func TestWhoRegistersAndABatchOfTrimWaitForEachOther(t *testing.T) {
	pool := migrated(t)
	j := open(t, pool)
	deleted(t, j, "a", 3)

	batch := begin(t, pool, fmt.Sprintf("SELECT pg_advisory_xact_lock(%d)", j.Registration()))
	registered := make(chan error, 1)
	go func() {
		_, err := j.Acquire(context.Background(), "outbox/new", 0, 0)
		registered <- err
	}()
	require.NoError(t, testkit.AwaitCondition(t.Context(), waitsForLock(t, pool, "advisory"), 20*time.Second, "who registers waits"))
	select {
	case err := <-registered:
		require.Fail(t, "the outbox has not waited for the batch", err)
	default:
	}
	require.NoError(t, batch.Commit(t.Context()))
	require.NoError(t, <-registered)
	require.Zero(t, trim(t, j), "the new one has published nothing")
	require.NoError(t, j.Unregister(t.Context(), "outbox/new"))

	// The other way round: somebody registers, and takes long.
	registration := begin(t, pool, fmt.Sprintf("SELECT pg_advisory_xact_lock_shared(%d)", j.Registration()),
		"INSERT INTO outbox.outbox_snapshots (key, registered, epoch) VALUES ('outbox/slow', true, 1)")
	_, err := j.Trim(t.Context(), journal.Retention{})
	require.ErrorContains(t, err, "lock timeout")
	require.False(t, journal.IsFinal(err))
	require.Len(t, all(t, j), 3)
	require.NoError(t, registration.Commit(t.Context()))
	require.Zero(t, trim(t, j))
	require.Len(t, all(t, j), 3)
}

func TestWhoSavesWaitsForABatchOfTrim(t *testing.T) {
	pool := migrated(t)
	j := open(t, pool)
	deleted(t, j, "a", 3)
	saved := published(t, j)
	for name, save := range map[string]func() error{
		"save": func() error {
			saved.Index++
			return j.Save(context.Background(), "outbox/all", saved)
		},
		"unregister": func() error { return j.Unregister(context.Background(), "outbox/all") },
	} {
		batch := begin(t, pool, j.TrimNeedsSQL())
		done := make(chan error, 1)
		go func() { done <- save() }()
		require.NoError(t, testkit.AwaitCondition(t.Context(), waitsForLock(t, pool, "transactionid"), 20*time.Second, name+" waits"))
		require.NoError(t, batch.Commit(t.Context()))
		require.NoError(t, <-done)
		saved = published(t, j)
	}
}

// An event after which nothing is committed is the last one of its id, whatever is about to be.
func TestTrimKeepsTheLastEventThatIsCommitted(t *testing.T) {
	j := open(t, migrated(t))
	deleted(t, j, "a", 3)
	tx, err := j.BeginAppend(t.Context(), event("a", 4))
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	require.EqualValues(t, 2, trim(t, j))
	require.NoError(t, tx.Rollback(t.Context()))
	last, err := j.LastSequenceNumber(t.Context(), "a")
	require.NoError(t, err)
	require.EqualValues(t, 3, last)
	require.NoError(t, j.AppendEvent(t.Context(), event("a", 4)))
	require.NoError(t, j.HideEvents(t.Context(), "a", 4))
	published(t, j)
	require.EqualValues(t, 1, trim(t, j))
}

// What another transaction holds is removed by a later call: nobody waits for it.
func TestTrimWaitsForNoRow(t *testing.T) {
	pool := migrated(t)
	j := open(t, pool)
	deleted(t, j, "a", 5)
	tx := begin(t, pool, "UPDATE outbox.journal SET hidden = true WHERE sequence_number IN (2, 3)")
	require.EqualValues(t, 2, trim(t, j))
	require.NoError(t, tx.Rollback(t.Context()))
	require.EqualValues(t, 2, trim(t, j))
	require.Len(t, all(t, j), 1)
}

func TestTrimSaysWhatToGrant(t *testing.T) {
	pool := migrated(t)
	role := "trim_" + rand.Text()
	quoted := pgx.Identifier{role}.Sanitize()
	admin(t, "CREATE ROLE "+quoted)
	t.Cleanup(func() { admin(t, "DROP ROLE "+quoted) })
	t.Cleanup(func() { exec(t, pool, "DROP OWNED BY "+quoted) })
	exec(t, pool, "GRANT USAGE ON SCHEMA outbox TO "+quoted,
		"GRANT SELECT, INSERT, UPDATE ON outbox.meta, outbox.journal, outbox.outbox_snapshots TO "+quoted,
		"GRANT SELECT, INSERT, UPDATE, DELETE ON outbox.actor_snapshots TO "+quoted,
		"GRANT SELECT ON SEQUENCE outbox.journal_ordering_seq TO "+quoted)
	deleted(t, open(t, pool), "a", 3)
	j := open(t, connect(t, pool.Config().ConnConfig.Database, func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["role"] = role }))

	_, err := j.Trim(t.Context(), journal.Retention{})
	var missing *postgres.PrivilegeError
	require.ErrorAs(t, err, &missing)
	require.Equal(t, &postgres.PrivilegeError{User: role, Missing: []string{`DELETE ON "outbox"."journal"`}}, missing)
	exec(t, pool, "GRANT "+missing.Missing[0]+" TO "+quoted)
	require.EqualValues(t, 2, trim(t, j))
}

// Whatever appends without an actor says so. SQL that does not leaves the id as it is.
func TestTrimKnowsWhatWasWrittenWithoutAnActor(t *testing.T) {
	j, kinds := kindsOfTransaction(t)
	kinds["append"] = func(t *testing.T, j *postgres.Journal, _ bool, records ...journal.Record) ([]query.Pointer, error) {
		return j.Append(t.Context(), records...)
	}
	for name, appends := range kinds {
		_, err := appends(t, j, true, record("only "+name), record("only "+name), record("mixed "+name))
		require.NoError(t, err)
		_, err = appends(t, j, true, record("only "+name), record("mixed "+name))
		require.NoError(t, err)
		require.NoError(t, j.AppendEvent(t.Context(), event("mixed "+name, 3)))
		require.NoError(t, j.AppendEvent(t.Context(), event("actor "+name, 1)))
		_, err = appends(t, j, true, record("mixed "+name), record("actor "+name), record("actor "+name))
		require.NoError(t, err)
	}
	published(t, j)
	require.EqualValues(t, 2*len(kinds), trim(t, j))
	for name := range kinds {
		for id, left := range map[string]int{"only ": 1, "mixed ": 4, "actor ": 3} {
			events, _, err := j.EventsByPersistenceID(t.Context(), id+name, 1, query.Limits{Events: 10})
			require.NoError(t, err)
			require.Len(t, events, left, id+name)
		}
	}
}

// Connections are killed while several trim, until everything is gone that may be. Nothing else goes.
func TestTrimIsKilled(t *testing.T) {
	const ids, each = 40, 100
	seed := seedOf(t)
	random := rand2.New(rand2.NewPCG(seed, 0))
	pool := migrated(t)
	j := open(t, pool)
	for i := range ids {
		var records []journal.Record
		for range each {
			records = append(records, record(fmt.Sprintf("id-%d", i)))
		}
		_, err := j.Append(t.Context(), records...)
		require.NoError(t, err)
	}
	saved := published(t, j)
	saved.Index++
	saved.Keep.Held = map[string]int64{"id-0": each / 2}
	require.NoError(t, j.Save(t.Context(), "outbox/all", saved))

	var (
		wg   sync.WaitGroup
		done = make(chan struct{})
	)
	killer := connect(t, pool.Config().ConnConfig.Database)
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Duration(random.IntN(20_000)) * time.Microsecond):
				_, _ = killer.Exec(context.Background(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
					WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'`)
			}
		}
	})
	failed := 0
	for calls := 0; failed < 10 && calls < 1000; calls++ {
		if _, err := j.Trim(t.Context(), journal.Retention{}); err != nil {
			failed++
		}
	}
	close(done)
	wg.Wait()
	require.Positive(t, failed, "none was killed")
	trim(t, j)
	left := map[string]int{}
	for _, e := range all(t, j) {
		left[e.PersistenceID]++
	}
	require.Len(t, left, ids)
	for id, n := range left {
		want := 1
		if id == "id-0" {
			want = each/2 + 1
		}
		require.Equal(t, want, n, id)
	}
}

// The settings that keep Trim from reading all of the journal make a statement that has no index cost so much, in the planner's
// eyes, that it would be compiled to machine code, each time.
func TestTrimHasNoStatementCompiled(t *testing.T) {
	pool := migrated(t)
	var compiles bool
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT pg_jit_available()").Scan(&compiles))
	if !compiles {
		require.NotEqual(t, "1", os.Getenv("OUTBOX_REQUIRE_SERVICES"), "OUTBOX_REQUIRE_SERVICES=1, but this server compiles nothing: set jit, and install llvmjit")
		t.Skip("SKIPPED: this server compiles nothing (jit is off, or llvmjit is not installed)")
	}
	settings, needs := open(t, pool).LookSQL()
	tx := begin(t, pool, settings)
	rows, err := tx.Query(t.Context(), "EXPLAIN (ANALYZE) "+needs)
	require.NoError(t, err)
	plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.NotContains(t, strings.Join(plan, "\n"), "JIT:")
}
