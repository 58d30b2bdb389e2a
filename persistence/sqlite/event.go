package sqlite

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// eventColumns are the columns that scanEvent reads, in its order. The driver reads an empty blob as NULL, so
// the difference is asked for.
const eventColumns = `offset, persistence_id, sequence_number, uid, type, content_type,
	data, data IS NULL, time, tags, metadata, slice`

// scanEvent reads a row. Its errors are *DamagedEventErrors: a row that cannot be read is never skipped.
func scanEvent(rows *sql.Rows) (e query.Event, err error) {
	var (
		uid            []byte
		noData         bool
		micros         int64
		tags, metadata sql.NullString
	)
	damaged := func(format string, args ...any) (query.Event, error) {
		return query.Event{}, &DamagedEventError{e.PersistenceID, e.SequenceNumber, e.Offset, fmt.Errorf(format, args...)}
	}
	// What names the event comes first, so that it is known when another column cannot be read.
	if err := rows.Scan(&e.Offset, &e.PersistenceID, &e.SequenceNumber, &uid, &e.Type, &e.ContentType,
		&e.Data, &noData, &micros, &tags, &metadata, &e.Slice); err != nil {
		return damaged("a column has the wrong type: %w", err)
	}
	if err := checkStored(&e, uid); err != nil {
		return damaged("%w", err)
	}
	copy(e.UID[:], uid)
	e.Data = notNil(e.Data, noData)
	e.Time = time.UnixMicro(micros).UTC()
	if tags.Valid {
		if err := json.Unmarshal([]byte(tags.String), &e.Tags); err != nil {
			return damaged("its tags cannot be read: %w", err)
		}
	}
	if metadata.Valid {
		if err := json.Unmarshal([]byte(metadata.String), &e.Metadata); err != nil {
			return damaged("its metadata cannot be read: %w", err)
		}
	}
	return e, nil
}

// checkStored refuses what this package never stores. An outbox would stumble over such an event much later: where its
// offsets are to be saved, or, with the wrong slice, never.
func checkStored(e *query.Event, uid []byte) error {
	if err := query.ValidateID(e.PersistenceID); err != nil {
		return err
	}
	switch slice := query.SliceOf(e.PersistenceID); {
	case e.SequenceNumber < 1:
		return errors.New("sequence numbers start at 1")
	case e.Slice != slice:
		return fmt.Errorf("its slice is %d instead of %d", e.Slice, slice)
	case len(uid) != len(e.UID):
		return fmt.Errorf("its uid has %d bytes instead of %d", len(uid), len(e.UID))
	}
	return nil
}

// notNil restores the difference between no bytes and NULL.
func notNil(data []byte, isNull bool) []byte {
	if data == nil && !isNull {
		return []byte{}
	}
	return data
}

// page collects events up to its limits.
type page struct {
	events []query.Event
	limits query.Limits
	bytes  int
}

func newPage(limits query.Limits) (*page, error) {
	if limits.Events < 1 {
		return nil, fmt.Errorf("the limit of %d events is invalid: ask for at least 1", limits.Events)
	}
	if limits.Bytes <= 0 {
		limits.Bytes = math.MaxInt
	}
	return &page{limits: limits}, nil
}

// full reports whether no further event may be added, whatever its size.
func (p *page) full() bool { return len(p.events) >= p.limits.Events }

// add reports whether it added the event. The first one always fits.
func (p *page) add(e query.Event) bool {
	size := e.Size()
	if p.full() || len(p.events) > 0 && size > p.limits.Bytes-p.bytes {
		return false
	}
	p.events = append(p.events, e)
	p.bytes += size
	return true
}
