package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// ErrForeignTransaction says that a transaction that was given to AppendTx is not one of the journal's file: its
// connection was opened on another one, such as a copy, or has the journal's attached to another one, where SQLite would
// not commit both together. Nothing was written.
var ErrForeignTransaction = errors.New("the transaction is not one of the journal's file")

const (
	// lockSQL takes the file's write lock, and changes nothing. A transaction that has read nothing yet waits for the lock
	// when it writes first, but not when it reads first.
	lockSQL = `DELETE FROM main.meta WHERE 0`

	ownFileSQL = `SELECT value, (SELECT coalesce(file, '') FROM pragma_database_list WHERE name = 'main')
		FROM main.meta WHERE key = 'identity'`

	savepointSQL = `SAVEPOINT protoactor_outbox_append`
	releaseSQL   = `RELEASE protoactor_outbox_append`
	undoSQL      = `ROLLBACK TO protoactor_outbox_append; RELEASE protoactor_outbox_append`
)

// Append implements journal.Appender. It returns once the records are synced to disk. Records and events that are appended
// at the same time share a transaction, and its sync.
func (j *Journal) Append(ctx context.Context, records ...journal.Record) ([]query.Pointer, error) {
	op := fmt.Sprintf("append %d records", len(records))
	rows, err := newRows(records)
	if err != nil {
		return nil, j.wrap(op, err)
	}
	if err := j.append(ctx, op, rows); err != nil {
		return nil, err
	}
	return pointers(rows), nil
}

// AppendTx adds the records to a transaction of the application in the journal's own file, and returns where each will be
// stored, in order. They are committed, or rolled back, together with whatever else the transaction writes: this is the
// classic outbox. Any driver will do. On an error none of the records is in the transaction, which is then to be rolled
// back, as after any other failed statement. No records are no error.
//
// SQLite has one writer at a time. From AppendTx until it ends the transaction holds the file's write lock, and the
// journal's actors and outboxes wait, 5 seconds at most before they try anew: call AppendTx late, and commit soon. The
// transaction should hold the lock from its start (BEGIN IMMEDIATE; with modernc.org/sqlite and mattn/go-sqlite3
// _txlock=immediate in the DSN): one that has read before is refused by SQLite (SQLITE_BUSY) if somebody else has written
// since, and has to be run again. Its connection needs a busy timeout, and synchronous=FULL, which is SQLite's default:
// with less, a power cut can take back what was committed, and published.
//
// The journal does not learn of the commit: call [Journal.Notify] after it. A transaction that is rolled back leaves no trace.
func (j *Journal) AppendTx(ctx context.Context, tx *sql.Tx, records ...journal.Record) ([]query.Pointer, error) {
	op := fmt.Sprintf("append %d records in a transaction", len(records))
	if tx == nil {
		return nil, j.wrap(op, errors.New("the transaction is nil: Append needs none"))
	}
	rows, err := newRows(records)
	if err != nil {
		return nil, j.wrap(op, err)
	}
	if !j.gate.Enter() {
		return nil, j.wrap(op, query.ErrClosed)
	}
	defer j.gate.Leave()
	if err := j.onFile(func() error { return j.appendTx(ctx, tx, rows) }); err != nil {
		return nil, j.wrap(op, err)
	}
	return pointers(rows), nil
}

// Notify wakes the journal's subscribers, such as an outbox. Call it after the commit of a transaction that AppendTx was
// used in. Without it the records are found by polling.
func (j *Journal) Notify() { j.subscribers.Notify() }

func newRows(records []journal.Record) ([]row, error) {
	if err := journal.ValidateRecords(records); err != nil {
		return nil, err
	}
	rows := make([]row, len(records))
	for i, r := range records {
		e := query.Event{
			PersistenceID: r.PersistenceID, Type: r.Type, ContentType: r.ContentType, Data: r.Data, Tags: r.Tags, Metadata: r.Metadata,
		}
		rand.Read(e.UID[:]) // never fails
		var err error
		if rows[i], err = newRow(e); err != nil {
			return nil, fmt.Errorf("record %d: %w", i+1, err)
		}
		rows[i].next = true
	}
	return rows, nil
}

func pointers(rows []row) []query.Pointer {
	all := make([]query.Pointer, len(rows))
	for i := range rows {
		all[i] = query.Pointer{PersistenceID: rows[i].id, SequenceNumber: rows[i].sequence}
	}
	return all
}

func (j *Journal) appendTx(ctx context.Context, tx *sql.Tx, rows []row) error {
	if len(rows) == 0 {
		return nil
	}
	if err := j.lockTx(ctx, tx); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, savepointSQL); err != nil {
		return err
	}
	err := j.insertTx(ctx, tx, rows)
	if err == nil {
		// A context that ended now could have it answered by an error after it was done, and then nothing could undo it.
		_, err = tx.ExecContext(context.WithoutCancel(ctx), releaseSQL)
	}
	if err != nil {
		// Also when ctx has ended. If SQLite, or database/sql, has rolled everything back by itself, there is nothing to undo.
		_, undo := tx.ExecContext(context.WithoutCancel(ctx), undoSQL)
		return errors.Join(err, undo)
	}
	return nil
}

// insertTx notes no offset as given out: the transaction may be rolled back, and then the next one is given the same.
func (j *Journal) insertTx(ctx context.Context, tx *sql.Tx, rows []row) (err error) {
	in := inserter{ctx: ctx, file: &j.file}
	for _, source := range []struct {
		stmt **sql.Stmt
		text string
	}{{&in.last, appendLastSQL}, {&in.uid, appendUIDSQL}, {&in.actorless, appendActorlessSQL}, {&in.insertion, appendInsertSQL}} {
		stmt, err := tx.PrepareContext(ctx, source.text)
		if err != nil {
			return err
		}
		*source.stmt = stmt // which ends with the transaction
	}
	for i := range rows {
		if _, err := in.insert(&rows[i]); err != nil {
			return fmt.Errorf("record %d, of %q: %w", i+1, rows[i].id, err)
		}
	}
	return nil
}

// lockTx makes sure that the transaction is the journal's, and holds the write lock: nobody else can then give out a
// sequence number before it ends.
func (j *Journal) lockTx(ctx context.Context, tx *sql.Tx) error {
	_, lockErr := tx.ExecContext(ctx, lockSQL)
	if errors.Is(lockErr, sql.ErrTxDone) {
		return lockErr
	}
	// The identity is read also without the lock, to tell a lock that is not there from another file.
	var identity, path string
	err := tx.QueryRowContext(ctx, ownFileSQL).Scan(&identity, &path)
	switch {
	case ctx.Err() != nil:
		return errors.Join(ctx.Err(), lockErr)
	case err != nil:
		return fmt.Errorf("%w: its connection must be opened on %s: %w", ErrForeignTransaction, j.file.path, err)
	case identity != j.identity:
		return fmt.Errorf("%w: its connection is to the journal %s, but this one is %s, in %s",
			ErrForeignTransaction, identity, j.identity, j.file.path)
	case !j.file.mayBeAt(path):
		return fmt.Errorf("%w: its connection is to %q, a copy of the journal in %s", ErrForeignTransaction, path, j.file.path)
	case lockErr != nil:
		return fmt.Errorf("take the file's write lock: begin the transaction with it (BEGIN IMMEDIATE, _txlock=immediate in the DSN), "+
			"give its connection a busy timeout, and run it again: %w", lockErr)
	}
	return nil
}
