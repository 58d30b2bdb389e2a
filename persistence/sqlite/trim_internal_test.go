package sqlite

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// Of the events in a file of schema version 1 nobody knows whether an actor wrote them: they are taken for an actor's, and so
// is what is appended to their ids.
func TestAFileOfTheFirstVersionIsTrimmed(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "journal.db")
	db, err := connect(path, 1, "_txlock", "immediate")
	require.NoError(t, err)
	require.NoError(t, inTx(ctx, db, nil, func(tx *sql.Tx) error {
		if _, err := tx.Exec(migrations[0] + fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = 1;", applicationID)); err != nil {
			return err
		}
		for seq := 1; seq <= 4; seq++ {
			if _, err := tx.Exec(`INSERT INTO events (persistence_id, sequence_number, slice, hidden, time, uid, type, content_type) VALUES
				('deleted', ?1, ?2, 1, 0, randomblob(16), 'T', ''), ('kept', ?1, ?3, 0, 0, randomblob(16), 'T', '')`,
				seq, query.SliceOf("deleted"), query.SliceOf("kept")); err != nil {
				return err
			}
		}
		return giveIdentity(ctx, tx)
	}))
	require.NoError(t, db.Close())

	j, err := Open(ctx, path)
	require.NoError(t, err)
	defer j.Close()
	for range 2 {
		_, err = j.Append(ctx, journal.Record{PersistenceID: "kept", Type: "T"}, journal.Record{PersistenceID: "new", Type: "T"})
		require.NoError(t, err)
	}
	head, err := j.Head(ctx)
	require.NoError(t, err)
	saved, err := j.Acquire(ctx, "outbox/x", 0, 0)
	require.NoError(t, err)
	require.NoError(t, j.Save(ctx, "outbox/x", query.Saved{Epoch: saved.Epoch, Index: 1, Keep: query.Keep{Watermark: head.Offset}}))
	trimmed, err := j.Trim(ctx, journal.Retention{})
	require.NoError(t, err)
	require.EqualValues(t, 3+1, trimmed.Events)
	for id, left := range map[string]int{"deleted": 1, "kept": 6, "new": 1} {
		events, _, err := j.EventsByPersistenceID(ctx, id, 1, query.Limits{Events: 10})
		require.NoError(t, err)
		require.Len(t, events, left, id)
	}
}

// What is to be trimmed is found by an index, however many events there are that stay.
func TestTrimFindsItsCandidatesByAnIndex(t *testing.T) {
	j, err := Open(t.Context(), filepath.Join(t.TempDir(), "journal.db"))
	require.NoError(t, err)
	defer j.Close()
	var id, parent, unused int
	var detail string
	require.NoError(t, j.writer.QueryRow("EXPLAIN QUERY PLAN "+trimCandidatesSQL, 0, 1, 1).Scan(&id, &parent, &unused, &detail))
	require.Contains(t, detail, "USING INDEX events_removable")
}
