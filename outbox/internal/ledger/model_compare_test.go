package ledger

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// compareStreamsEvery is the number of steps between two comparisons id by id, which cost much.
const compareStreamsEvery = 16

// books is what is compared after every step.
type books struct {
	Phase               phase
	Position, Watermark query.Offset
	Anchor              Pointer
	Window, Streams     int
	Held, Ahead         int
	Failing, Batches    int
	Unsaved, Recordable int
	Outage              bool
	Blamed              int
	Destinations, Out   int
	Published, Skipped  int64
	Rewinds             int64
	Paused, Rewinding   bool
	Parked, Unresolved  int
	Pending             int64
	Waiting, Redrives   int
}

func booksOf(l *Ledger) books {
	b := books{
		Phase: l.phase, Position: l.feed.position, Watermark: l.window.watermark, Anchor: l.window.anchor,
		Window: l.window.len(), Streams: len(l.streams), Held: len(l.held), Ahead: len(l.ahead), Failing: len(l.failing),
		Batches: len(l.batches), Unsaved: l.unsaved, Recordable: l.recordable, Outage: l.outage.on, Blamed: len(l.outage.blamed),
		Published: l.published, Skipped: l.skipped, Rewinds: l.rewinds, Paused: l.paused, Rewinding: l.rewind.on,
		Parked: len(l.parked.events), Unresolved: l.parked.open, Waiting: len(l.saves.waiting), Redrives: len(l.redrive.jobs),
		Destinations: len(l.destinations), Out: len(l.out),
	}
	for _, d := range l.destinations {
		b.Blamed += len(d.blamed)
	}
	if p := l.saves.pending; p != nil {
		b.Pending = p.index
	}
	return b
}

func (m *model) books() books {
	b := books{
		Phase: m.phase, Position: m.position, Watermark: m.watermark, Anchor: m.anchor,
		Window: len(m.window), Streams: len(m.streams), Batches: len(m.batches),
		Unsaved: len(m.unsaved), Recordable: m.recordableCount(), Outage: m.outage.on, Blamed: len(m.outage.blamed),
		Published: m.published, Skipped: m.skipped, Rewinds: m.rewinds, Paused: m.paused, Rewinding: m.rewind.on,
		Parked: len(m.parked), Unresolved: m.unresolved(), Waiting: len(m.saves.waiting), Redrives: len(m.redrive.jobs),
		Destinations: len(m.destinations),
	}
	for _, d := range m.destinations {
		b.Blamed += len(d.blamed)
		b.Out += count(d.out)
	}
	for _, st := range m.streams {
		b.Held += count(st.held)
		b.Ahead += count(st.ahead)
		b.Failing += count(st.failing)
	}
	if p := m.saves.pending; p != nil {
		b.Pending = p.index
	}
	return b
}

// streamBooks is what is compared of an id now and then.
type streamBooks struct {
	Next, Last, First, Final        int64
	Events, Sent                    int
	SettledOffset                   query.Offset
	Held, Verified, Active, Reading bool
	Through, ReadFrom               int64
	Failing, Convicted, Stuck       bool
	Parking                         bool
	Destination                     string
	Waits                           bool
	Attempts, Counted               int
	Ahead                           bool
	AheadNext                       int64
	AheadOffset                     query.Offset
}

func streamBooksOf(st *stream) streamBooks {
	b := streamBooks{
		Next: st.next, Last: st.last, Events: len(st.queue), Sent: st.sent, SettledOffset: st.settledOffset,
		Held: st.held, Verified: st.verified, Active: st.active, Reading: st.reading != 0, Through: st.through,
		Failing: st.failing, Convicted: st.convicted, Stuck: st.stuck, Parking: st.parking,
		Attempts: st.attempts, Counted: st.counted, Ahead: st.ahead, Waits: st.waits(),
	}
	if st.dest != nil {
		b.Destination = st.dest.name
	}
	if n := len(st.queue); n > 0 {
		b.First, b.Final = st.queue[0].event.SequenceNumber, st.queue[n-1].event.SequenceNumber
	}
	if st.held {
		b.ReadFrom = st.readFrom
	}
	if st.ahead {
		b.AheadNext, b.AheadOffset = st.aheadNext, st.aheadOffset
	}
	return b
}

func (m *model) streamBooks(st *modelStream) streamBooks {
	b := streamBooks{
		Next: st.next, Last: st.last, Events: len(st.events), Sent: m.inFlight(st.id), SettledOffset: st.settledOffset,
		Held: st.held, Verified: st.verified, Active: st.active, Reading: m.reads[st.id].id != 0, Through: st.through,
		Failing: st.failing, Convicted: st.convicted, Stuck: st.stuck, Parking: st.parking,
		Attempts: st.attempts, Counted: st.counted, Ahead: st.ahead, Waits: m.waits(st), Destination: st.dest,
	}
	if n := len(st.events); n > 0 {
		b.First, b.Final = st.events[0].SequenceNumber, st.events[n-1].SequenceNumber
	}
	if st.held {
		b.ReadFrom = st.readFrom
	}
	if st.ahead {
		b.AheadNext, b.AheadOffset = st.aheadNext, st.aheadOffset
	}
	return b
}

// compare compares the two sides after a step.
func (m *model) compare() {
	if m.phase == stopped {
		return
	}
	l := m.life.ledger
	if m.books() != booksOf(l) {
		m.disagree("the books differ")
	}
	m.checkAside()
	if s := &m.saves; s.due && !m.now.Before(s.latest) {
		m.disagree("a save is due")
	}
	if m.steps%compareStreamsEvery == 0 {
		m.compareStreams()
	}
}

// compareStreams compares the two sides id by id. The lists are of the same length.
func (m *model) compareStreams() {
	for id, st := range m.streams {
		theirs := m.life.ledger.streams[id]
		if theirs == nil {
			m.disagree("the ledger has forgotten %s", id)
		}
		if ours, theirs := m.streamBooks(st), streamBooksOf(theirs); ours != theirs {
			m.disagree("of %s the ledger has\n  %+v\nthe model\n  %+v", id, theirs, ours)
		}
		if m.caughtUp(st) && !theirs.wanted && !st.failing { // one that is about to read learns it then
			m.disagree("%s has caught up, but does not rejoin the feed", id)
		}
	}
}

// disagree fails the seed, with both sides' books.
func (m *model) disagree(format string, args ...any) {
	m.life.sim.failf("L%d and its model disagree: %s\nledger: %+v\nmodel:  %+v\n%s", m.life.no, fmt.Sprintf(format, args...),
		booksOf(m.life.ledger), m.books(), m.describeStreams())
}

// describeStreams shows the ids of which the two sides have different books.
func (m *model) describeStreams() string {
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(m.streams)) {
		ours := m.streamBooks(m.streams[id])
		theirs := m.life.ledger.streams[id]
		if theirs == nil {
			fmt.Fprintf(&b, "%s: ledger nothing\n  model  %+v\n", id, ours)
		} else if t := streamBooksOf(theirs); t != ours {
			fmt.Fprintf(&b, "%s: ledger %+v\n  model  %+v\n", id, t, ours)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(m.life.ledger.streams)) {
		if m.streams[id] == nil {
			fmt.Fprintf(&b, "%s: ledger %+v\n  model  nothing\n", id, streamBooksOf(m.life.ledger.streams[id]))
		}
	}
	return b.String()
}
