package sqlite_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/sqlite"
)

// mishap is something that happens to the file of an open journal.
type mishap struct {
	name string
	// happen does it to the file at path. older is a copy of the file, made when it had five events.
	happen func(t *testing.T, path, older string)
	// remains is the number of events in the file that is there afterwards; -1 if there is none.
	remains int
	// closing is what Close returns: where another file is, the log of the one that was open had to get out of its way.
	closing error
}

var mishaps = []mishap{
	{"it is deleted", func(t *testing.T, path, _ string) {
		require.NoError(t, os.Remove(path))
	}, -1, nil},
	{"it is moved away", func(t *testing.T, path, _ string) {
		require.NoError(t, os.Rename(path, path+".moved"))
	}, -1, nil},
	{"another journal takes its place", func(t *testing.T, path, _ string) {
		other := filepath.Join(t.TempDir(), "other.db")
		j := open(t, other)
		require.NoError(t, j.AppendEvent(t.Context(), event("other", 1)))
		require.NoError(t, j.Close())
		require.NoError(t, os.Rename(other, path))
	}, 1, sqlite.ErrFileChanged},
	{"an older copy takes its place", func(t *testing.T, path, older string) {
		require.NoError(t, os.Rename(older, path))
	}, 5, sqlite.ErrFileChanged},
	{"it is restored in place", func(t *testing.T, path, older string) {
		restore(t, path, older)
	}, 5, nil},
}

// restore sets the database at path back to a copy, in place, as SQLite's own means do.
func restore(t *testing.T, path, older string) {
	t.Helper()
	rawSQL(t, path, "ATTACH '"+older+"' AS older; BEGIN IMMEDIATE;"+
		"DELETE FROM main.events; INSERT INTO main.events SELECT * FROM older.events;"+
		"DELETE FROM main.sqlite_sequence; INSERT INTO main.sqlite_sequence SELECT * FROM older.sqlite_sequence;"+
		"DELETE FROM main.outbox_snapshots; INSERT INTO main.outbox_snapshots SELECT * FROM older.outbox_snapshots;"+
		"COMMIT")
}

func TestAFileThatChangesUnderAnOpenJournalIsNoticed(t *testing.T) {
	for _, m := range mishaps {
		for first, call := range callsOf() {
			t.Run(m.name+", first met by "+first, func(t *testing.T) {
				dir := t.TempDir()
				path, older := filepath.Join(dir, "journal.db"), filepath.Join(dir, "older.db")
				j, err := sqlite.Open(t.Context(), path)
				require.NoError(t, err)
				defer j.Close()
				appendTo(t, j, "a", 1, 5)
				rawSQL(t, path, "VACUUM INTO '"+older+"'")
				appendTo(t, j, "a", 6, 10)

				m.happen(t, path, older)
				requireFileChanged(t, path, call(t.Context(), j))
				for name, call := range callsOf() {
					t.Log(name)
					requireFileChanged(t, path, call(t.Context(), j))
				}
				require.ErrorIs(t, j.Close(), m.closing)

				if m.remains < 0 {
					require.NoFileExists(t, path)
					return
				}
				now := open(t, path)
				require.Len(t, all(t, now), m.remains, "what is there is whole, and nothing was added to it")
				require.Equal(t, "ok", integrity(t, path))
				appendTo(t, now, "new", 1, 3)
				require.Len(t, all(t, now), m.remains+3)
			})
		}
	}
}

func requireFileChanged(t *testing.T, path string, err error) {
	t.Helper()
	require.ErrorIs(t, err, sqlite.ErrFileChanged)
	require.ErrorIs(t, err, query.ErrClosed)
	require.True(t, journal.IsFinal(err), "the right file does not come back into the connections: %v", err)
	require.ErrorContains(t, err, path)
	require.ErrorContains(t, err, "open it again")
}

// callsOf is a call of each method that could report success into a file that is not there any more.
func callsOf() map[string]func(context.Context, *sqlite.Journal) error {
	return map[string]func(context.Context, *sqlite.Journal) error{
		"Append": func(ctx context.Context, j *sqlite.Journal) error {
			return j.AppendEvent(ctx, event("b", 1))
		},
		"Head": func(ctx context.Context, j *sqlite.Journal) error {
			_, err := j.Head(ctx)
			return err
		},
		"Ping": func(ctx context.Context, j *sqlite.Journal) error { return j.Ping(ctx) },
		"Events": func(ctx context.Context, j *sqlite.Journal) error {
			_, err := j.Events(ctx, 10, query.Filter{}, query.Limits{Events: 10})
			return err
		},
	}
}

func appendTo(t *testing.T, j *sqlite.Journal, id string, first, last int64) {
	t.Helper()
	for seq := first; seq <= last; seq++ {
		require.NoError(t, j.AppendEvent(t.Context(), event(id, seq)))
	}
}

// integrity is what SQLite itself finds out about the file.
func integrity(t *testing.T, path string) (answer string) {
	t.Helper()
	withSQL(t, path, func(db *sql.DB) {
		require.NoError(t, db.QueryRow("PRAGMA integrity_check").Scan(&answer))
	})
	return answer
}

// Saves and snapshots are refused as appends are: they would be gone as well.
func TestNothingIsSavedIntoAFileThatIsGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := open(t, path)
	saved, err := j.Acquire(t.Context(), "outbox/x", 0, 0)
	require.NoError(t, err)
	require.NoError(t, os.Remove(path))
	requireFileChanged(t, path, j.Save(t.Context(), "outbox/x", query.Saved{Epoch: saved.Epoch, Index: 1}))
	requireFileChanged(t, path, j.SaveActorSnapshot(t.Context(), "a", journal.ActorSnapshot{Index: 1, Type: "T"}))
}

// A file that comes back is the same file, but connections may have been made to the one that was there meanwhile.
func TestAFileThatComesBackIsOpenedAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := open(t, path)
	appendTo(t, j, "a", 1, 3)
	require.NoError(t, os.Rename(path, path+".moved"))
	requireFileChanged(t, path, j.Ping(t.Context()))
	require.NoError(t, os.Rename(path+".moved", path))
	requireFileChanged(t, path, j.Ping(t.Context()))
	require.NoError(t, j.Close())
	require.Len(t, all(t, open(t, path)), 3, "and nothing of it is lost, the log included")
}
