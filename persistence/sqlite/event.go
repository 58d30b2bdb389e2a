package sqlite

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// eventColumns are the columns that an eventReader reads, in its order. The driver reads an empty blob as NULL, so NULL
// comes as a number.
const eventColumns = `offset, persistence_id, sequence_number, uid, type, content_type,
	coalesce(data, 0), time, tags, metadata, slice`

// eventReader reads rows of eventColumns. A feed reads millions of them, so the values are taken as the driver gives
// them: what database/sql converts to other types goes through reflection, and sometimes through text.
type eventReader struct {
	offset, id, sequence, uid, typ, contentType, data, micros, tags, metadata, slice any

	dest []any
}

func newEventReader() *eventReader {
	r := new(eventReader)
	r.dest = []any{
		&r.offset, &r.id, &r.sequence, &r.uid, &r.typ, &r.contentType, &r.data, &r.micros, &r.tags, &r.metadata, &r.slice,
	}
	return r
}

// read reads a row into e, which is zero. Its errors are *DamagedEventErrors: a row that cannot be read is never skipped.
func (r *eventReader) read(rows *sql.Rows, e *query.Event) error {
	if err := rows.Scan(r.dest...); err != nil {
		return err
	}
	if err := r.decode(e); err != nil {
		return &DamagedEventError{e.PersistenceID, e.SequenceNumber, e.Offset, err}
	}
	return nil
}

func (r *eventReader) decode(e *query.Event) error {
	// What names the event comes first, so that it is known when another column cannot be read.
	var c columns
	e.Offset = query.Offset(column[int64](&c, "offset", r.offset))
	e.PersistenceID = column[string](&c, "persistence_id", r.id)
	e.SequenceNumber = column[int64](&c, "sequence_number", r.sequence)
	e.Type = column[string](&c, "type", r.typ)
	e.ContentType = column[string](&c, "content_type", r.contentType)
	if _, isNull := r.data.(int64); !isNull {
		e.Data = notNil(column[[]byte](&c, "data", r.data), false)
	}
	e.Time = time.UnixMicro(column[int64](&c, "time", r.micros)).UTC()
	uid, slice := column[[]byte](&c, "uid", r.uid), column[int64](&c, "slice", r.slice)
	if c.err != nil {
		return c.err
	}
	copy(e.UID[:], uid)
	e.Slice = query.SliceOf(e.PersistenceID)
	if err := checkStored(e, uid, slice); err != nil {
		return err
	}
	if err := decodeJSON("tags", r.tags, &e.Tags); err != nil {
		return err
	}
	return decodeJSON("metadata", r.metadata, &e.Metadata)
}

// decodeJSON leaves v alone if there is nothing in the column.
func decodeJSON(name string, value, v any) error {
	if value == nil {
		return nil
	}
	text, ok := value.(string)
	if !ok {
		return fmt.Errorf("the column %s has the wrong type: %T instead of string", name, value)
	}
	if err := json.Unmarshal([]byte(text), v); err != nil {
		return fmt.Errorf("its %s cannot be read: %w", name, err)
	}
	return nil
}

// columns keeps the first error of reading a row's columns.
type columns struct{ err error }

// column returns the value that the driver gave, or notes that it has the wrong type.
func column[T any](c *columns, name string, value any) T {
	v, ok := value.(T)
	if !ok && c.err == nil {
		c.err = fmt.Errorf("the column %s has the wrong type: %T instead of %T", name, value, v)
	}
	return v
}

// checkStored refuses what this package never stores. An outbox would stumble over such an event much later: where its
// offsets are to be saved, or, with the wrong slice, never.
func checkStored(e *query.Event, uid []byte, slice int64) error {
	if err := query.ValidateID(e.PersistenceID); err != nil {
		return err
	}
	switch {
	case e.SequenceNumber < 1:
		return errors.New("sequence numbers start at 1")
	case slice != int64(e.Slice):
		return fmt.Errorf("its slice is %d instead of %d", slice, e.Slice)
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
