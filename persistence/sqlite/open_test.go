package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/sqlite"
)

func open(t *testing.T, path string) *sqlite.Journal {
	t.Helper()
	j, err := sqlite.Open(t.Context(), path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, j.Close()) })
	return j
}

func event(id string, seq int64) query.Event {
	e := query.Event{PersistenceID: id, SequenceNumber: seq, Type: "test.v1.Happened", Data: fmt.Append(nil, seq)}
	copy(e.UID[:], fmt.Sprintf("%s/%d", id, seq))
	return e
}

func all(t *testing.T, j *sqlite.Journal) []query.Event {
	t.Helper()
	page, err := j.Events(t.Context(), 0, query.Filter{}, query.Limits{Events: 100_000})
	require.NoError(t, err)
	return page.Events
}

// rawSQL runs statements as another program would.
func rawSQL(t *testing.T, path string, statements ...string) {
	t.Helper()
	withSQL(t, path, func(db *sql.DB) {
		for _, s := range statements {
			_, err := db.Exec(s)
			require.NoError(t, err, s)
		}
	})
}

// withSQL looks into the file as another program would.
func withSQL(t *testing.T, path string, do func(*sql.DB)) {
	t.Helper()
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path}).String())
	require.NoError(t, err)
	db.SetMaxOpenConns(1)
	do(db)
	require.NoError(t, db.Close())
}

func TestOpenTakesAnyFileName(t *testing.T) {
	for _, name := range []string{
		"plain.db", "with space.db", "what?.db", "a?mode=memory", "100%.db", "%41.db", "#1.db", "a&b=c;d.db", "größe.db", "'\".db", "no extension",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), name)
			j := open(t, path)
			require.NoError(t, j.AppendEvent(t.Context(), event("a", 1)))
			require.NoError(t, j.Close())

			files, err := os.ReadDir(filepath.Dir(path))
			require.NoError(t, err)
			require.Len(t, files, 1, "closing leaves nothing but the file")
			require.Equal(t, name, files[0].Name())
			require.Len(t, all(t, open(t, path)), 1)
		})
	}
}

func TestOpenTakesARelativePath(t *testing.T) {
	t.Chdir(t.TempDir())
	j := open(t, "journal.db")
	t.Chdir(t.TempDir())
	require.NoError(t, j.AppendEvent(t.Context(), event("a", 1)), "the working directory matters when opening only")
	require.Len(t, all(t, j), 1)
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "notes.txt")
	require.NoError(t, os.WriteFile(text, []byte("These are notes, long enough that they might pass for the header of a database file."), 0o600))

	for name, c := range map[string]struct{ path, says string }{
		"no path":           {"", "empty"},
		"memory":            {":memory:", "persistence/memory"},
		"a URI":             {"file:journal.db?mode=ro", "plain path"},
		"a directory":       {dir, "is a directory"},
		"a missing folder":  {filepath.Join(dir, "missing", "journal.db"), "folder must exist"},
		"a file in a file":  {filepath.Join(text, "journal.db"), "not a directory"},
		"another text file": {text, "not a journal"},
		"NUL":               {"journal\x00.db", "invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := sqlite.Open(t.Context(), c.path)
			require.ErrorContains(t, err, c.says)
			require.ErrorContains(t, err, fmt.Sprintf("%q", c.path))
		})
	}
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 1, "nothing was made on the way")
}

func TestOpenLeavesForeignDatabasesAlone(t *testing.T) {
	for name, statements := range map[string][]string{
		"with tables":            {"CREATE TABLE orders (id INTEGER PRIMARY KEY)"},
		"with our tables' names": {"CREATE TABLE events (x)", "CREATE TABLE meta (x)", "PRAGMA user_version = 1"},
		"with an application id": {"PRAGMA application_id = 4711"},
		"with a version":         {"PRAGMA user_version = 1"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "foreign.db")
			rawSQL(t, path, statements...)
			before, err := os.ReadFile(path)
			require.NoError(t, err)

			_, err = sqlite.Open(t.Context(), path)
			require.ErrorIs(t, err, sqlite.ErrNotJournal)
			require.ErrorContains(t, err, path)
			after, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, before, after)
		})
	}
}

func TestOpenRefusesANewerSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	require.NoError(t, open(t, path).Close())
	rawSQL(t, path, "PRAGMA user_version = 7")
	before, err := os.ReadFile(path)
	require.NoError(t, err)

	_, err = sqlite.Open(t.Context(), path)
	var tooNew *sqlite.SchemaError
	require.ErrorAs(t, err, &tooNew)
	require.Equal(t, sqlite.SchemaError{Path: path, Found: 7, Supported: 2}, *tooNew)
	require.ErrorContains(t, err, "newer")
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, after)
}

func TestAJournalMayBeAddedToTheApplicationsDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.db")
	rawSQL(t, path, "CREATE TABLE orders (id INTEGER PRIMARY KEY AUTOINCREMENT, total INTEGER)", "INSERT INTO orders (total) VALUES (42)",
		"PRAGMA application_id = 77", "PRAGMA user_version = 12")
	_, err := sqlite.Open(t.Context(), path)
	require.ErrorIs(t, err, sqlite.ErrNotJournal)
	require.ErrorContains(t, err, "WithExistingDatabase")

	var identity string
	for round := int64(1); round <= 3; round++ {
		var opts []sqlite.Option
		if round < 3 {
			opts = append(opts, sqlite.WithExistingDatabase())
		}
		j, err := sqlite.Open(t.Context(), path, opts...)
		require.NoError(t, err, "once the journal is there, the option makes no difference")
		head, err := j.Head(t.Context())
		require.NoError(t, err)
		if round > 1 {
			require.Equal(t, identity, head.Identity, "it is made once")
		}
		identity = head.Identity
		appendTo(t, j, "a", round, round)
		require.Len(t, all(t, j), int(round))
		require.NoError(t, j.Close())
		rawSQL(t, path, "PRAGMA user_version = 13", "INSERT INTO orders (total) VALUES (43)")
	}
	withSQL(t, path, func(db *sql.DB) {
		var id, version, orders int
		require.NoError(t, db.QueryRow("SELECT application_id, user_version, (SELECT count(*) FROM orders) FROM pragma_application_id, pragma_user_version").
			Scan(&id, &version, &orders))
		require.Equal(t, []int{77, 13, 4}, []int{id, version, orders}, "what the application has is left alone")
	})

	rawSQL(t, path, "UPDATE protoactor_outbox SET schema_version = 7")
	_, err = sqlite.Open(t.Context(), path, sqlite.WithExistingDatabase())
	var tooNew *sqlite.SchemaError
	require.ErrorAs(t, err, &tooNew)
	require.Equal(t, sqlite.SchemaError{Path: path, Found: 7, Supported: 2}, *tooNew)
}

func TestAnOwnFileStaysOneWhateverItIsOpenedWith(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	require.NoError(t, open(t, path).AppendEvent(t.Context(), event("a", 1)))
	j, err := sqlite.Open(t.Context(), path, sqlite.WithExistingDatabase())
	require.NoError(t, err)
	require.Len(t, all(t, j), 1)
	require.NoError(t, j.Close())
}

func TestAJournalTakesNoTableOfTheApplication(t *testing.T) {
	for _, name := range []string{"events", "Meta", "actor_snapshots", "outbox_snapshots"} {
		path := filepath.Join(t.TempDir(), "shop.db")
		rawSQL(t, path, "CREATE TABLE "+name+" (id TEXT)")
		before, err := os.ReadFile(path)
		require.NoError(t, err)
		_, err = sqlite.Open(t.Context(), path, sqlite.WithExistingDatabase())
		require.ErrorIs(t, err, sqlite.ErrNotJournal)
		require.ErrorContains(t, err, name)
		after, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, before, after)
	}
}

func TestADatabaseInUTF16IsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.db")
	rawSQL(t, path, "PRAGMA encoding = 'UTF-16'; CREATE TABLE orders (id TEXT)")
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	_, err = sqlite.Open(t.Context(), path, sqlite.WithExistingDatabase())
	require.ErrorIs(t, err, sqlite.ErrNotJournal)
	require.ErrorContains(t, err, "UTF-16")
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, after)
}

func TestOpenTakesAnEmptyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "empty.db")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, open(t, path).AppendEvent(t.Context(), event("a", 1)))
}

func TestOnlyTheOwnerMayReadAFileThatOpenMakes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes are not what protects a file here")
	}
	modes := func(path string) (modes []os.FileMode) {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			info, err := os.Stat(path + suffix)
			require.NoError(t, err)
			modes = append(modes, info.Mode())
		}
		return modes
	}
	dir := t.TempDir()
	made := filepath.Join(dir, "made.db")
	require.NoError(t, open(t, made).AppendEvent(t.Context(), event("a", 1)))
	require.Equal(t, []os.FileMode{0o600, 0o600, 0o600}, modes(made))

	there := filepath.Join(dir, "there.db")
	require.NoError(t, os.WriteFile(there, nil, 0o600))
	require.NoError(t, os.Chmod(there, 0o640))
	require.NoError(t, open(t, there).AppendEvent(t.Context(), event("a", 1)))
	require.Equal(t, []os.FileMode{0o640, 0o640, 0o640}, modes(there))
}

func TestOpenEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "journal.db"))
	require.ErrorIs(t, err, context.Canceled)
}

// However many open a new file at once, it becomes one journal.
func TestOpenTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	var (
		wg    sync.WaitGroup
		heads [8]query.Head
		errs  [8]error
	)
	for i := range heads {
		wg.Go(func() {
			j, err := sqlite.Open(t.Context(), path)
			if errs[i] = err; err == nil {
				heads[i], errs[i] = j.Head(t.Context())
				defer j.Close()
			}
		})
	}
	wg.Wait()
	for i := range heads {
		require.NoError(t, errs[i])
		require.Equal(t, heads[0], heads[i])
	}
}

// Offsets that were given out are never given out again, even when their events are gone.
func TestOffsetsAreNotUsedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := open(t, path)
	require.NoError(t, j.AppendEvent(t.Context(), event("a", 1)))
	require.NoError(t, j.AppendEvent(t.Context(), event("b", 1)))
	head, err := j.Head(t.Context())
	require.NoError(t, err)
	rawSQL(t, path, "DELETE FROM events WHERE persistence_id = 'b'")

	trimmed, err := j.Head(t.Context())
	require.NoError(t, err)
	require.Equal(t, head, trimmed)
	require.NoError(t, j.AppendEvent(t.Context(), event("c", 1)))
	require.Greater(t, all(t, j)[1].Offset, head.Offset)
}

// Two journals are told apart.
func TestIdentitiesDiffer(t *testing.T) {
	a, err := open(t, filepath.Join(t.TempDir(), "journal.db")).Head(t.Context())
	require.NoError(t, err)
	b, err := open(t, filepath.Join(t.TempDir(), "journal.db")).Head(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, a.Identity, b.Identity)
}

// A page may be read, and a long read may go on, while a write transaction is open.
func TestReadersDoNotWaitForWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := open(t, path)
	require.NoError(t, j.AppendEvent(t.Context(), event("a", 1)))

	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate")
	require.NoError(t, err)
	defer db.Close()
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = tx.Exec("UPDATE events SET hidden = 1")
	require.NoError(t, err)
	require.Len(t, all(t, j), 1)
	require.NoError(t, tx.Rollback())
}

// A write that waits for another process's lock stops waiting when its context ends.
func TestAppendStopsWaitingWithItsContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := open(t, path)
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate")
	require.NoError(t, err)
	defer db.Close()
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)

	ctx, cancel := context.WithTimeout(t.Context(), 1)
	defer cancel()
	require.ErrorIs(t, j.AppendEvent(ctx, event("a", 1)), context.DeadlineExceeded)
	require.NoError(t, tx.Rollback())
	require.NoError(t, j.AppendEvent(t.Context(), event("a", 1)), "the journal stays usable")
}
