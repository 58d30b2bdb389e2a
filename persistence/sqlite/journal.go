package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/asynkron/protoactor-go/persistence"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/internal/gate"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/internal/subscribers"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

var (
	_ persistence.Provider = (*Journal)(nil)
	_ query.Journal        = (*Journal)(nil)
	_ query.SnapshotStore  = (*Journal)(nil)
	_ query.Notifier       = (*Journal)(nil)
	_ query.PersistenceIDs = (*Journal)(nil)
	_ query.Pinger         = (*Journal)(nil)
	_ query.TimeFinder     = (*Journal)(nil)
	_ journal.Store        = (*Journal)(nil)
	_ journal.Appender     = (*Journal)(nil)
	_ journal.Trimmer      = (*Journal)(nil)
)

// Journal is a journal in one SQLite file; see [Open]. Its methods may be called concurrently.
type Journal struct {
	file     file
	identity string

	// There is one writer, because SQLite has only one: waiting for it in the pool honours the context and is
	// fair, which waiting for the file's lock is not.
	writer  *sql.DB
	readers *sql.DB

	stmts       statements
	appends     appendQueue
	provider    persistence.Provider
	subscribers subscribers.Set
	gate        gate.Gate
}

// GetState implements persistence.Provider. Applications give the journal to journal.Using rather than using this.
func (j *Journal) GetState() persistence.ProviderState { return j.provider.GetState() }

// Close closes the file. It waits for the calls under way; later ones return query.ErrClosed. Closing twice is
// no error. It returns ErrFileChanged if another file has taken the place of the one that was opened, and the
// write-ahead log had to be moved out of its way.
func (j *Journal) Close() error {
	if !j.gate.Close() {
		return nil
	}
	// The last connection to close moves the write-ahead log into the file, which is the writer's work.
	if err := errors.Join(j.stmts.close(), j.readers.Close(), j.writer.Close(), j.file.setLogAside()); err != nil {
		return j.wrap("close", err)
	}
	return nil
}

// Ping reads from the file.
func (j *Journal) Ping(ctx context.Context) error {
	return j.read(ctx, "ping", func(tx *sql.Tx) error {
		_, err := j.head(ctx, tx)
		return err
	})
}

// read runs fn in a read transaction: all that it reads is of one moment.
func (j *Journal) read(ctx context.Context, op string, fn func(*sql.Tx) error) error {
	return j.transact(ctx, op, j.readers, &sql.TxOptions{ReadOnly: true}, fn)
}

// write runs fn in a transaction that holds the file's write lock from its start, so that it never finds, after
// reading, that somebody else has written. It commits if fn returns nil.
func (j *Journal) write(ctx context.Context, op string, fn func(*sql.Tx) error) error {
	return j.transact(ctx, op, j.writer, nil, fn)
}

func (j *Journal) transact(ctx context.Context, op string, db *sql.DB, opts *sql.TxOptions, fn func(*sql.Tx) error) error {
	if !j.gate.Enter() {
		return j.wrap(op, query.ErrClosed)
	}
	defer j.gate.Leave()

	err := j.onFile(func() error { return inTx(ctx, db, opts, fn) })
	if err == nil {
		return nil
	}
	// Depending on the moment at which the context ended, the driver and database/sql name it or one of its
	// consequences (interrupted, transaction already done).
	if ctxErr := ctx.Err(); ctxErr != nil && !isAnswer(err) {
		err = ctxErr
	}
	return j.wrap(op, err)
}

// onFile runs fn, which uses the file, unless it is another one by now.
func (j *Journal) onFile(fn func() error) error {
	if j.file.changed.Load() {
		return ErrFileChanged
	}
	err := fn()
	// After the commit: before it, the file could still be replaced. What a replaced one answers counts for nothing.
	if changed := j.file.check(); changed != nil && !errors.Is(err, ErrFileChanged) {
		return errors.Join(changed, err)
	}
	return err
}

func inTx(ctx context.Context, db *sql.DB, opts *sql.TxOptions, fn func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, opts)
	if err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		if rollback := tx.Rollback(); rollback != nil && !errors.Is(rollback, sql.ErrTxDone) {
			err = errors.Join(err, rollback)
		}
		return err
	}
	return tx.Commit()
}
