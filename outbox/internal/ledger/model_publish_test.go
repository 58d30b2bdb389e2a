package ledger

import (
	"maps"
	"slices"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// modelBatch is a batch that is not answered.
type modelBatch struct {
	id      uint64
	lane    int
	redrive bool
	events  []*modelEvent
	until   time.Time
}

// modelUnsaved is an event that was sent, and that no snapshot which is known to be saved records.
type modelUnsaved struct {
	resolved bool
	// behind is its offset, if it was settled in the window: a snapshot records it only once the watermark is there.
	behind query.Offset
}

// recordable are the events that a snapshot made now would record.
func (m *model) recordable() (keys []eventKey) {
	for key, u := range m.unsaved {
		if u.resolved && u.behind <= m.watermark {
			keys = append(keys, key)
		}
	}
	return keys
}

func (m *model) recordableCount() (n int) {
	for _, u := range m.unsaved {
		n += count(u.resolved && u.behind <= m.watermark)
	}
	return n
}

// common is the part of the budget of unsaved events that is not kept for held ids and the window's front.
func (m *model) common() int { return m.cfg.MaxUnsaved - m.cfg.MaxHeld - 1 }

func (m *model) laneOf(id string) int { return int(query.SliceOf(id)) % m.cfg.Lanes }

// allowDispatch takes a batch, if everything in it may be sent.
func (m *model) allowDispatch(d Dispatch) {
	if m.phase != running || m.halted() {
		m.disagree("nothing is to be sent")
	}
	if !m.lanes[d.Lane] {
		m.disagree("lane %d is down", d.Lane)
	}
	b := &modelBatch{id: d.Batch, lane: d.Lane, until: m.now.Add(m.cfg.PublishTimeout)}
	if d.Batch == m.life.ledger.redrive.batch { // the effect does not tell
		m.allowRedrive(b, d)
	} else {
		for i := 0; i < len(d.Events); {
			i += m.allowPart(b, d, i)
		}
		if st := m.streams[b.events[0].PersistenceID]; m.waits(st) {
			m.allowDestinationProbe(b, st)
		} else if m.outage.on {
			m.allowProbe(b)
		}
	}
	m.batches = append(m.batches, b)
}

// allowPart takes what a batch carries of one id, from its i-th event on. It returns the number of events.
func (m *model) allowPart(b *modelBatch, d Dispatch, i int) int {
	id := d.Events[i].PersistenceID
	st := m.streams[id]
	n := 0
	for i+n < len(d.Events) && d.Events[i+n].PersistenceID == id {
		n++
	}
	sentBefore := slices.ContainsFunc(b.events, func(e *modelEvent) bool { return e.PersistenceID == id })
	switch {
	case st == nil || len(st.events) < n:
		m.disagree("%d events of %s are sent that do not wait", n, id)
	case m.inFlight(id) > 0 || sentBefore || m.redrive.batch != 0 && m.redrive.key.id == id:
		m.disagree("an event of %s is sent beside another", id)
	case st.parking:
		m.disagree("%s is sent, but what was given up on before is not saved", d.Events[i].ID())
	case st.stuck:
		m.disagree("%s is sent, but waits for an operator", d.Events[i].ID())
	case m.now.Before(st.soonest) && !(m.outage.on && !m.now.Before(st.notBefore)):
		m.disagree("%s is sent before its time", d.Events[i].ID())
	case m.waits(st) && len(d.Events) > 1:
		m.disagree("%s is sent with others, but waits for %q", d.Events[i].ID(), st.dest)
	case st.alone && len(d.Events) > 1:
		m.disagree("%s is not sent alone, and its outcome is unknown", d.Events[i].ID())
	case st.attempts > 0 && n > 1:
		m.disagree("%d events of %s are sent, and the first has failed", n, id)
	}
	if st.attempts == 0 {
		st.seen = m.rounds
	}
	for k := range n {
		e := st.events[k]
		if e.SequenceNumber != d.Events[i+k].SequenceNumber {
			m.disagree("%s is sent, but %d is next", d.Events[i+k].ID(), e.SequenceNumber)
		}
		m.send(st, e, k == 0)
		b.events = append(b.events, e)
	}
	return n
}

// send counts an event as unsaved when it is first sent. The whole budget is there for the first event of a held id,
// and for the window's front.
func (m *model) send(st *modelStream, e *modelEvent, first bool) {
	if m.sent[e.key()] {
		return
	}
	budget := m.common()
	if first && (st.held || len(m.window) > 0 && m.window[0] == e) {
		budget = m.cfg.MaxUnsaved
	}
	if len(m.unsaved) >= budget {
		m.disagree("%s/%d is sent as one more than %d unsaved events", e.PersistenceID, e.SequenceNumber, budget)
	}
	m.sent[e.key()], m.unsaved[e.key()] = true, &modelUnsaved{}
	e.sent = e.inWindow
}

func (m *model) batchAnswered(in Published) {
	if in.Generation != m.life.generation {
		return
	}
	if i := slices.IndexFunc(m.batches, func(b *modelBatch) bool { return b.id == in.Batch }); i >= 0 {
		m.endBatch(i, in)
	}
}

// loseBatches takes batches as unanswered for good, oldest first.
func (m *model) loseBatches(lost func(*modelBatch) bool, why string) {
	for i := 0; i < len(m.batches); {
		if lost(m.batches[i]) {
			m.endBatch(i, Published{Err: why})
		} else {
			i++
		}
	}
}

// endBatch takes a batch's outcome: per id what was delivered up to the first failure, then the failures.
func (m *model) endBatch(i int, in Published) {
	b := m.batches[i]
	m.batches = slices.Delete(m.batches, i, i+1)
	results := make([]Result, len(b.events))
	for i := range results {
		results[i] = Result{Outcome: in.Outcome, Err: in.Err}
		if i < len(in.Destinations) {
			results[i].Destination = in.Destinations[i]
		}
	}
	for _, r := range in.Results {
		if r.Destination == "" {
			r.Destination = results[r.Index].Destination
		}
		results[r.Index] = r
	}
	clear(m.heard)
	m.roundsBefore = m.rounds
	if b.redrive {
		m.redriven(results[0])
		return
	}
	failed := make(map[string]Result)
	var ids, heard []string // in order
	for i, e := range b.events {
		if !slices.Contains(ids, e.PersistenceID) {
			ids = append(ids, e.PersistenceID)
		}
		if _, stopped := failed[e.PersistenceID]; stopped {
			continue
		}
		st, r := m.streams[e.PersistenceID], results[i]
		if r.Destination == "" {
			r.Destination = st.dest
		}
		if r.Outcome != OK {
			failed[e.PersistenceID] = r
			continue
		}
		m.settle(st)
		heard = append(heard, r.Destination)
	}
	alive := len(heard) > 0
	if alive {
		m.success(heard...)
	}
	m.unjudged = maps.Clone(failed)
	for _, id := range ids {
		if r, did := failed[id]; did {
			st := m.streams[id]
			delete(m.unjudged, id)
			m.notDelivered(st, r, len(b.events) == 1, alive)
		}
	}
	m.probed(b.id)
	if alive {
		m.convict()
	}
	for _, id := range ids {
		m.afterBatch(m.streams[id])
	}
}

// settle takes the first event of an id as delivered.
func (m *model) settle(st *modelStream) {
	e := m.resolve(st)
	u := m.unsaved[e.key()]
	if u == nil {
		m.disagree("%s/%d is delivered, but does not count as unsaved", e.PersistenceID, e.SequenceNumber)
	}
	u.resolved = true
	if e.inWindow {
		u.behind = e.Offset
	}
	m.published++
}

// afterBatch gives back the place of a held id that has nothing in memory.
func (m *model) afterBatch(st *modelStream) {
	st.active = st.active && (!st.held || len(st.events) > 0)
}
