package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

const (
	appendUIDSQL = `SELECT uid FROM events WHERE persistence_id = ? AND sequence_number = ?`

	appendInsertSQL = `INSERT INTO events
		(persistence_id, sequence_number, slice, time, uid, type, content_type, tags, metadata, data)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
)

// AppendEvent implements journal.Store. It returns once the event is synced to disk.
func (j *Journal) AppendEvent(ctx context.Context, e query.Event) error {
	op, err := j.operation("append event "+strconv.FormatInt(e.SequenceNumber, 10), e.PersistenceID)
	if err != nil {
		return err
	}
	row, err := newRow(e)
	if err != nil {
		return j.wrap(op, err)
	}
	var offset query.Offset
	if err := j.write(ctx, op, func(tx *sql.Tx) (err error) {
		offset, err = j.insert(ctx, tx, row)
		return err
	}); err != nil {
		return err
	}
	j.file.reached(offset)
	// Also for an event that was there already: its first append may have succeeded without being told.
	j.subscribers.notify()
	return nil
}

// insert adds the row, if it is the next one of its id, and returns its offset; 0 if it was there already.
func (j *Journal) insert(ctx context.Context, tx *sql.Tx, r row) (query.Offset, error) {
	var last int64
	if err := tx.StmtContext(ctx, j.stmts.appendLast).QueryRowContext(ctx, r.id).Scan(&last); err != nil {
		return 0, err
	}
	switch {
	case r.sequence > last+1:
		return 0, fmt.Errorf("%w: %q ends at sequence number %d, so %d comes next, not %d",
			journal.ErrSequenceConflict, r.id, last, last+1, r.sequence)
	case r.sequence <= last:
		return 0, j.alreadyThere(ctx, tx, r, last)
	}
	seen := j.file.head.Load()
	result, err := tx.StmtContext(ctx, j.stmts.appendInsert).ExecContext(ctx,
		r.id, r.sequence, query.SliceOf(r.id), time.Now().UnixMicro(), r.uid[:], r.typ, r.contentType, r.tags, r.metadata, r.data)
	if err != nil {
		return 0, err
	}
	offset, err := result.LastInsertId()
	if err == nil && offset <= seen {
		// An offset that was given out before: readers have passed it, and would never see this event.
		err = j.file.setBack(query.Offset(offset-1), seen)
	}
	return query.Offset(offset), err
}

// alreadyThere returns nil if the event was appended before, by an earlier try.
func (j *Journal) alreadyThere(ctx context.Context, tx *sql.Tx, r row, last int64) error {
	var uid []byte
	err := tx.StmtContext(ctx, j.stmts.appendUID).QueryRowContext(ctx, r.id, r.sequence).Scan(&uid)
	switch {
	case err == nil && slices.Equal(uid, r.uid[:]):
		return nil
	case err != nil && !errors.Is(err, sql.ErrNoRows):
		return err
	}
	return fmt.Errorf("%w: sequence number %d of %q is taken, the last one is %d",
		journal.ErrSequenceConflict, r.sequence, r.id, last)
}

// row is an event in the form in which it is stored.
type row struct {
	id             string
	sequence       int64
	uid            [16]byte
	typ            string
	contentType    string
	tags, metadata sql.NullString
	data           []byte
}

func newRow(e query.Event) (row, error) {
	if e.SequenceNumber < 1 {
		return row{}, fmt.Errorf("%w: sequence numbers start at 1, not at %d", journal.ErrSequenceConflict, e.SequenceNumber)
	}
	if err := checkEvent(e); err != nil {
		return row{}, fmt.Errorf("%w: %w", journal.ErrNotEncodable, err)
	}
	r := row{
		id: e.PersistenceID, sequence: e.SequenceNumber, uid: e.UID,
		typ: e.Type, contentType: e.ContentType, data: e.Data,
	}
	var err error
	if len(e.Tags) > 0 {
		tags := slices.Clone(e.Tags)
		slices.Sort(tags)
		if r.tags, err = toJSON(slices.Compact(tags)); err != nil {
			return row{}, fmt.Errorf("encode the tags: %w", err)
		}
	}
	if len(e.Metadata) > 0 {
		if r.metadata, err = toJSON(e.Metadata); err != nil {
			return row{}, fmt.Errorf("encode the metadata: %w", err)
		}
	}
	return r, nil
}

func toJSON(v any) (sql.NullString, error) {
	text, err := json.Marshal(v)
	return sql.NullString{String: string(text), Valid: true}, err
}

func checkEvent(e query.Event) error {
	errs := []error{checkText("type", e.Type), checkText("content type", e.ContentType)}
	for _, tag := range e.Tags {
		errs = append(errs, checkText("tag", tag))
	}
	for k, v := range e.Metadata {
		errs = append(errs, checkText("metadata key", k), checkText("metadata value", v))
	}
	return errors.Join(errs...)
}

// checkText refuses what JSON would silently change.
func checkText(what, s string) error {
	if !utf8.ValidString(s) {
		return fmt.Errorf("the %s %q is not valid UTF-8", what, s)
	}
	return nil
}
