package ledger

import (
	"slices"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// simEvent is an event and the truth about it, which no ledger sees.
type simEvent struct {
	query.Event
	matches bool // the filter selects it
	poison  bool // the sink refuses it for good
	trimmed bool // the journal has removed it
	reads   int  // by how many reads it was answered

	// In the present era, see simStore.era:
	delivered int  // how often the sink took it
	acked     bool // a ledger was told so while it waited for that answer
	ackedBy   *life
	everAcked bool // also before a rewind

	refused  bool // the sink answered permanent at least once
	failures int  // how often a ledger was told that it was not delivered
	unnamed  int  // how often of that no destination was named
	skipped  bool // a ledger has let go of it, and was allowed to
}

// done reports whether an outbox may take the event as resolved although it is not parked.
func (e *simEvent) done() bool { return e.acked || e.skipped }

// simJournal is the journal: what is appended becomes visible at once, in offset order.
type simJournal struct {
	filter query.Filter
	events []*simEvent
	ids    []string
	byID   map[string][]*simEvent // the event with sequence number n at n-1
	head   query.Offset
}

func newSimJournal(filter query.Filter) *simJournal {
	return &simJournal{filter: filter, byID: make(map[string][]*simEvent)}
}

// append adds the next event of an id after a gap in the offsets.
func (j *simJournal) append(id string, gap int, size int, tags []string, now time.Time) *simEvent {
	if len(j.byID[id]) == 0 {
		j.ids = append(j.ids, id)
	}
	j.head += query.Offset(1 + gap)
	e := &simEvent{Event: query.Event{
		PersistenceID: id, SequenceNumber: int64(len(j.byID[id]) + 1), Offset: j.head,
		UID: [16]byte{byte(j.head >> 8), byte(j.head)}, Type: "t", Data: make([]byte, size), Tags: tags,
		Slice: query.SliceOf(id), Time: now,
	}}
	e.matches = j.filter.Matches(&e.Event)
	j.events = append(j.events, e)
	j.byID[id] = append(j.byID[id], e)
	return e
}

// burn uses up offsets without an event, as a transaction does that is rolled back.
func (j *simJournal) burn(n int) { j.head += query.Offset(n) }

func (j *simJournal) event(id string, seq int64) *simEvent { return j.byID[id][seq-1] }

// at is the event with a sequence number, nil if there is none.
func (j *simJournal) at(id string, seq int64) *simEvent {
	if events := j.byID[id]; seq >= 1 && seq <= int64(len(events)) {
		return events[seq-1]
	}
	return nil
}

// after is the position in events of the first one beyond the offset.
func (j *simJournal) after(offset query.Offset) int {
	n, _ := slices.BinarySearchFunc(j.events, offset+1, func(e *simEvent, o query.Offset) int { return int(e.Offset - o) })
	return n
}

// read is query.Journal.Events.
func (j *simJournal) read(after query.Offset, limits query.Limits) query.Page {
	page := query.Page{Next: max(after, j.head)}
	bytes := 0
	for _, e := range j.events[j.after(after):] {
		if !e.matches || e.trimmed {
			continue
		}
		bytes += e.Size()
		if n := len(page.Events); n == limits.Events || (n > 0 && limits.Bytes > 0 && bytes > limits.Bytes) {
			page.Next, page.More = page.Events[n-1].Offset, true
			break
		}
		e.reads++
		page.Events = append(page.Events, e.Event)
	}
	return page
}

// readByID is query.Journal.EventsByPersistenceID.
func (j *simJournal) readByID(id string, from int64, limits query.Limits) (events []query.Event, more bool) {
	bytes := 0
	for _, e := range j.byID[id][min(max(0, int(from)-1), len(j.byID[id])):] {
		if e.trimmed {
			continue
		}
		bytes += e.Size()
		if n := len(events); n == limits.Events || (n > 0 && limits.Bytes > 0 && bytes > limits.Bytes) {
			return events, true
		}
		e.reads++
		events = append(events, e.Event)
	}
	return events, false
}

// trim removes what the stored snapshot allows to be removed, by query.Keep's words.
func (j *simJournal) trim(v *view) (n int) {
	for _, e := range j.events[:j.after(v.Watermark)] {
		if next, held := v.held[e.PersistenceID]; held && e.SequenceNumber >= next {
			continue
		}
		if v.isParked(e) || e.Offset == v.Anchor.Offset || e.trimmed {
			continue
		}
		e.trimmed = true
		n++
	}
	return n
}

// view is a snapshot, and what it says about an event.
type view struct {
	Snapshot
	held   map[string]int64
	parked map[eventKey]bool
}

func viewOf(s Snapshot) *view {
	s.Held, s.Parked = slices.Clone(s.Held), slices.Clone(s.Parked)
	v := &view{Snapshot: s, held: make(map[string]int64, len(s.Held)), parked: make(map[eventKey]bool, len(s.Parked))}
	for _, h := range s.Held {
		v.held[h.PersistenceID] = h.Next
	}
	for _, p := range s.Parked {
		v.parked[eventKey{p.PersistenceID, p.SequenceNumber}] = true
	}
	return v
}

func (v *view) isParked(e *simEvent) bool {
	return v.parked[eventKey{e.PersistenceID, e.SequenceNumber}]
}

// isSettled reports whether a ledger that starts from the snapshot takes the event as settled.
func (v *view) isSettled(e *simEvent) bool {
	if v.isParked(e) {
		return false
	}
	if next, held := v.held[e.PersistenceID]; held {
		return e.SequenceNumber < next
	}
	return e.Offset <= v.Watermark
}

// records reports whether a ledger that starts from the snapshot leaves the event alone.
func (v *view) records(e *simEvent) bool { return v.isParked(e) || v.isSettled(e) }

// simStore is the snapshot store.
type simStore struct {
	sim          *simulation
	epoch, index int64
	view         *view
	present      *view // the last one of the present era: a rewound one says nothing until somebody goes on from it
	by           *life // who saved it
	// era is the number of rewinds that have come true: what was delivered before is to be delivered once more.
	era int
}

// acquire is query.SnapshotStore.Acquire.
func (s *simStore) acquire(held int64) (epoch int64, ok bool) {
	switch held {
	case 0:
		s.epoch++
	case s.epoch:
	default:
		return 0, false
	}
	return s.epoch, true
}

// save is query.SnapshotStore.Save, with the outcome as the outbox sees it.
func (s *simStore) save(by *life, index int64, v *view) SaveResult {
	switch {
	case by.epoch != s.epoch:
		return SaveFenced
	case index <= s.index:
		return SaveFailed
	}
	if by.base {
		s.sim.begins(v.Watermark)
	}
	s.index, s.view, s.by = index, v, by
	if int(v.Rewinds) <= s.era {
		s.present = v
	}
	return SaveOK
}

// adopt has a life go on from a snapshot. If that was rewound, what happened to the events behind its watermark is
// forgotten. A rewound snapshot that is replaced before anybody goes on from it has no effect.
func (lf *life) adopt(v *view) {
	s := lf.sim
	lf.known = v
	if int(v.Rewinds) <= s.store.era {
		lf.era = s.store.era
		return
	}
	s.store.era++
	s.store.present = v
	lf.era = s.store.era
	s.logf("era %d begins at %d", s.store.era, v.Watermark)
	for _, e := range s.journal.events[s.journal.after(v.Watermark):] {
		if e.trimmed {
			continue
		}
		e.delivered, e.acked, e.ackedBy, e.skipped = 0, false, nil, false
		for _, lf := range s.allLives {
			delete(lf.unsaved, e)
		}
	}
}

// begins has the outbox start at an offset: what lies before is none of its business.
func (s *simulation) begins(base query.Offset) {
	for _, e := range s.journal.events[:s.journal.after(base)] {
		e.delivered, e.acked = 1, true
	}
}

// simSink is where events are to go. Who delivers to it is sim_publisher_test.go's matter.
type simSink struct {
	sim *simulation
}

// take delivers an event. Whatever the sink gets for the first time must come after all earlier events of its id, unless
// it was parked and is sent once more.
func (k *simSink) take(e *simEvent, redriven bool) {
	s := k.sim
	if e.delivered == 0 && !redriven {
		for _, earlier := range s.journal.byID[e.PersistenceID][:e.SequenceNumber-1] {
			if earlier.matches && earlier.delivered == 0 && !s.store.view.isParked(earlier) && !(earlier.skipped && (earlier.trimmed || s.store.present.records(earlier))) {
				s.failf("order: the sink gets %s before %s, which is not parked or skipped in the store either", e.ID(), earlier.ID())
			}
		}
	}
	e.delivered++
}
