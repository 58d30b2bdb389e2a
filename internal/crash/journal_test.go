package crash_test

import (
	"database/sql"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/protoactor-contrib/protoactor-outbox/internal/crash"
)

// openFile opens a journal file for reading. It uses nothing but the database driver: the journal's own reading is
// among what is tested.
func openFile(t *testing.T, path string) *sql.DB {
	t.Helper()
	file := url.URL{Scheme: "file", Path: path, RawQuery: "mode=ro"}
	db, err := sql.Open("sqlite", file.String())
	require.NoError(t, err)
	return db
}

// readJournal returns the payloads of all events in the file.
func readJournal(t *testing.T, path string) map[event]string {
	t.Helper()
	db := openFile(t, path)
	defer db.Close()
	rows, err := db.Query("SELECT persistence_id, sequence_number, data FROM events")
	require.NoError(t, err)
	defer rows.Close()
	events := map[event]string{}
	for rows.Next() {
		var (
			e       event
			data    []byte
			payload wrapperspb.StringValue
		)
		require.NoError(t, rows.Scan(&e.id, &e.seq, &data))
		require.NoError(t, proto.Unmarshal(data, &payload))
		events[e] = payload.GetValue()
	}
	require.NoError(t, rows.Err())
	return events
}

// savedIndex returns the index of the outbox's snapshot. It reads a copy of the file and its log, so that the next
// worker finds them as the killed one has left them.
func savedIndex(t *testing.T, path string) (index int64) {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "copy.db")
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(path + suffix)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(copied+suffix, content, 0o600))
	}
	db := openFile(t, copied)
	defer db.Close()
	require.NoError(t, db.QueryRow("SELECT idx FROM outbox_snapshots WHERE key = ?", crash.OutboxKey).Scan(&index))
	return index
}

// How far the making of a file may have come. The last step is the switch to a write-ahead log, which the header tells.
const (
	fileMissing    = "no file"
	fileEmpty      = "an empty file"
	fileUnfinished = "an unfinished schema" // which SQLite takes back
	fileNoLog      = "no write-ahead log"
	fileMade       = "the file"
)

// walMode is the file format version, for writing, of a database with a write-ahead log, and walOffset its place in
// the header.
const (
	walOffset = 18
	walMode   = 2
)

func fileState(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fileMissing
	}
	require.NoError(t, err)
	switch journal, err := os.Stat(path + "-journal"); {
	case err == nil && journal.Size() > 0:
		return fileUnfinished
	case len(content) == 0:
		return fileEmpty
	case content[walOffset] != walMode:
		return fileNoLog
	default:
		return fileMade
	}
}
