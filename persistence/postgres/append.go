package postgres

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// Whoever appends to an id holds an advisory lock on it until the end of his transaction. An id whose lock is not free is
// left out of a group, rather than waited for, so that one long transaction holds up no other id.
const (
	// appendSettingsSQL comes before appendEventsSQL in its transaction, and ends with it. The lock_timeout is for
	// transactions that append without our lock. The others make the plan of a prepared statement a search in the index,
	// however small the table was when it was made.
	appendSettingsSQL = `SELECT set_config('lock_timeout', '200ms', true), set_config('plan_cache_mode', 'force_generic_plan', true),
		set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true)`

	// appendEventsSQL appends the events that are the next ones of their ids, and returns which. There is at most one of
	// each id. It fails if an event's place was taken by somebody who committed after the statement had begun.
	appendEventsSQL = `INSERT INTO {{journal}} (persistence_id, sequence_number, slice, uid, type, content_type, tags, metadata, data)
		SELECT n.id, n.seq, n.slice, n.uid, n.type, n.content_type, n.tags::text[], n.metadata::json, n.data
		FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::smallint[], $5::uuid[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bytea[])
			AS n (key, id, seq, slice, uid, type, content_type, tags, metadata, data)
		WHERE pg_try_advisory_xact_lock(n.key)
			AND n.seq - 1 = coalesce((SELECT j.sequence_number FROM {{journal}} j WHERE j.persistence_id = n.id AND j.sequence_number >= n.seq - 1
				ORDER BY j.sequence_number DESC LIMIT 1), 0)
		RETURNING persistence_id`

	// appendFreeEventsSQL does the same, and leaves out an event whose place was taken. It needs no statement before it.
	appendFreeEventsSQL = `INSERT INTO {{journal}} (persistence_id, sequence_number, slice, uid, type, content_type, tags, metadata, data)
		SELECT n.id, n.seq, n.slice, n.uid, n.type, n.content_type, n.tags::text[], n.metadata::json, n.data
		FROM set_config('lock_timeout', '200ms', true) AS s,
			unnest($1::bigint[], $2::text[], $3::bigint[], $4::smallint[], $5::uuid[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bytea[])
				AS n (key, id, seq, slice, uid, type, content_type, tags, metadata, data)
		WHERE pg_try_advisory_xact_lock(n.key)
			AND n.seq - 1 = coalesce((SELECT j.sequence_number FROM {{journal}} j WHERE j.persistence_id = n.id AND j.sequence_number >= n.seq - 1
				ORDER BY j.sequence_number DESC LIMIT 1), 0)
		ON CONFLICT (persistence_id, sequence_number) DO NOTHING
		RETURNING persistence_id`

	// settleSQL finds out what kept events from being appended: the last sequence number of the id, and the uid of what is
	// stored in the event's place. If that is the event itself, an earlier try has committed it, but perhaps nobody has waited
	// until the standbys have it, as synchronous_commit may demand: something written here makes this commit wait for both.
	settleSQL = `SELECT (SELECT coalesce(max(j.sequence_number), 0) FROM {{journal}} j WHERE j.persistence_id = n.id), s.uid,
			CASE WHEN s.uid = n.uid THEN pg_logical_emit_message(true, 'protoactor-outbox', '')::text END
		FROM unnest($1::text[], $2::bigint[], $3::uuid[]) WITH ORDINALITY AS n (id, seq, uid, i)
			LEFT JOIN {{journal}} s ON s.persistence_id = n.id AND s.sequence_number = n.seq
		ORDER BY n.i`
)

// AppendEvent implements journal.Store. It returns once the server has committed the event: with synchronous_commit on, as
// it is by default, it survives a crash. Events that are appended at the same time share a transaction. While another
// transaction is open that appends to the same id, it waits until ctx ends.
func (j *Journal) AppendEvent(ctx context.Context, e query.Event) error {
	op, err := j.operation("append event "+strconv.FormatInt(e.SequenceNumber, 10), e.PersistenceID)
	if err != nil {
		return err
	}
	if err := checkEvent(e); err != nil {
		return j.wrap(op, err)
	}
	r, err := j.newRow(e)
	if err != nil {
		return j.wrap(op, err)
	}
	return j.append(ctx, op, &appendCall{rows: []row{r}})
}

// row is an event in the form in which it is stored. It shares nothing with the caller, who may be gone before it is.
type row struct {
	key         int64 // of the id's advisory lock
	id          string
	sequence    int64 // an actor's event has it; a record is given it
	uid         [16]byte
	typ         string
	contentType string
	tags        *string // in PostgreSQL's notation for arrays
	metadata    *string // JSON
	data        []byte
}

// newRow takes an event that can be stored.
func (j *Journal) newRow(e query.Event) (row, error) {
	r := row{
		key: advisoryKey(j.tables.name, e.PersistenceID),
		id:  e.PersistenceID, sequence: e.SequenceNumber, uid: e.UID,
		typ: e.Type, contentType: e.ContentType, data: bytes.Clone(e.Data),
	}
	if len(e.Tags) > 0 {
		tags := slices.Clone(e.Tags)
		slices.Sort(tags)
		text := arrayLiteral(slices.Compact(tags))
		r.tags = &text
	}
	if len(e.Metadata) > 0 {
		text, err := json.Marshal(e.Metadata)
		if err != nil {
			return row{}, fmt.Errorf("encode the metadata: %w", err)
		}
		metadata := string(text)
		r.metadata = &metadata
	}
	return r, nil
}

