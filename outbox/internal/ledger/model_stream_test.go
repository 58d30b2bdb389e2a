package ledger

import (
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// modelStream is what is known of an id of which something is unresolved.
type modelStream struct {
	id            string
	events        []*modelEvent // in memory and unresolved, in order
	next          int64
	settledOffset query.Offset
	last          int64 // shown by the feed
	lastOffset    query.Offset

	dest    string // where its first event has last failed, if that was said
	asideIn int    // the step in which it was last made to wait for that

	failing, convicted, stuck bool
	alone                     bool
	parking                   bool // what was given up on is not known to be saved
	attempts, counted         int
	seen                      int       // rounds of anybody when the first event was sent, or its last failure counted
	soonest                   time.Time // before which nothing of it may be sent or read, at least
	notBefore                 time.Time

	held, verified, active bool
	through, readFrom      int64
	readFailures           int

	ahead       bool
	aheadNext   int64
	aheadOffset query.Offset
	aheadIn     int // the step in which it last was
}

// modelEvent is an event in memory.
type modelEvent struct {
	Pointer
	size     int
	inWindow bool // its id follows the feed
	resolved bool // settled, or given up on
	sent     bool // while it was in the window
}

func (e *modelEvent) key() eventKey { return eventKey{e.PersistenceID, e.SequenceNumber} }

func (m *model) newStream(id string, next int64) *modelStream {
	st := &modelStream{id: id, next: next}
	m.streams[id] = st
	return st
}

func (st *modelStream) push(e *query.Event, inWindow bool) *modelEvent {
	ev := &modelEvent{Pointer: pointerTo(e), size: e.Size(), inWindow: inWindow}
	st.events = append(st.events, ev)
	return ev
}

// saw notes that the feed has shown an event.
func (st *modelStream) saw(e *query.Event) {
	if e.SequenceNumber > st.last {
		st.last, st.lastOffset = e.SequenceNumber, e.Offset
	}
}

func (st *modelStream) front() int64 {
	if len(st.events) > 0 {
		return st.events[0].SequenceNumber
	}
	return st.next
}

func (st *modelStream) bytes() (n int) {
	for _, e := range st.events {
		n += e.size
	}
	return n
}

// resolve takes the first event as settled or given up on.
func (m *model) resolve(st *modelStream) *modelEvent {
	e := st.events[0]
	st.events = st.events[1:]
	e.resolved = true
	st.next, st.settledOffset = e.SequenceNumber+1, e.Offset
	m.acquit(st)
	return e
}

// acquit forgets the failures of an event that is resolved.
func (m *model) acquit(st *modelStream) {
	m.leave(st)
	st.failing, st.convicted, st.stuck, st.alone = false, false, false, false
	st.attempts, st.counted, st.soonest = 0, 0, time.Time{}
}

// inFlight is the number of events of the id that are in a batch.
func (m *model) inFlight(id string) (n int) {
	for _, b := range m.batches {
		for _, e := range b.events {
			n += count(!b.redrive && e.PersistenceID == id)
		}
	}
	return n
}

// forget drops the ids of which nothing needs to be remembered.
func (m *model) forget() {
	for id, st := range m.streams {
		if len(st.events) > 0 || st.held || st.ahead || st.parking || st.failing || m.gaps[st] != 0 {
			continue
		}
		inWindow := false
		for _, e := range m.window {
			inWindow = inWindow || e.PersistenceID == id
		}
		if !inWindow {
			delete(m.streams, id)
		}
	}
}
