package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// file is the file that was opened, by which it is known again. SQLite goes on writing to a file that nobody can open
// any more, and says that all is well.
//
// It is never opened here: closing a second descriptor would give up the process's locks on it.
type file struct {
	path   string
	opened os.FileInfo
	log    os.FileInfo // the write-ahead log's; nil if there was none

	// changed is for good: by the time that the right file is back, connections to the other one may have been made.
	changed atomic.Bool
	head    atomic.Int64 // the greatest offset that was seen or given out
}

// logPath is where SQLite keeps the write-ahead log of the file at that path.
func logPath(path string) string { return path + "-wal" }

// check returns ErrFileChanged unless the path still leads to the file.
func (f *file) check() error {
	if !f.changed.Load() {
		now, err := os.Stat(f.path)
		switch {
		case err == nil && os.SameFile(now, f.opened):
			return nil
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("look whether the file is still there: %w", err)
		}
		f.changed.Store(true)
	}
	return ErrFileChanged
}

// mayBeAt reports whether a path, as SQLite names that of a connection, may be another one to the file. A copy has the
// file's identity, but not its place. What cannot be looked at is believed: a driver may have its own names for files.
func (f *file) mayBeAt(path string) bool {
	if path == "" { // in memory
		return false
	}
	there, err := os.Stat(path)
	return err != nil || os.SameFile(there, f.opened)
}

// reached notes an offset that is committed.
func (f *file) reached(offset query.Offset) {
	for {
		head := f.head.Load()
		if int64(offset) <= head || f.head.CompareAndSwap(head, int64(offset)) {
			return
		}
	}
}

// setBack says that the file has gone back behind an offset that was committed.
func (f *file) setBack(offset query.Offset, head int64) error {
	f.changed.Store(true)
	return fmt.Errorf("%w: it is at offset %d and was at %d", ErrFileChanged, offset, head)
}

// setLogAside keeps the write-ahead log from the file that has taken the place of ours, into which SQLite would copy it
// at the next opening. If there is no other file, the log stays: ours may come back.
func (f *file) setLogAside() error {
	now, err := os.Stat(f.path)
	if err != nil || os.SameFile(now, f.opened) || f.log == nil {
		return nil //nolint:nilerr // there is no other file
	}
	log, err := os.Stat(logPath(f.path))
	if err != nil || !os.SameFile(log, f.log) {
		return nil //nolint:nilerr // it is not there any more, or the other file's own
	}
	aside := fmt.Sprintf("%s.replaced-%d", logPath(f.path), time.Now().UnixNano())
	if err := os.Rename(logPath(f.path), aside); err != nil {
		return fmt.Errorf("%w: its write-ahead log could not be kept from the other file: remove %s before that is opened: %w",
			ErrFileChanged, logPath(f.path), err)
	}
	return fmt.Errorf("%w: its write-ahead log is now %s, because it does not belong to the file that has taken its place", ErrFileChanged, aside)
}
