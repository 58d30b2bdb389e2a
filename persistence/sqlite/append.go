package sqlite

import (
	"bytes"
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
	// All in main, because the transaction may be an application's, which can have a temporary table of that name.
	appendLastSQL = `SELECT coalesce(max(sequence_number), 0) FROM main.events WHERE persistence_id = ?`

	appendUIDSQL = `SELECT uid FROM main.events WHERE persistence_id = ? AND sequence_number = ?`

	appendActorlessSQL = `SELECT actorless FROM main.events WHERE persistence_id = ? AND sequence_number = ?`

	appendInsertSQL = `INSERT INTO main.events
		(persistence_id, sequence_number, slice, time, uid, type, content_type, tags, metadata, data, actorless)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
)

// AppendEvent implements journal.Store. It returns once the event is synced to disk. Events that are appended at the same
// time share a transaction, and its sync.
func (j *Journal) AppendEvent(ctx context.Context, e query.Event) error {
	op, err := j.operation("append event "+strconv.FormatInt(e.SequenceNumber, 10), e.PersistenceID)
	if err != nil {
		return err
	}
	if err := checkEvent(e); err != nil {
		return j.wrap(op, err)
	}
	r, err := newRow(e)
	if err != nil {
		return j.wrap(op, err)
	}
	return j.append(ctx, op, []row{r})
}

// row is an event in the form in which it is stored. It shares nothing with the caller, who may be gone before it is.
type row struct {
	id string
	// sequence is given by an actor. For a record it is what comes next, which insert finds out.
	sequence       int64
	next           bool
	uid            [16]byte
	typ            string
	contentType    string
	tags, metadata sql.NullString
	data           []byte
}

// newRow takes an event that can be stored.
func newRow(e query.Event) (row, error) {
	r := row{
		id: e.PersistenceID, sequence: e.SequenceNumber, uid: e.UID,
		typ: e.Type, contentType: e.ContentType, data: bytes.Clone(e.Data),
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

// size estimates what the row takes up in the file.
func (r *row) size() int {
	return len(r.id) + len(r.typ) + len(r.contentType) + len(r.tags.String) + len(r.metadata.String) + len(r.data)
}

// inserter adds rows in a transaction that holds the write lock.
type inserter struct {
	ctx                  context.Context //nolint:containedctx // it is there for one transaction
	file                 *file
	last, uid, insertion *sql.Stmt
	actorless            *sql.Stmt
}

// inserter uses the statements that were prepared for the journal's own transactions.
func (j *Journal) inserter(ctx context.Context, tx *sql.Tx) *inserter {
	return &inserter{
		ctx: ctx, file: &j.file,
		last: tx.StmtContext(ctx, j.stmts.appendLast), uid: tx.StmtContext(ctx, j.stmts.appendUID), insertion: tx.StmtContext(ctx, j.stmts.appendInsert),
		actorless: tx.StmtContext(ctx, j.stmts.appendActorless),
	}
}

// insert adds the row, if it is the next one of its id, and returns its offset; 0 if it was there already. Only what is
// no conflict may have changed anything when it returns.
func (in *inserter) insert(r *row) (query.Offset, error) {
	var last int64
	if err := in.last.QueryRowContext(in.ctx, r.id).Scan(&last); err != nil {
		return 0, err
	}
	// An id is actorless for as long as nothing but records were appended to it.
	actorless := r.next
	if r.next {
		r.sequence = last + 1
	}
	switch {
	case r.sequence > last+1:
		return 0, fmt.Errorf("%w: %q ends at sequence number %d, so %d comes next, not %d",
			journal.ErrSequenceConflict, r.id, last, last+1, r.sequence)
	case r.sequence <= last:
		return 0, in.alreadyThere(r, last)
	case r.next && last > 0:
		if err := in.actorless.QueryRowContext(in.ctx, r.id, last).Scan(&actorless); err != nil {
			return 0, err
		}
	}
	seen := in.file.head.Load()
	result, err := in.insertion.ExecContext(in.ctx,
		r.id, r.sequence, query.SliceOf(r.id), time.Now().UnixMicro(), r.uid[:], r.typ, r.contentType, r.tags, r.metadata, r.data, actorless)
	if err != nil {
		return 0, err
	}
	offset, err := result.LastInsertId()
	if err == nil && offset <= seen {
		// An offset that was given out before: readers have passed it, and would never see this event.
		err = in.file.setBack(query.Offset(offset-1), seen)
	}
	return query.Offset(offset), err
}

// alreadyThere returns nil if the event was appended before, by an earlier try.
func (in *inserter) alreadyThere(r *row, last int64) error {
	var uid []byte
	err := in.uid.QueryRowContext(in.ctx, r.id, r.sequence).Scan(&uid)
	switch {
	case err == nil && slices.Equal(uid, r.uid[:]):
		return nil
	case err != nil && !errors.Is(err, sql.ErrNoRows):
		return err
	}
	return fmt.Errorf("%w: sequence number %d of %q is taken, the last one is %d",
		journal.ErrSequenceConflict, r.sequence, r.id, last)
}

func toJSON(v any) (sql.NullString, error) {
	text, err := json.Marshal(v)
	return sql.NullString{String: string(text), Valid: true}, err
}

// checkEvent returns why an actor's event cannot be stored.
func checkEvent(e query.Event) error {
	if e.SequenceNumber < 1 {
		return fmt.Errorf("%w: sequence numbers start at 1, not at %d", journal.ErrSequenceConflict, e.SequenceNumber)
	}
	errs := []error{checkText("type", e.Type), checkText("content type", e.ContentType)}
	for _, tag := range e.Tags {
		errs = append(errs, checkText("tag", tag))
	}
	for k, v := range e.Metadata {
		errs = append(errs, checkText("metadata key", k), checkText("metadata value", v))
	}
	if e.UID == ([16]byte{}) {
		errs = append(errs, errors.New("its UID is zero: without one of its own it would pass for another event without one"))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w: %w", journal.ErrNotEncodable, err)
	}
	return nil
}

// checkText refuses what JSON would silently change.
func checkText(what, s string) error {
	if !utf8.ValidString(s) {
		return fmt.Errorf("the %s %q is not valid UTF-8", what, s)
	}
	return nil
}
