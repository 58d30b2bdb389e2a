package sqlite

import (
	"database/sql"
	"fmt"
	"math"
	"slices"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// maxPrepared is for how many events a page makes room before it has read them.
const maxPrepared = 1024

// page collects events up to its limits. It never holds more than one event beyond them.
type page struct {
	events []query.Event
	limits query.Limits
	bytes  int
	reader *eventReader
}

func newPage(limits query.Limits) (*page, error) {
	if limits.Events < 1 {
		return nil, fmt.Errorf("the limit of %d events is invalid: ask for at least 1", limits.Events)
	}
	if limits.Bytes <= 0 {
		limits.Bytes = math.MaxInt
	}
	return &page{limits: limits, reader: newEventReader()}, nil
}

// expect makes room for what will be added, so that events need not be moved. There are n of them at most.
func (p *page) expect(n int64) {
	smallest := (&query.Event{}).Size()
	p.events = slices.Grow(p.events, int(min(n, int64(p.limits.Events), int64(p.limits.Bytes/smallest)+1, maxPrepared)))
}

// full reports whether no further event may be added, whatever its size.
func (p *page) full() bool { return len(p.events) >= p.limits.Events }

// add reads a row into a page that is not full, and reports whether its event fits. The first one always does.
func (p *page) add(rows *sql.Rows) (fits bool, err error) {
	last := len(p.events)
	p.events = append(p.events, query.Event{})
	e := &p.events[last]
	if err := p.reader.read(rows, e); err != nil {
		return false, err
	}
	size := e.Size()
	if last > 0 && size > p.limits.Bytes-p.bytes {
		*e = query.Event{} // its data are not kept in the room behind the page
		p.events = p.events[:last]
		return false, nil
	}
	p.bytes += size
	return true, nil
}
