package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

const (
	// maxPageEvents is how many events one statement reads at most, whatever was asked for.
	maxPageEvents = 1 << 16
	// minInline is the length up to which data come with their row in any case.
	minInline = 512
	// firstRoom is for how many events there is room in a page at first.
	firstRoom = 16
)

// page collects events up to its limits. It never holds more than one event beyond them.
type page struct {
	events []query.Event
	limits query.Limits
	bytes  int
	reader eventReader
	large  []int // events whose data have yet to be read
}

func newPage(limits query.Limits) (*page, error) {
	if limits.Events < 1 {
		return nil, fmt.Errorf("the limit of %d events is invalid: ask for at least 1", limits.Events)
	}
	limits.Events = min(limits.Events, maxPageEvents)
	if limits.Bytes <= 0 {
		limits.Bytes = math.MaxInt
	}
	return &page{limits: limits}, nil
}

// inline is up to which length data are to come with their rows. All rows of a page together then have no more bytes than
// the page may have. Larger data are read once it is known that they fit.
func (p *page) inline() int32 {
	return int32(min(max(p.limits.Bytes/p.limits.Events, minInline), math.MaxInt32))
}

// rows is for how many a statement asks: one more than fit in, to know whether there are more.
func (p *page) rows() int { return p.limits.Events - len(p.events) + 1 }

// full reports whether no further event may be added, whatever its size.
func (p *page) full() bool { return len(p.events) >= p.limits.Events }

// add reads a row into the page, and reports whether its event fits. The first one always does.
func (p *page) add(raw [][]byte) (fits bool, err error) {
	if p.full() {
		return false, nil
	}
	last := len(p.events)
	if last == cap(p.events) {
		// A page is most often nearly empty or full. Growing by little, a full one would be copied several times.
		p.events = slices.Grow(p.events, min(max(7*last, firstRoom), p.limits.Events-last))
	}
	p.events = append(p.events, query.Event{})
	e := &p.events[last]
	omitted, err := p.reader.read(raw, e)
	if err != nil {
		return false, err
	}
	size := e.Size() + omitted
	if last > 0 && size > p.limits.Bytes-p.bytes {
		*e = query.Event{} // its data are not kept in the room behind the page
		p.events = p.events[:last]
		return false, nil
	}
	p.bytes += size
	if omitted > 0 {
		p.large = append(p.large, last)
	}
	return true, nil
}

// fill reads the data that were left out.
func (p *page) fill(ctx context.Context, j *Journal, conn *pgx.Conn) error {
	if len(p.large) == 0 {
		return nil
	}
	offsets := make([]int64, len(p.large))
	for i, at := range p.large {
		offsets[i] = int64(p.events[at].Offset)
	}
	rows, err := conn.Query(ctx, j.statements.data, j.mode, binaryFormat, offsets)
	if err != nil {
		return err
	}
	defer rows.Close()
	for _, at := range p.large {
		if !rows.Next() {
			break
		}
		e, raw := &p.events[at], rows.RawValues()
		if int64At(raw[0]) != int64(e.Offset) {
			break
		}
		e.Data = append(make([]byte, 0, len(raw[1])), raw[1]...)
		p.large = p.large[1:]
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return err
	}
	if len(p.large) > 0 {
		return errors.New("an event was removed while it was read: read again")
	}
	return nil
}

// query reads rows of events into the page, until take says that it is enough. take is given the raw row.
func (j *Journal) query(ctx context.Context, conn *pgx.Conn, p *page, sql string, args []any, take func(raw [][]byte) (more bool, err error)) error {
	p.reader.types = conn.TypeMap()
	rows, err := conn.Query(ctx, sql, append([]any{j.mode, binaryFormat, p.inline()}, args...)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		raw := rows.RawValues()
		if len(raw) != numColumns {
			return fmt.Errorf("the server sent %d columns instead of %d", len(raw), numColumns)
		}
		more, err := take(raw)
		if err != nil {
			return err
		}
		if !more {
			break
		}
	}
	rows.Close()
	return rows.Err()
}
