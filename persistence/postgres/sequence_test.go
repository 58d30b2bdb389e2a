package postgres_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/internal/pgserver"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/postgres"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// insertAt is a statement that appends an event at an offset of the other program's choice.
func insertAt(offset query.Offset, id string, seq int64) string {
	return fmt.Sprintf(`INSERT INTO outbox.journal (ordering, persistence_id, sequence_number, slice, uid, type, content_type)
		OVERRIDING SYSTEM VALUE VALUES (%d, '%s', %d, %d, gen_random_uuid(), 'T', '')`, offset, id, seq, query.SliceOf(id))
}

// An outbox that has passed the table's last event would never see the next one. What the error says to do helps.
func TestOpenRefusesASequenceThatIsBehindItsTable(t *testing.T) {
	for name, c := range map[string]struct {
		opts []postgres.Option
		do   []string
	}{
		"never used":       {do: []string{insertAt(7, "a", 1)}},
		"one behind":       {do: []string{insertOf("a", 1), insertAt(2, "a", 2)}},
		"set back":         {do: []string{insertOf("a", 1), insertOf("a", 2), "SELECT setval('outbox.journal_ordering_seq', 1)"}},
		"set to the last":  {do: []string{insertOf("a", 1), insertOf("a", 2), "SELECT setval('outbox.journal_ordering_seq', 2, false)"}},
		"begun anew":       {do: []string{insertOf("a", 1), "ALTER TABLE outbox.journal ALTER ordering RESTART"}},
		"with an odd name": {opts: []postgres.Option{postgres.WithSchema(`it's "a" \ schema`), postgres.WithTablePrefix(`%s {{journal}} ' "`)}},
	} {
		t.Run(name, func(t *testing.T) {
			pool := migrated(t)
			if c.opts != nil {
				require.NoError(t, postgres.Migrate(t.Context(), pool, c.opts...))
				j := open(t, pool, c.opts...)
				require.NoError(t, j.AppendEvent(t.Context(), event("a", 1)))
				c.do = []string{`ALTER TABLE "it's ""a"" \ schema"."%s {{journal}} ' ""journal" ALTER ordering RESTART`}
			}
			exec(t, pool, c.do...)
			pool.Reset()
			_, err := postgres.Open(t.Context(), pool, c.opts...)
			require.ErrorIs(t, err, postgres.ErrUnsafeOrder)
			require.False(t, journal.IsFinal(err))
			_, remedy, said := strings.Cut(err.Error(), "run ")
			require.True(t, said, err)

			exec(t, pool, remedy)
			j := open(t, pool, c.opts...)
			before, err := j.Head(t.Context())
			require.NoError(t, err)
			require.NoError(t, j.AppendEvent(t.Context(), event("next", 1)))
			after, err := j.Head(t.Context())
			require.NoError(t, err)
			require.Equal(t, before.Offset+1, after.Offset)
		})
	}
}

// What comes after Open is found on the next connection, also by those who only read.
func TestASequenceThatFallsBehindIsRefused(t *testing.T) {
	pool := migrated(t)
	j := open(t, pool)
	require.NoError(t, j.AppendEvent(t.Context(), event("a", 1)))
	exec(t, pool, insertAt(7, "b", 1))
	pool.Reset()
	require.ErrorIs(t, j.AppendEvent(t.Context(), event("a", 2)), postgres.ErrUnsafeOrder)
	require.ErrorIs(t, j.Ping(t.Context()), postgres.ErrUnsafeOrder)
	require.Equal(t, 2, transactionsOf(t, pool))
}

func TestASequenceThatIsAheadIsFine(t *testing.T) {
	pool := migrated(t)
	for _, do := range []string{
		"SELECT 1", // nothing there yet
		insertOf("a", 1),
		"SELECT setval('outbox.journal_ordering_seq', 2, false)",
		"SELECT setval('outbox.journal_ordering_seq', 2)",
		"SELECT setval('outbox.journal_ordering_seq', 1000, false)",
		"DELETE FROM outbox.journal",
	} {
		exec(t, pool, do)
		pool.Reset()
		require.NoError(t, open(t, pool).Ping(t.Context()), do)
	}
}

// Others append all the time. A look at the table that was newer than that at the sequence would find offsets beyond it.
func TestABusyJournalIsNotTakenForOneThatIsBehind(t *testing.T) {
	pool := migrated(t)
	database := pool.Config().ConnConfig.Database
	var (
		stop    atomic.Bool
		writing sync.WaitGroup
	)
	for w := range 4 {
		writing.Go(func() {
			j := open(t, connect(t, database))
			for seq := int64(1); !stop.Load(); seq++ {
				if err := j.AppendEvent(context.Background(), event(fmt.Sprint("id-", w), seq)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	opening := connect(t, database)
	for range 50 {
		opening.Reset()
		j, err := postgres.Open(t.Context(), opening)
		if err != nil {
			t.Error(err)
			break
		}
		require.NoError(t, j.Close())
	}
	stop.Store(true)
	writing.Wait()
}

// Logical replication copies rows as they are, and no sequence. While it goes on, offsets come that are missing now, and
// whose transactions nobody sees here.
func TestAJournalThatIsReplicatedLogically(t *testing.T) {
	s := pgserver.New(t, "fsync = off", "wal_level = logical")
	exec(t, to(t, s), "CREATE DATABASE older", "CREATE DATABASE newer")
	older, newer := withSecret(t, s.URL("older")), withSecret(t, s.URL("newer"))
	require.NoError(t, postgres.Migrate(t.Context(), older))
	require.NoError(t, postgres.Migrate(t.Context(), newer))
	j := open(t, older)
	for seq := range int64(3) {
		require.NoError(t, j.AppendEvent(t.Context(), event("a", seq+1)))
	}
	saved, err := j.Acquire(t.Context(), "outbox/x", 0, 0)
	require.NoError(t, err)
	exec(t, newer, "TRUNCATE outbox.meta, outbox.journal, outbox.actor_snapshots, outbox.outbox_snapshots")
	exec(t, older, "CREATE PUBLICATION p FOR TABLE outbox.meta, outbox.journal, outbox.actor_snapshots, outbox.outbox_snapshots",
		"SELECT pg_create_logical_replication_slot('s', 'pgoutput')")
	exec(t, newer, "CREATE SUBSCRIPTION s CONNECTION '"+s.URL("older")+"' PUBLICATION p WITH (create_slot = false, slot_name = 's')")
	await(t, "all has come", func() (all bool) {
		require.NoError(t, newer.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM outbox.journal) = 3 AND (SELECT count(*) FROM outbox.meta) = 3
			AND (SELECT count(*) FROM outbox.outbox_snapshots) = 1`).Scan(&all))
		return all
	})
	_, err = postgres.Open(t.Context(), newer)
	require.ErrorIs(t, err, postgres.ErrUnsafeOrder)
	require.ErrorContains(t, err, "DROP SUBSCRIPTION")

	exec(t, newer, "DROP SUBSCRIPTION s")
	_, err = postgres.Open(t.Context(), newer)
	require.ErrorIs(t, err, postgres.ErrUnsafeOrder)
	_, remedy, _ := strings.Cut(err.Error(), "run ")
	exec(t, newer, remedy)
	j = open(t, newer)
	require.NoError(t, j.AppendEvent(t.Context(), event("a", 4)))
	names, next := sees(t, j, 3, query.Filter{})
	require.Equal(t, "a/4", names)
	require.EqualValues(t, 4, next)
	_, err = j.Acquire(t.Context(), "outbox/x", saved.Epoch, 0)
	require.NoError(t, err, "outboxes come along")
}
