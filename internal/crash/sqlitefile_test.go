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

// sqliteFile is a database in a file, given by its path.
type sqliteFile string

func newSQLiteFile(t *testing.T) database {
	return sqliteFile(filepath.Join(t.TempDir(), "crash.db"))
}

func (f sqliteFile) journal() string { return string(f) }

func openFile(t *testing.T, path string) *sql.DB {
	t.Helper()
	file := url.URL{Scheme: "file", Path: path, RawQuery: "mode=ro"}
	db, err := sql.Open("sqlite", file.String())
	require.NoError(t, err)
	return db
}

func (f sqliteFile) events(t *testing.T) map[event]string {
	t.Helper()
	db := openFile(t, string(f))
	defer db.Close()
	rows, err := db.Query("SELECT persistence_id, sequence_number, data FROM events")
	require.NoError(t, err)
	defer rows.Close()
	events := map[event]string{}
	for rows.Next() {
		var (
			e    event
			data []byte
		)
		require.NoError(t, rows.Scan(&e.id, &e.seq, &data))
		events[e] = payloadOf(t, data)
	}
	require.NoError(t, rows.Err())
	return events
}

func payloadOf(t *testing.T, data []byte) string {
	t.Helper()
	var payload wrapperspb.StringValue
	require.NoError(t, proto.Unmarshal(data, &payload))
	return payload.GetValue()
}

// savedIndex reads a copy of the file and its log.
func (f sqliteFile) savedIndex(t *testing.T) (index int64) {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "copy.db")
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(string(f) + suffix)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(copied+suffix, content, 0o600))
	}
	db := openFile(t, copied)
	defer db.Close()
	require.NoError(t, db.QueryRow("SELECT idx FROM outbox_snapshots WHERE key = ?", crash.OutboxKey).Scan(&index))
	return index
}

// settle has nothing to do: what a killed process has begun, nobody carries on.
func (sqliteFile) settle(*testing.T) {}

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

func (f sqliteFile) state(t *testing.T) (state string, made bool) {
	t.Helper()
	content, err := os.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return fileMissing, false
	}
	require.NoError(t, err)
	switch journal, err := os.Stat(string(f) + "-journal"); {
	case err == nil && journal.Size() > 0:
		return fileUnfinished, false
	case len(content) == 0:
		return fileEmpty, false
	case content[walOffset] != walMode:
		return fileNoLog, false
	default:
		return fileMade, true
	}
}

func (f sqliteFile) unmake(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(string(f) + "*")
	require.NoError(t, err)
	for _, file := range files {
		require.NoError(t, os.Remove(file))
	}
}
