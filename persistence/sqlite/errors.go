package sqlite

import (
	"errors"
	"fmt"
	"strconv"

	driver "modernc.org/sqlite"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// ErrNotJournal says that the file exists but was not made by this package: another program's SQLite database,
// or no database at all. It was not changed. Give Open another path.
var ErrNotJournal = errors.New("the file is not a journal of this package")

// ErrFileChanged says that the file is not the one that was opened, or not what it was: while the journal was open it
// was removed, moved, replaced, or set back to an older copy. Whatever was being done has not been done to the file
// that is there now. The journal does nothing more, as if it were closed: the error wraps query.ErrClosed.
var ErrFileChanged = fmt.Errorf("%w: its file was removed, replaced or set back while it was open: "+
	"close the journal, see to it that the right file is in place, and open it again", query.ErrClosed)

// SchemaError says that the file was written by a newer version of this package than the one that tries to open
// it. The file was not changed.
type SchemaError struct {
	Path string
	// Found is the file's schema version, Supported the greatest that this version of the package knows.
	Found, Supported int
}

func (e *SchemaError) Error() string {
	return fmt.Sprintf("the journal %s has schema version %d, but this program knows versions up to %d: "+
		"run a program built with a newer %s, or restore a backup made before the upgrade",
		e.Path, e.Found, e.Supported, "github.com/protoactor-contrib/protoactor-outbox/persistence/sqlite")
}

// DamagedEventError says that the row of an event in the table "events" was changed by another program, or by a broken
// disk, and cannot be read. Nothing that comes after it is read before it was mended: a reader that went on would miss
// it without a word.
type DamagedEventError struct {
	// PersistenceID, SequenceNumber and Offset are what the row says of itself, as far as that could be read.
	PersistenceID  string
	SequenceNumber int64
	Offset         query.Offset
	// Err says what is wrong with it.
	Err error
}

func (e *DamagedEventError) Error() string {
	return fmt.Sprintf("event %d of %q, at offset %d, is damaged: %v: repair its row in the table events, or restore a backup of the file",
		e.SequenceNumber, e.PersistenceID, e.Offset, e.Err)
}

// Unwrap returns what is wrong.
func (e *DamagedEventError) Unwrap() error { return e.Err }

// wrap says what was being done, and in which file.
func (j *Journal) wrap(op string, err error) error {
	return fmt.Errorf("journal %s: %s: %w", j.file.path, op, err)
}

// operation names what is about to be done to a valid id, for [Journal.wrap]. With an invalid id the error is done.
func (j *Journal) operation(what, id string) (op string, err error) {
	if err := query.ValidateID(id); err != nil {
		return "", j.wrap(what, err)
	}
	return what + " of " + strconv.Quote(id), nil
}

// isAnswer reports whether err is what a transaction found out, as opposed to a failure to find out.
func isAnswer(err error) bool {
	return journal.IsFinal(err) ||
		errors.Is(err, query.ErrFenced) ||
		errors.Is(err, query.ErrTakenMeanwhile) ||
		errors.Is(err, query.ErrStaleIndex)
}

// hasCode reports whether err is SQLite's, with this primary result code.
func hasCode(err error, code int) bool {
	var e *driver.Error
	return errors.As(err, &e) && e.Code()&0xff == code
}
