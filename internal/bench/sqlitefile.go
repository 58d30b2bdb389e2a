package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/sqlite"
)

// file returns the path of a SQLite journal of that shape, which is made once.
func (b *bench) file(ctx context.Context, s shape) (string, error) {
	if path := b.files[s]; path != "" {
		return path, nil
	}
	path := filepath.Join(b.dir, fmt.Sprintf("%d-%d-%d.db", s.ids, s.events, s.size))
	begun := time.Now()
	if err := s.write(ctx, path); err != nil {
		return "", fmt.Errorf("make a journal of %d events: %w", s.events, err)
	}
	b.line("made", "ids", s.ids, "events", s.events, "bytes_per_event", s.size, "s", time.Since(begun).Seconds())
	b.files[s] = path
	return path, nil
}

// open is a journal of that shape, to be closed.
func (b *bench) open(ctx context.Context, s shape) (*sqlite.Journal, error) {
	path, err := b.file(ctx, s)
	if err != nil {
		return nil, err
	}
	return sqlite.Open(ctx, path)
}

// connect opens a pool of connections to a journal's file, as plainly as anybody would.
func connect(path string, connections int, params ...string) (*sql.DB, error) {
	uri := url.URL{Scheme: "file", Path: path, RawQuery: strings.Join(append(params, "_pragma=busy_timeout(5000)"), "&")}
	db, err := sql.Open("sqlite", uri.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// emptyJournal makes a journal without events.
func emptyJournal(ctx context.Context, path string) error {
	j, err := sqlite.Open(ctx, path)
	if err != nil {
		return err
	}
	return j.Close()
}

const (
	rowsPerInsert = 100
	rowsPerCommit = 100_000
)

// write makes a journal, and fills it in a way that no application should: past the journal, and without syncing.
func (s shape) write(ctx context.Context, path string) (err error) {
	if err := emptyJournal(ctx, path); err != nil {
		return err
	}
	db, err := connect(path, 1, "_pragma=synchronous(OFF)", "_pragma=cache_size(-500000)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	perCommit := max(1, min(rowsPerCommit, (64<<20)/max(1, s.size)))
	for from := 0; from < s.events; from += perCommit {
		if err := s.commit(ctx, db, from, min(from+perCommit, s.events)); err != nil {
			return err
		}
	}
	_, err = db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	return err
}

func (s shape) commit(ctx context.Context, db *sql.DB, from, to int) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := s.insert(ctx, tx, from, to); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// insert uses statements of many rows, and of one for what is left.
func (s shape) insert(ctx context.Context, tx *sql.Tx, from, to int) error {
	for _, rows := range []int{rowsPerInsert, 1} {
		stmt, err := tx.PrepareContext(ctx, insertSQL(rows))
		if err != nil {
			return err
		}
		data, now := s.data(), time.Now().UnixMicro()
		for ; from+rows <= to; from += rows {
			args := make([]any, 0, rows*insertColumns)
			for n := from; n < from+rows; n++ {
				e := s.event(n, data)
				args = append(args, insertArgs(&e, now)...)
			}
			if _, err := stmt.ExecContext(ctx, args...); err != nil {
				return errors.Join(err, stmt.Close())
			}
		}
		if err := stmt.Close(); err != nil {
			return err
		}
	}
	return nil
}

const insertColumns = 8

// insertSQL inserts so many events.
func insertSQL(rows int) string {
	return `INSERT INTO events (persistence_id, sequence_number, slice, time, uid, type, content_type, data) VALUES ` +
		strings.TrimSuffix(strings.Repeat("(?, ?, ?, ?, ?, ?, ?, ?),", rows), ",")
}

func insertArgs(e *query.Event, micros int64) []any {
	return []any{e.PersistenceID, e.SequenceNumber, query.SliceOf(e.PersistenceID), micros, e.UID[:], e.Type, e.ContentType, e.Data}
}
