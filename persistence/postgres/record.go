package postgres

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// ErrForeignTransaction says that a transaction that was given to AppendTx or AppendSQLTx is not one of the journal's
// database. Nothing was written.
var ErrForeignTransaction = errors.New("the transaction is not one of the journal's database")

const identityOfSQL = `(SELECT system_identifier FROM pg_control_system()) || '/' ||
			(SELECT oid::bigint FROM pg_database WHERE datname = current_database()) || '/' || (SELECT value FROM {{meta}} WHERE key = 'identity')`

const (
	// lockIDsSQL waits for the locks of ids, if this is the journal $2, and names the journal. What is read afterwards is read
	// by another statement, which sees what those who held the locks have committed.
	lockIDsSQL = `SELECT count(pg_advisory_xact_lock(key)), ` + identityOfSQL + ` FROM unnest($1::bigint[]) AS key WHERE ` + identityOfSQL + ` = $2::text`
	lockIDSQL  = `SELECT count(pg_advisory_xact_lock(key)), ` + identityOfSQL + ` FROM (VALUES ($1::bigint)) AS ids (key) WHERE ` + identityOfSQL + ` = $2::text`

	// lockFreeIDsSQL takes the locks that are free, and returns the others.
	lockFreeIDsSQL = `SELECT key FROM set_config('lock_timeout', '200ms', true) AS s, unnest($1::bigint[]) AS key
		WHERE NOT pg_try_advisory_xact_lock(key)`

	// appendRecordsSQL gives each record the sequence number that comes nth after the last one of its id. An id is actorless
	// for as long as nobody but such statements has appended to it.
	appendRecordsSQL = `INSERT INTO {{journal}} (persistence_id, sequence_number, actorless, slice, uid, type, content_type, tags, metadata, data)
		SELECT n.id, n.nth + coalesce(l.sequence_number, 0), coalesce(l.actorless, true),
			n.slice, n.uid, n.type, n.content_type, n.tags::text[], n.metadata::json, n.data
		FROM unnest($1::text[], $2::bigint[], $3::smallint[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bytea[])
			WITH ORDINALITY AS n (id, nth, slice, uid, type, content_type, tags, metadata, data, i)
			LEFT JOIN LATERAL (SELECT j.sequence_number, j.actorless FROM {{journal}} j WHERE j.persistence_id = n.id
				ORDER BY j.sequence_number DESC LIMIT 1) AS l ON true
		ORDER BY n.i
		RETURNING sequence_number`

	// appendRecordSQL does the same with parameters that every driver has.
	appendRecordSQL = `INSERT INTO {{journal}} (persistence_id, sequence_number, actorless, slice, uid, type, content_type, tags, metadata, data)
		SELECT $1::text, 1 + coalesce(l.sequence_number, 0), coalesce(l.actorless, true), $2::smallint, $3::text::uuid, $4::text, $5::text,
			$6::text::text[], $7::text::json, $8::bytea
		FROM (VALUES (1)) AS n LEFT JOIN LATERAL (SELECT j.sequence_number, j.actorless FROM {{journal}} j WHERE j.persistence_id = $1::text
			ORDER BY j.sequence_number DESC LIMIT 1) AS l ON true
		RETURNING sequence_number`
)

// Append implements journal.Appender. It returns once the server has committed the records. Records that are appended at the
// same time share a transaction. While another transaction is open that appends to one of the ids, it waits until ctx ends.
func (j *Journal) Append(ctx context.Context, records ...journal.Record) ([]query.Pointer, error) {
	op := fmt.Sprintf("append %d records", len(records))
	rows, err := j.newRows(records)
	if err != nil {
		return nil, j.wrap(op, err)
	}
	call := &appendCall{rows: rows, records: true}
	if err := j.append(ctx, op, call); err != nil {
		return nil, err
	}
	return pointers(rows), nil
}

// AppendTx adds the records to a transaction of the application in the journal's database, and returns where each will be
// stored, in order. They are committed, or rolled back, together with whatever else the transaction writes: this is the
// classic outbox. After an error the transaction is to be rolled back, as after any other failed statement.
//
// It waits for other transactions that append to the same ids, and from then on others wait for this one: call it late,
// and commit soon. Readers of the feed wait for it, too, as for each transaction that writes to the journal. Ids are locked
// in a fixed order within one call; a transaction that calls it several times may meet a deadlock, and is then to be run
// again, as is one of a higher isolation level than READ COMMITTED that meets a serialization failure or a unique violation.
//
// The journal does not learn of the commit: call [Journal.Notify] after it. A transaction that is rolled back leaves no
// trace.
func (j *Journal) AppendTx(ctx context.Context, tx pgx.Tx, records ...journal.Record) ([]query.Pointer, error) {
	if tx == nil {
		return nil, j.wrap("append records in a transaction", errors.New("the transaction is nil: Append needs none"))
	}
	return j.appendIn(ctx, records, func(rows []row) error {
		mode := execModeOf(tx.Conn().Config())
		var locked int64
		var identity string
		if err := tx.QueryRow(ctx, j.statements.lockIDs, mode, keysOf(rows), j.identity).Scan(&locked, &identity); err != nil {
			return err
		}
		if identity != j.identity {
			return j.foreign(identity)
		}
		return j.insertRecords(ctx, tx, mode, pointersTo(rows))
	})
}

