package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	lib "modernc.org/sqlite/lib"
)

// applicationID marks the file as a journal of this package, in the place that SQLite's header has for it:
// "PAOB", Proto.Actor outbox.
const applicationID = 0x50414f42

//go:embed schema/001.sql
var schema001 string

// migrations[i] brings a file from schema version i to i+1. What is released here never changes.
var migrations = []string{schema001}

// prepareFile makes, checks and migrates the file, over a connection that changes nothing by itself: the file
// may turn out to be somebody else's.
func prepareFile(ctx context.Context, path string) (err error) {
	db, err := connect(path, 1, "_txlock", "immediate", "_pragma", "synchronous(FULL)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	// Looking before taking the write lock leaves a foreign file untouched, even by a lock.
	version, err := schemaVersion(ctx, db, path)
	if err != nil {
		return err
	}
	if version < len(migrations) {
		err := inTx(ctx, db, nil, func(tx *sql.Tx) error { return migrate(ctx, tx, path) })
		if err != nil {
			return fmt.Errorf("migrate from schema version %d to %d: %w", version, len(migrations), err)
		}
	}
	return useWAL(ctx, db)
}

// migrate brings the file up to date, whatever others did since the caller looked.
func migrate(ctx context.Context, tx *sql.Tx, path string) error {
	version, err := schemaVersion(ctx, tx, path)
	if err != nil {
		return err
	}
	for ; version < len(migrations); version++ {
		if _, err := tx.ExecContext(ctx, migrations[version]); err != nil {
			return err
		}
		if version == 0 {
			if err := giveIdentity(ctx, tx); err != nil {
				return err
			}
		}
	}
	// Both are part of the file's header and of the transaction. They cannot be parameters.
	_, err = tx.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, version))
	return err
}

// schemaVersion returns the file's schema version, 0 for an empty file. It refuses files that are not ours and
// those that are too new.
func schemaVersion(ctx context.Context, q interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}, path string) (int, error) {
	var id, version, objects int
	err := q.QueryRowContext(ctx, `SELECT
		(SELECT application_id FROM pragma_application_id),
		(SELECT user_version FROM pragma_user_version),
		(SELECT count(*) FROM sqlite_schema)`).Scan(&id, &version, &objects)
	switch {
	case hasCode(err, lib.SQLITE_NOTADB):
		return 0, fmt.Errorf("%w: %w", ErrNotJournal, err)
	case err != nil:
		return 0, err
	case id == 0 && version == 0 && objects == 0:
		return 0, nil
	case id != applicationID:
		return 0, fmt.Errorf("%w: it is another program's SQLite database (application id %#x, %d tables and indexes)",
			ErrNotJournal, uint32(id), objects)
	case version > len(migrations):
		return 0, &SchemaError{Path: path, Found: version, Supported: len(migrations)}
	}
	return version, nil
}

func giveIdentity(ctx context.Context, tx *sql.Tx) error {
	var id [16]byte
	rand.Read(id[:]) // never fails
	_, err := tx.ExecContext(ctx, "INSERT INTO meta (key, value) VALUES ('identity', ?)", hex.EncodeToString(id[:]))
	return err
}

// useWAL switches the file to a write-ahead log, for good. SQLite does not wait for locks here, so two processes
// that create the same file need another try.
func useWAL(ctx context.Context, db *sql.DB) error {
	retry := time.NewTicker(10 * time.Millisecond)
	defer retry.Stop()
	deadline := time.Now().Add(busyTimeout)
	for {
		var mode string
		err := db.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode)
		switch {
		case err == nil && mode == "wal":
			return nil
		case err == nil:
			return fmt.Errorf("SQLite keeps journal mode %q instead of a write-ahead log: the file system does not support it", mode)
		case !hasCode(err, lib.SQLITE_BUSY) || time.Now().After(deadline):
			return fmt.Errorf("switch to a write-ahead log: %w", err)
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