// size estimates what the row takes up.
func (r *row) size() int {
	n := len(r.id) + len(r.typ) + len(r.contentType) + len(r.data)
	for _, text := range []*string{r.tags, r.metadata} {
		if text != nil {
			n += len(*text)
		}
	}
	return n
}

var escapeElement = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// arrayLiteral is the text of a text[]. A list of lists cannot be a parameter: the lists differ in length.
func arrayLiteral(list []string) string {
	var b strings.Builder
	for i, s := range list {
		b.WriteString([2]string{"{", ","}[min(i, 1)])
		b.WriteString(`"` + escapeElement.Replace(s) + `"`)
	}
	return b.String() + "}"
}

// columns are rows turned into one parameter for each column.
type columns struct {
	keys, sequences []int64
	ids             []string
	slices          []int16
	uids            [][16]byte
	types           []string
	contentTypes    []string
	tags, metadata  []*string
	data            [][]byte
}

func newColumns(rows []*row) (c columns) {
	for _, r := range rows {
		c.keys, c.sequences, c.ids = append(c.keys, r.key), append(c.sequences, r.sequence), append(c.ids, r.id)
		c.slices, c.uids = append(c.slices, int16(query.SliceOf(r.id))), append(c.uids, r.uid)
		c.types, c.contentTypes = append(c.types, r.typ), append(c.contentTypes, r.contentType)
		c.tags, c.metadata, c.data = append(c.tags, r.tags), append(c.metadata, r.metadata), append(c.data, r.data)
	}
	return c
}

// appendEvents appends events of different ids, in one transaction, and notes in each call what became of it. An error is
// none of the calls': nothing was appended, or it is not known what was.
func (j *Journal) appendEvents(ctx context.Context, conn *pgx.Conn, group []*appendCall) error {
	rows := make([]*row, len(group))
	byID := make(map[string]*appendCall, len(group))
	for i, call := range group {
		rows[i] = &call.rows[0]
		byID[rows[i].id] = call
	}
	// All who append take locks in this order, so that they never wait for each other in a circle.
	slices.SortFunc(rows, func(a, b *row) int { return strings.Compare(a.id, b.id) })
	ids, err := j.insertEvents(ctx, conn, newColumns(rows))
	if err != nil {
		return err
	}
	for _, id := range ids {
		byID[id].err = nil
		delete(byID, id)
	}
	j.settle(ctx, conn, byID)
	return nil
}

// insertEvents inserts events, in one transaction, and returns the ids of those that were the next ones.
func (j *Journal) insertEvents(ctx context.Context, conn *pgx.Conn, c columns) ([]string, error) {
	args := []any{c.keys, c.ids, c.sequences, c.slices, c.uids, c.types, c.contentTypes, c.tags, c.metadata, c.data}
	if j.batches {
		ids, err := j.insertInBatch(ctx, conn, args)
		faster := sqlState(err) == uniqueViolation && !isOffsetTaken(err) // somebody was
		if !faster && sqlState(err) != noSuchStatement {
			return ids, err
		}
		// Nothing was inserted.
	}
	rows, err := conn.Query(ctx, j.statements.appendFreeEvents, append([]any{j.mode}, args...)...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// insertInBatch sends all statements of the transaction at once. Until the batch is closed it is not committed.
func (j *Journal) insertInBatch(ctx context.Context, conn *pgx.Conn, args []any) ([]string, error) {
	batch := &pgx.Batch{}
	batch.Queue(j.statements.appendSettings)
	batch.Queue(j.statements.appendEvents, args...)
	results := conn.SendBatch(ctx, batch)
	ids, err := insertedIn(results)
	if closed := results.Close(); err == nil {
		err = closed
	}
	return ids, err
}

func insertedIn(results pgx.BatchResults) ([]string, error) {
	if _, err := results.Exec(); err != nil {
		return nil, err
	}
	rows, err := results.Query()
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// settle finds out why events were not appended, in a statement that sees what has been committed meanwhile.
func (j *Journal) settle(ctx context.Context, conn *pgx.Conn, calls map[string]*appendCall) {
	if len(calls) == 0 {
		return
	}
	var left []*appendCall
	var ids []string
	var sequences []int64
	var uids [][16]byte
	for id, call := range calls {
		// Until the answer is there: those of the group that were appended have theirs.
		call.err = errBusy
		left, ids, sequences = append(left, call), append(ids, id), append(sequences, call.rows[0].sequence)
		uids = append(uids, call.rows[0].uid)
	}
	rows, err := conn.Query(ctx, j.statements.settle, j.mode, ids, sequences, uids)
	if err != nil {
		return // they try again
	}
	var (
		last     int64
		uid      *[16]byte
		written  *string
		verdicts []error
	)
	_, err = pgx.ForEachRow(rows, []any{&last, &uid, &written}, func() error {
		verdicts = append(verdicts, verdict(&left[len(verdicts)].rows[0], last, uid))
		return nil
	})
	if err != nil {
		return // not before the commit has ended well
	}
	for i, v := range verdicts {
		left[i].err = v
	}
}

// verdict is why an event was not appended, given the last sequence number of its id and the uid of what is in its place.
func verdict(r *row, last int64, uid *[16]byte) error {
	switch {
	case uid != nil && *uid == r.uid:
		return nil // by an earlier try
	case r.sequence > last+1:
		return fmt.Errorf("%w: %q ends at sequence number %d, so %d comes next, not %d",
			journal.ErrSequenceConflict, r.id, last, last+1, r.sequence)
	case r.sequence <= last:
		return fmt.Errorf("%w: sequence number %d of %q is taken, the last one is %d",
			journal.ErrSequenceConflict, r.sequence, r.id, last)
	}
	return errBusy
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