// AppendSQLTx is [Journal.AppendTx] for a transaction of database/sql, with any driver for PostgreSQL. It takes a round trip
// for each id and for each record.
func (j *Journal) AppendSQLTx(ctx context.Context, tx *sql.Tx, records ...journal.Record) ([]query.Pointer, error) {
	if tx == nil {
		return nil, j.wrap("append records in a transaction", errors.New("the transaction is nil: Append needs none"))
	}
	return j.appendIn(ctx, records, func(rows []row) error {
		for _, key := range keysOf(rows) {
			var locked int64
			var identity string
			if err := tx.QueryRowContext(ctx, j.statements.lockID, key, j.identity).Scan(&locked, &identity); err != nil {
				return err
			}
			if identity != j.identity {
				return j.foreign(identity)
			}
		}
		for i := range rows {
			r := &rows[i]
			var data any
			if r.data != nil {
				data = r.data
			}
			err := tx.QueryRowContext(ctx, j.statements.appendRecord, r.id, int64(query.SliceOf(r.id)), hex.EncodeToString(r.uid[:]),
				r.typ, r.contentType, r.tags, r.metadata, data).Scan(&r.sequence)
			if err != nil {
				return fmt.Errorf("record %d, of %q: %w", i+1, r.id, err)
			}
		}
		return nil
	})
}

func (j *Journal) foreign(identity string) error {
	return fmt.Errorf("%w: it is one of the journal %s, but this is %s", ErrForeignTransaction, identity, j.identity)
}

// appendIn has do append rows in a transaction that is not the journal's.
func (j *Journal) appendIn(ctx context.Context, records []journal.Record, do func([]row) error) ([]query.Pointer, error) {
	op := fmt.Sprintf("append %d records in a transaction", len(records))
	rows, err := j.newRows(records)
	if err != nil {
		return nil, j.wrap(op, err)
	}
	if !j.gate.Enter() {
		return nil, j.wrap(op, query.ErrClosed)
	}
	defer j.gate.Leave()
	if err := ctx.Err(); err != nil {
		return nil, j.wrap(op, err)
	}
	if len(rows) > 0 {
		if err := do(rows); err != nil {
			return nil, j.wrap(op, err)
		}
	}
	return pointers(rows), nil
}

// appendRecords appends the records of several calls in one transaction. Calls that need a lock which is not free are left
// out.
func (j *Journal) appendRecords(ctx context.Context, conn *pgx.Conn, group []*appendCall) error {
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	if err != nil {
		return err
	}
	// Without a connection there is nothing to roll back; with one it takes a moment.
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // after the commit there is nothing to roll back, either

	var all []row
	for _, call := range group {
		all = append(all, call.rows...)
	}
	taken, err := tx.Query(ctx, j.statements.lockFreeIDs, j.mode, keysOf(all))
	if err != nil {
		return err
	}
	busy, err := pgx.CollectRows(taken, pgx.RowTo[int64])
	if err != nil {
		return err
	}
	var rows []*row
	for _, call := range group {
		call.err = nil
		if slices.ContainsFunc(call.rows, func(r row) bool { return slices.Contains(busy, r.key) }) {
			call.err = errBusy
			continue
		}
		rows = append(rows, pointersTo(call.rows)...)
	}
	if err := j.insertRecords(ctx, tx, j.mode, rows); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// insertRecords adds rows whose ids are locked, and notes their sequence numbers.
func (j *Journal) insertRecords(ctx context.Context, tx pgx.Tx, mode pgx.QueryExecMode, rows []*row) error {
	if len(rows) == 0 {
		return nil
	}
	nth := map[string]int64{}
	c := newColumns(rows)
	for i, r := range rows {
		nth[r.id]++
		c.sequences[i] = nth[r.id]
	}
	stored, err := tx.Query(ctx, j.statements.appendRecords, mode,
		c.ids, c.sequences, c.slices, c.uids, c.types, c.contentTypes, c.tags, c.metadata, c.data)
	if err != nil {
		return err
	}
	sequences, err := pgx.CollectRows(stored, pgx.RowTo[int64])
	if err != nil {
		return err
	}
	if len(sequences) != len(rows) {
		return fmt.Errorf("%d of %d records were inserted: is there a trigger that leaves some out?", len(sequences), len(rows))
	}
	for i, r := range rows {
		r.sequence = sequences[i]
	}
	return nil
}

func (j *Journal) newRows(records []journal.Record) ([]row, error) {
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
		if rows[i], err = j.newRow(e); err != nil {
			return nil, fmt.Errorf("record %d: %w", i+1, err)
		}
	}
	return rows, nil
}

// keysOf returns each lock once, in the order in which all who append take them: that of the ids.
func keysOf(rows []row) []int64 {
	sorted := pointersTo(rows)
	slices.SortFunc(sorted, func(a, b *row) int { return strings.Compare(a.id, b.id) })
	var keys []int64
	for i, r := range sorted {
		if i == 0 || r.id != sorted[i-1].id {
			keys = append(keys, r.key)
		}
	}
	return keys
}

func pointersTo(rows []row) []*row {
	all := make([]*row, len(rows))
	for i := range rows {
		all[i] = &rows[i]
	}
	return all
}

func pointers(rows []row) []query.Pointer {
	all := make([]query.Pointer, len(rows))
	for i := range rows {
		all[i] = query.Pointer{PersistenceID: rows[i].id, SequenceNumber: rows[i].sequence}
	}
	return all
}
