package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

var (
	// ErrNotMigrated says that there is no journal at that place in the database. [Migrate] makes one.
	ErrNotMigrated = errors.New("there is no journal: call postgres.Migrate, or run what postgres.MigrationSQL returns")

	// ErrNotJournal says that there are tables with the journal's names that were not made by this package.
	ErrNotJournal = errors.New("its tables were not made by this package: choose others with WithSchema or WithTablePrefix")

	// ErrStandby says that the server is a standby. It neither takes appends nor shows who is at work on the primary, so
	// that no reader could know what is still to come. Where the connection string names several hosts, give it
	// target_session_attrs=read-write. An open journal goes on once it reaches a primary again.
	ErrStandby = errors.New("the server is a standby: connect to the primary")

	// ErrUnsafeOrder says that the database would not give the feed an order in which readers miss nothing.
	ErrUnsafeOrder = errors.New("readers could miss events")
)

// SchemaError says that the journal's schema is of a version that this version of the package cannot work with.
type SchemaError struct {
	Journal string
	// Found is the schema's version, and OldestReader the oldest one that a program may know to work with it. Known is the
	// version that this program knows.
	Found, OldestReader, Known int
}

func (e *SchemaError) Error() string {
	if e.Found < e.Known {
		return fmt.Sprintf("the journal %s has schema version %d, but this program needs version %d: call postgres.Migrate first",
			e.Journal, e.Found, e.Known)
	}
	return fmt.Sprintf("the journal %s has schema version %d, which needs a program that knows version %d, but this one knows version %d: "+
		"run a program built with a newer %s", e.Journal, e.Found, e.OldestReader, e.Known, "github.com/protoactor-contrib/protoactor-outbox/persistence/postgres")
}

// PrivilegeError says which privileges the user of the connection lacks.
type PrivilegeError struct {
	User string
	// Missing are privileges as GRANT takes them, such as `SELECT ON "outbox"."journal"`.
	Missing []string
}

func (e *PrivilegeError) Error() string {
	grants := make([]string, len(e.Missing))
	for i, p := range e.Missing {
		grants[i] = fmt.Sprintf("GRANT %s TO %s;", p, pgx.Identifier{e.User}.Sanitize())
	}
	return "privileges are missing: run " + strings.Join(grants, " ")
}

// DamagedEventError says that the row of an event was changed by another program, and cannot be read. Nothing that comes
// after it is read before it was mended: a reader that went on would miss it without a word.
type DamagedEventError struct {
	PersistenceID  string
	SequenceNumber int64
	Offset         query.Offset
	// Err says what is wrong with it.
	Err error
}

func (e *DamagedEventError) Error() string {
	return fmt.Sprintf("event %d of %q, at offset %d, is damaged: %v: repair its row in the table journal, or restore a backup",
		e.SequenceNumber, e.PersistenceID, e.Offset, e.Err)
}

// Unwrap returns what is wrong.
func (e *DamagedEventError) Unwrap() error { return e.Err }

// wrap says what was being done, and in which journal.
func (j *Journal) wrap(op string, err error) error {
	return fmt.Errorf("journal %s: %s: %w", j.tables.name, op, withoutCredentials(err))
}

// operation names what is about to be done to a valid id, for [Journal.wrap]. With an invalid id the error is done.
func (j *Journal) operation(what, id string) (op string, err error) {
	if err := query.ValidateID(id); err != nil {
		return "", j.wrap(what, err)
	}
	return what + " of " + strconv.Quote(id), nil
}

// isAnswer reports whether err is what a statement found out, as opposed to a failure to find out.
func isAnswer(err error) bool {
	return journal.IsFinal(err) || errors.Is(err, query.ErrFenced) || errors.Is(err, query.ErrTakenMeanwhile) || errors.Is(err, query.ErrStaleIndex)
}

