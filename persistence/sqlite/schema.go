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

//go:embed schema/002.sql
var schema002 string

// migrations[i] brings a file from schema version i to i+1. What is released here never changes.
var migrations = []string{schema001, schema002}

// place says how a file is known to be a journal, and where its schema version is.
type place int

const (
	// ownFile is a file that holds nothing but a journal: marked, and with its version, in SQLite's header.
	ownFile place = iota
	// sharedFile is an application's database with a journal in it. The header belongs to the application, so that the
	// version is in a table.
	sharedFile
)

// prepareFile makes, checks and migrates the file, over a connection that changes nothing by itself: the file
// may turn out to be somebody else's.
func prepareFile(ctx context.Context, path string, share bool) (err error) {
	db, err := connect(path, 1, "_txlock", "immediate", "_pragma", "synchronous(FULL)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	// Looking before taking the write lock leaves a foreign file untouched, even by a lock.
	_, version, err := schemaVersion(ctx, db, path, share)
	if err != nil {
		return err
	}
	if version < len(migrations) {
		err := inTx(ctx, db, nil, func(tx *sql.Tx) error { return migrate(ctx, tx, path, share) })
		if err != nil {
			return fmt.Errorf("migrate from schema version %d to %d: %w", version, len(migrations), err)
		}
	}
	return useWAL(ctx, db)
}

// migrate brings the file up to date, whatever others did since the caller looked.
func migrate(ctx context.Context, tx *sql.Tx, path string, share bool) error {
	where, version, err := schemaVersion(ctx, tx, path, share)
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
	// What is in the file's header is part of the transaction, too. It cannot be a parameter.
	mark := fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, version)
	if where == sharedFile {
		mark = fmt.Sprintf("CREATE TABLE IF NOT EXISTS protoactor_outbox (schema_version INTEGER NOT NULL) STRICT;"+
			"DELETE FROM protoactor_outbox; INSERT INTO protoactor_outbox VALUES (%d)", version)
	}
	_, err = tx.ExecContext(ctx, mark)
	return err
}

type rowQuerier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// schemaVersion returns where the file's schema version is, and which, 0 for a file without a journal. It refuses files
// that are not ours, unless they are to be shared, and those that are too new.
func schemaVersion(ctx context.Context, q rowQuerier, path string, share bool) (where place, version int, err error) {
	var id, objects int
	var shared bool
	err = q.QueryRowContext(ctx, `SELECT
		(SELECT application_id FROM pragma_application_id),
		(SELECT user_version FROM pragma_user_version),
		(SELECT count(*) FROM sqlite_schema),
		(SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'protoactor_outbox')`).Scan(&id, &version, &objects, &shared)
	switch {
	case hasCode(err, lib.SQLITE_NOTADB):
		return 0, 0, fmt.Errorf("%w: %w", ErrNotJournal, err)
	case err != nil:
		return 0, 0, err
	case id == applicationID:
		where = ownFile
	case shared:
		where = sharedFile
		if err := q.QueryRowContext(ctx, "SELECT schema_version FROM protoactor_outbox").Scan(&version); err != nil {
			return 0, 0, fmt.Errorf("read the schema version: %w", err)
		}
	case share:
		return sharedFile, 0, refuseUnfit(ctx, q)
	case id == 0 && version == 0 && objects == 0:
		where = ownFile
	default:
		return 0, 0, fmt.Errorf("%w: it is another program's SQLite database (application id %#x, %d tables and indexes); "+
			"if it is this application's own, WithExistingDatabase adds a journal to it", ErrNotJournal, uint32(id), objects)
	}
	if version > len(migrations) {
		return 0, 0, &SchemaError{Path: path, Found: version, Supported: len(migrations)}
	}
	return where, version, nil
}

// refuseUnfit returns an error if the application has a table of the same name as one of the journal's, or keeps its text
// in UTF-16, in whose order ids would be listed.
func refuseUnfit(ctx context.Context, q rowQuerier) error {
	var encoding string
	if err := q.QueryRowContext(ctx, "SELECT encoding FROM pragma_encoding").Scan(&encoding); err != nil {
		return err
	}
	if encoding != "UTF-8" {
		return fmt.Errorf("%w: the database keeps its text in %s, and a journal needs UTF-8: copy its tables to a new database",
			ErrNotJournal, encoding)
	}
	var name string
	err := q.QueryRowContext(ctx, `SELECT name FROM sqlite_schema
		WHERE name COLLATE NOCASE IN ('meta', 'events', 'actor_snapshots', 'outbox_snapshots') LIMIT 1`).Scan(&name)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("%w: the database has a table %q, which the journal needs for itself: rename it", ErrNotJournal, name)
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
