package sqlite_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journaltest"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/sqlite"
)

func TestConformance(t *testing.T) {
	paths := map[journaltest.Journal]string{}
	open := func(t *testing.T, path string) journaltest.Journal {
		j, err := sqlite.Open(t.Context(), path)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, j.Close()) })
		paths[j] = path
		return j
	}
	journaltest.Run(t, journaltest.Harness{
		New: func(t *testing.T) journaltest.Journal {
			return open(t, filepath.Join(t.TempDir(), "journal.db"))
		},
		Reopen: func(t *testing.T, j journaltest.Journal) journaltest.Journal {
			require.NoError(t, j.(*sqlite.Journal).Close())
			return open(t, paths[j])
		},
		Crash: func(t *testing.T, j journaltest.Journal) journaltest.Journal {
			// What is on the disk while the journal is open is what a process that is killed leaves there.
			left := filepath.Join(t.TempDir(), "journal.db")
			for _, suffix := range []string{"", "-wal"} {
				content, err := os.ReadFile(paths[j] + suffix)
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(left+suffix, content, 0o600))
			}
			return open(t, left)
		},
		Open: func(t *testing.T, j journaltest.Journal) journaltest.Journal {
			return open(t, paths[j])
		},
		Capabilities: journaltest.Capabilities{
			SnapshotStore: true, Notifier: true, PersistenceIDs: true, Pinger: true, TimeFinder: true, Appender: true, Trimmer: true, Closer: true,
		},
	})
}