// sqlState returns the SQLSTATE of the server's error, "" for another one.
func sqlState(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// noSuchStatement is the SQLSTATE of a statement that was prepared and is not there any more: after a DISCARD ALL, for one, with
// which a pool may reset its sessions. The driver prepares it anew the next time.
const noSuchStatement = "26000"

// uniqueViolation is the SQLSTATE of an insert of what is there already.
const uniqueViolation = "23505"

// isBusy reports whether the statement failed, and changed nothing, because somebody else was at work on the same.
func isBusy(err error) bool {
	switch sqlState(err) {
	case "55P03", "40P01", "40001": // lock not available, deadlock, serialization failure
		return true
	case uniqueViolation: // the next sequence number was taken by somebody without our lock
		return !isOffsetTaken(err)
	}
	return false
}

// isOffsetTaken reports whether the database has given an offset that it had given before.
func isOffsetTaken(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == uniqueViolation && strings.Contains(e.ConstraintName, "_ordering_key")
}

// isShutdown reports whether the server, or its administrator, has ended the connection. That can be after the commit, or in
// its middle: a server that cannot write its log panics, with the SQLSTATE of a full disk for one, and may find the
// commit in it when it starts again.
func isShutdown(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.SeverityUnlocalized == "FATAL" || e.SeverityUnlocalized == "PANIC" || strings.HasPrefix(e.Code, "57P") || strings.HasPrefix(e.Code, "08"))
}

// isAboutData reports whether the server has refused what was to be stored, rather than being unable to store it now.
func isAboutData(err error) bool {
	state := sqlState(err)
	if state == uniqueViolation { // whose numbers we choose, or the database
		return false
	}
	return strings.HasPrefix(state, "22") || strings.HasPrefix(state, "23") || state == "54000" // too large for an index
}

// connectError is why no connection could be had. What the driver says names the user, the host and the database, and
// what it wraps has the password in it.
type connectError struct {
	text  string
	cause error // of what may be shown
}

func (e *connectError) Error() string { return "connect to the server: " + e.text }
func (e *connectError) Unwrap() error { return e.cause }

// withoutCredentials replaces errors that could lead to credentials.
func withoutCredentials(err error) error {
	connect, isConnect := errors.AsType[*pgconn.ConnectError](err)
	parse, isParse := errors.AsType[*pgconn.ParseConfigError](err)
	switch {
	case isParse && parse != nil:
		return &connectError{text: "the configuration cannot be read"}
	case !isConnect || connect == nil:
		return err
	}
	if server, ok := errors.AsType[*pgconn.PgError](err); ok {
		if strings.HasPrefix(server.Code, "28") {
			return &connectError{text: "the server does not let this user in (SQLSTATE " + server.Code + ")"}
		}
		return &connectError{text: server.Error(), cause: server}
	}
	for _, known := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			return &connectError{text: known.Error(), cause: known}
		}
	}
	for _, known := range []error{io.EOF, io.ErrUnexpectedEOF} {
		if errors.Is(err, known) {
			return &connectError{text: attempts(connect), cause: known}
		}
	}
	if dial, ok := errors.AsType[*net.OpError](err); ok {
		return &connectError{text: fmt.Sprintf("%s: %v", dial.Op, dial.Err)}
	}
	return &connectError{text: attempts(connect)}
}

// attempts says why each attempt to connect has failed: of TLS and the like. What the driver puts before it names the user.
func attempts(connect *pgconn.ConnectError) string {
	all := []error{errors.Unwrap(connect)}
	if joined, ok := all[0].(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	var texts []string
	for _, err := range all {
		if inner := errors.Unwrap(err); inner != nil {
			err = inner // without the address
		}
		if text := err.Error(); !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	text := strings.Join(texts, ", ")
	// Nothing of ours or the driver's says it, but a function that the application has the driver call may.
	if password := connect.Config.Password; password != "" {
		text = strings.ReplaceAll(text, password, "…")
	}
	return text
}
