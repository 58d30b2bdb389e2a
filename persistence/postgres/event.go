package postgres

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// eventColumns are what an eventReader reads, in its order. Data above the limit $1 are left out, whatever they are: a page
// takes only as many bytes as its reader wants. Asking for their length does not read them.
const eventColumns = `ordering, sequence_number, uid, time, slice, persistence_id, type, content_type,
	CASE WHEN octet_length(data) <= $1 THEN data END, octet_length(data), tags, metadata`

const (
	colOrdering = iota
	colSequence
	colUID
	colTime
	colSlice
	colID
	colType
	colContentType
	colData
	colLength
	colTags
	colMetadata
	numColumns
)

// binaryFormat has the server send each column in its binary format.
var binaryFormat = pgx.QueryResultFormats{pgx.BinaryFormatCode}

// eventReader reads rows without reflection, in the server's binary format.
type eventReader struct {
	types            *pgtype.Map
	typ, contentType string // the last ones, which most often are the next ones
}

// read reads a row. omitted is the length of data that were left out; 0 if none were. Its errors are
// *DamagedEventErrors: a row that cannot be read is never skipped.
func (r *eventReader) read(raw [][]byte, e *query.Event) (omitted int, err error) {
	damaged := func(format string, args ...any) (int, error) {
		return 0, &DamagedEventError{e.PersistenceID, e.SequenceNumber, e.Offset, fmt.Errorf(format, args...)}
	}
	e.Offset = query.Offset(int64At(raw[colOrdering]))
	e.SequenceNumber = int64At(raw[colSequence])
	e.PersistenceID = string(raw[colID])
	copy(e.UID[:], raw[colUID])
	e.Slice = binary.BigEndian.Uint16(raw[colSlice])
	e.Type = same(&r.typ, raw[colType])
	e.ContentType = same(&r.contentType, raw[colContentType])
	if err := checkStored(e); err != nil {
		return damaged("%w", err)
	}
	micros := int64At(raw[colTime])
	if micros == 1<<63-1 || micros == -1<<63 {
		return damaged("its time is infinite")
	}
	e.Time = time.UnixMicro(micros + microsTo2000).UTC()
	if raw[colLength] != nil {
		length := int(binary.BigEndian.Uint32(raw[colLength]))
		if raw[colData] == nil {
			omitted = length
		} else {
			e.Data = append(make([]byte, 0, length), raw[colData]...)
		}
	}
	if raw[colTags] != nil {
		if err := r.types.Scan(pgtype.TextArrayOID, pgx.BinaryFormatCode, raw[colTags], &e.Tags); err != nil {
			return damaged("its tags cannot be read: %w", err)
		}
	}
	if raw[colMetadata] != nil {
		if err := json.Unmarshal(raw[colMetadata], &e.Metadata); err != nil {
			return damaged("its metadata cannot be read: %w", err)
		}
	}
	return omitted, nil
}

// microsTo2000 is from the Unix epoch to PostgreSQL's.
const microsTo2000 = 946_684_800 * 1_000_000

func int64At(raw []byte) int64 { return int64(binary.BigEndian.Uint64(raw)) }

func same(last *string, raw []byte) string {
	if string(raw) != *last {
		*last = string(raw)
	}
	return *last
}

// checkStored refuses what this package never stores and the table cannot refuse. An outbox for a range of slices would
// never see an event with the wrong slice.
func checkStored(e *query.Event) error {
	if err := query.ValidateID(e.PersistenceID); err != nil {
		return err
	}
	switch slice := query.SliceOf(e.PersistenceID); {
	case e.Offset < 1:
		return errors.New("offsets start at 1")
	case e.Slice != slice:
		return fmt.Errorf("its slice is %d instead of %d", e.Slice, slice)
	}
	return nil
}
