package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
)

const (
	// maxReaders is how many reads run at once. Each takes one page, and more would only compete for the disk.
	maxReaders = 4

	// busyTimeout is how long a write waits for another process's write.
	busyTimeout = 5 * time.Second
)

// Option is an option of [Open].
type Option func(*options)

type options struct {
	share bool
}

// WithExistingDatabase adds the journal's tables to the application's own SQLite database, for [Journal.AppendTx] beside
// tables that are there already. Without it, such a file is refused.
//
// The tables are meta, events, actor_snapshots, outbox_snapshots and protoactor_outbox; a database that has one of the
// first four, or whose text is in UTF-16, is refused, and not changed. The application's application_id and user_version are left alone. The database
// is switched to a write-ahead log (PRAGMA journal_mode = WAL), for good; that needs a moment in which nobody else uses it,
// unless it has one already. Once the journal is there, the option makes no difference.
func WithExistingDatabase() Option {
	return func(o *options) { o.share = true }
}

// Open opens the journal in the file at path, making the file if there is none (its folder must exist) and
// bringing one of an older version up to date. ctx bounds the opening only.
//
// A file that it makes can be read and written by its owner alone (mode 0600), as can the files that SQLite keeps beside
// it: they hold whatever the application's events hold. The mode of one that is there is left as it is, so that chmod, or
// an empty file of another mode, lets others in.
//
// The path is a plain one: any character may occur in it, and no URI or ":memory:" is understood (for a journal
// in memory there is package memory). The same file may be open several times, in one process or in several of
// one host.
//
// Errors wrap [ErrNotJournal] if the file is something else, and a [*SchemaError] if it is too new; neither
// changes the file.
func Open(ctx context.Context, path string, opts ...Option) (*Journal, error) {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	j, err := open(ctx, path, o)
	if err != nil {
		return nil, fmt.Errorf("open the journal %q: %w", path, err)
	}
	return j, nil
}

func open(ctx context.Context, path string, o options) (_ *Journal, err error) {
	path, err = checkPath(path)
	if err != nil {
		return nil, err
	}
	if err := prepareFile(ctx, path, o.share); err != nil {
		return nil, err
	}

	j := &Journal{file: file{path: path}}
	if j.file.opened, err = os.Stat(path); err != nil {
		return nil, err
	}
	j.provider = journal.NewProvider(j)
	defer func() {
		if err != nil {
			err = errors.Join(err, j.stmts.close(), closeDB(j.readers), closeDB(j.writer))
		}
	}()
	if j.writer, err = connect(path, 1,
		"_txlock", "immediate",
		"_pragma", "synchronous(FULL)",
	); err != nil {
		return nil, err
	}
	if j.readers, err = connect(path, maxReaders,
		// Not mode=ro: a connection that cannot write could not open the file while it needs recovery.
		"_pragma", "query_only(1)",
	); err != nil {
		return nil, err
	}
	if err := j.stmts.prepare(ctx, j.writer, j.readers); err != nil {
		return nil, err
	}
	if err := j.file.check(); err != nil { // the connections may be to another file
		return nil, err
	}
	if j.file.log, err = os.Stat(logPath(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	head, err := j.Head(ctx) // from where on the file is noticed to go back
	if err != nil {
		return nil, err
	}
	j.identity = head.Identity
	return j, nil
}

// checkPath makes the path absolute, so that it survives a change of the working directory, and refuses what
// SQLite would take for something else or only report as "unable to open". It makes the file if there is none.
func checkPath(path string) (string, error) {
	switch {
	case path == "":
		return "", errors.New("the path is empty")
	case path == ":memory:":
		return "", errors.New("a journal in memory is not supported here: use package persistence/memory")
	case strings.HasPrefix(path, "file:"):
		return "", errors.New("a URI is not supported: give the plain path of a file")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Stat(filepath.Dir(path)); err != nil {
			return "", fmt.Errorf("its folder must exist: %w", err)
		}
		if err := create(path); err != nil {
			return "", err
		}
	case err != nil:
		return "", err
	case info.IsDir():
		return "", errors.New("it is a directory: give the path of a file in it")
	}
	return path, nil
}

// create makes an empty file for its owner's eyes only; SQLite would make one that all may read. It is made under another
// name first: to open the file itself, and close it, would give up the locks of whoever else opens it in this process.
func create(path string) error {
	empty, err := os.CreateTemp(filepath.Dir(path), ".journal-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(empty.Name()) }() // an empty file that stays is no harm
	if err := empty.Close(); err != nil {
		return err
	}
	// If somebody else was faster, it is there. Where there are no links there are hardly modes either: SQLite makes it.
	_ = os.Link(empty.Name(), path)
	return nil
}

// connect opens a pool of up to n connections to the file. The parameters are pairs of names and values, as the
// driver documents them.
func connect(path string, n int, params ...string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", dsn(path, params...))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return db, nil
}

func closeDB(db *sql.DB) error {
	if db == nil {
		return nil
	}
	return db.Close()
}

// dsn names an absolute path as a file: URI, in which every character of the path stands for itself.
func dsn(path string, params ...string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") { // a drive letter
		path = "/" + path
	}
	values := url.Values{"_pragma": {fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds())}}
	for i := 0; i < len(params); i += 2 {
		values.Add(params[i], params[i+1])
	}
	uri := url.URL{Scheme: "file", Path: path, RawQuery: values.Encode()}
	return uri.String()
}
