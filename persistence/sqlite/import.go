package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

const (
	importLastSQL = `SELECT coalesce(max(sequence_number), 0) FROM events WHERE persistence_id = ?`

	importUIDSQL = `SELECT uid FROM events WHERE persistence_id = ? AND sequence_number = ?`

	importInsertSQL = `INSERT INTO events
		(persistence_id, sequence_number, slice, time, uid, type, content_type, tags, metadata, data)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
)

var _ journal.Importer = (*Journal)(nil)

// ImportEvents implements journal.Importer. One call is one transaction: a few hundred events make a good one.
func (j *Journal) ImportEvents(ctx context.Context, events []query.Event) error {
	if len(events) == 0 {
		return nil
	}
	id := events[0].PersistenceID
	op, err := j.operation("import events", id)
	if err != nil {
		return err
	}
	var reached query.Offset
	err = j.write(ctx, op, func(tx *sql.Tx) error {
		var last int64
		if err := tx.QueryRowContext(ctx, importLastSQL, id).Scan(&last); err != nil {
			return err
		}
		for i := range events {
			e := &events[i]
			switch {
			case e.PersistenceID != id || e.SequenceNumber < 1 || (i > 0 && e.SequenceNumber != events[i-1].SequenceNumber+1):
				return fmt.Errorf("%w: event %s does not follow the one before it", journal.ErrSequenceConflict, e.ID())
			case e.SequenceNumber <= last:
				if err := importedBefore(ctx, tx, e); err != nil {
					return err
				}
				continue
			case last != 0 && e.SequenceNumber != last+1:
				return fmt.Errorf("%w: %q ends at sequence number %d, so %d comes next, not %d",
					journal.ErrSequenceConflict, id, last, last+1, e.SequenceNumber)
			}
			if reached, err = j.importEvent(ctx, tx, e); err != nil {
				return err
			}
			last = e.SequenceNumber
		}
		return nil
	})
	if err != nil {
		return err
	}
	j.file.reached(reached)
	j.subscribers.Notify()
	return nil
}

// importedBefore returns nil if the event is there.
func importedBefore(ctx context.Context, tx *sql.Tx, e *query.Event) error {
	var uid []byte
	err := tx.QueryRowContext(ctx, importUIDSQL, e.PersistenceID, e.SequenceNumber).Scan(&uid)
	switch {
	case errors.Is(err, sql.ErrNoRows) || (err == nil && !bytes.Equal(uid, e.UID[:])):
		return fmt.Errorf("%w: another event than %s is there, or none of its time", journal.ErrSequenceConflict, e.ID())
	default:
		return err
	}
}

func (j *Journal) importEvent(ctx context.Context, tx *sql.Tx, e *query.Event) (query.Offset, error) {
	if err := checkEvent(*e); err != nil {
		return 0, fmt.Errorf("%w: event %s: %w", journal.ErrNotEncodable, e.ID(), err)
	}
	tags := slices.Clone(e.Tags)
	slices.Sort(tags)
	tagText, err := jsonOrNull(slices.Compact(tags), len(tags))
	if err != nil {
		return 0, fmt.Errorf("encode the tags of %s: %w", e.ID(), err)
	}
	metadata, err := jsonOrNull(e.Metadata, len(e.Metadata))
	if err != nil {
		return 0, fmt.Errorf("encode the metadata of %s: %w", e.ID(), err)
	}
	at := e.Time
	if at.IsZero() {
		at = time.Now()
	}
	seen := j.file.head.Load()
	result, err := tx.ExecContext(ctx, importInsertSQL, e.PersistenceID, e.SequenceNumber, query.SliceOf(e.PersistenceID),
		at.UnixMicro(), e.UID[:], e.Type, e.ContentType, tagText, metadata, e.Data)
	if err != nil {
		return 0, err
	}
	offset, err := result.LastInsertId()
	if err == nil && offset <= seen {
		err = j.file.setBack(query.Offset(offset-1), seen)
	}
	return query.Offset(offset), err
}

// jsonOrNull encodes v, which has n entries; NULL stands for none.
func jsonOrNull(v any, n int) (sql.NullString, error) {
	if n == 0 {
		return sql.NullString{}, nil
	}
	text, err := json.Marshal(v)
	return sql.NullString{String: string(text), Valid: true}, err
}
