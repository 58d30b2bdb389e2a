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

func scanEvent(rows *sql.Rows) (e query.Event, err error) {
	var (
		uid            []byte
		noData         bool
		micros         int64
		tags, metadata sql.NullString
	)
	if err := rows.Scan(&e.Offset, &e.PersistenceID, &e.SequenceNumber, &uid, &e.Type, &e.ContentType,
		&e.Data, &noData, &micros, &tags, &metadata, &e.Slice); err != nil {
		return query.Event{}, fmt.Errorf("read an event: %w", err)
	}
	if err := checkStored(&e, uid); err != nil {
		return query.Event{}, fmt.Errorf("read event %d of %q: %w: the file was changed by another program", e.SequenceNumber, e.PersistenceID, err)
	}
	copy(e.UID[:], uid)
	e.Data = notNil(e.Data, noData)
	e.Time = time.UnixMicro(micros).UTC()
	if tags.Valid {
		if err := json.Unmarshal([]byte(tags.String), &e.Tags); err != nil {
			return query.Event{}, fmt.Errorf("read the tags of %s: %w", e.ID(), err)
		}
	}
	if metadata.Valid {
		if err := json.Unmarshal([]byte(metadata.String), &e.Metadata); err != nil {
			return query.Event{}, fmt.Errorf("read the metadata of %s: %w", e.ID(), err)
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
