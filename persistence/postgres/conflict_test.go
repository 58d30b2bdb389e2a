package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// Another program, which knows nothing of our locks, inserts what was to be the next event of an id. That is nothing that the
// record is to blame for: it comes after it.
func TestARecordMeetsAnInsertWithoutALock(t *testing.T) {
	pool := migrated(t)
	j := open(t, pool)
	other := begin(t, pool, insertOf("a", 1))
	type answer struct {
		at  []query.Pointer
		err error
	}
	done := make(chan answer, 1)
	go func() {
		at, err := j.Append(t.Context(), journal.Record{PersistenceID: "a", Type: "T"})
		done <- answer{at, err}
	}()
	awaitThat(t, func() (waits bool) {
		require.NoError(t, pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT 1 FROM pg_stat_activity
			WHERE wait_event_type = 'Lock' AND wait_event = 'transactionid' AND datname = current_database())`).Scan(&waits))
		return waits
	}, "the record's insert waits")
	require.NoError(t, other.Commit(t.Context()))
	got := <-done
	require.NoError(t, got.err)
	require.EqualValues(t, 2, got.at[0].SequenceNumber)
	require.Len(t, all(t, j), 2)
}

// A sequence that is behind its table, as after a migration by logical replication, is not the event's fault, either.
func TestASequenceThatIsBehindIsNoFaultOfTheEvent(t *testing.T) {
	pool := migrated(t)
	j := open(t, pool)
	exec(t, pool, insertOf("a", 1), "SELECT setval('outbox.journal_ordering_seq', 1, false)")
	err := j.AppendEvent(t.Context(), event("b", 1))
	require.ErrorContains(t, err, "journal_ordering_key")
	require.False(t, journal.IsFinal(err))
}
