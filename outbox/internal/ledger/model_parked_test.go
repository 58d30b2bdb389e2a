package ledger

import (
	"slices"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// find returns the entry of an event that was given up on, nil if there is none.
func (m *model) find(key eventKey) *ParkedEvent {
	for i := range m.parked {
		if p := &m.parked[i]; p.PersistenceID == key.id && p.SequenceNumber == key.seq {
			return p
		}
	}
	return nil
}

func (m *model) isGivenUp(e *query.Event) bool {
	p := m.find(eventKey{e.PersistenceID, e.SequenceNumber})
	return p != nil && p.UID == e.UID
}

// unresolved is the number of parked events.
func (m *model) unresolved() (n int) {
	for i := range m.parked {
		n += count(m.parked[i].Resolution == Unresolved)
	}
	return n
}

// dropResolved forgets the resolved entries that the watermark and, if it is held, their id have passed.
func (m *model) dropResolved() {
	m.parked = slices.DeleteFunc(m.parked, func(p ParkedEvent) bool {
		st := m.streams[p.PersistenceID]
		return p.Resolution != Unresolved && p.Offset <= m.watermark && !(st != nil && st.held && st.next <= p.SequenceNumber)
	})
}

// giveUpByRule does what the rule says about an event that can never be published. It reports whether that was possible.
func (m *model) giveUpByRule(st *modelStream) bool {
	switch {
	case m.cfg.OnPoison == Hold:
		m.leave(st)
		st.stuck, st.failing = true, false
		m.due(NoticeStuck, st.id, st.front())
		if st.held {
			st.letGo()
		}
	case m.cfg.OnPoison == SkipOver:
		m.skip(st)
		m.confirm(st, nil)
	case m.unresolved() >= m.cfg.MaxParked:
		return false
	default:
		e := m.giveUp(st)
		m.parked = append(m.parked, ParkedEvent{Pointer: e.Pointer, At: m.now})
		m.due(NoticeParked, st.id, e.SequenceNumber)
		m.confirm(st, nil)
	}
	return true
}

// giveUp resolves the first event of an id without its being published.
func (m *model) giveUp(st *modelStream) *modelEvent {
	e := m.resolve(st)
	if u := m.unsaved[e.key()]; u != nil {
		u.resolved = true
	}
	return e
}

// skip lets go of the first event of an id. While the watermark is behind it, it is remembered.
func (m *model) skip(st *modelStream) {
	e := m.giveUp(st)
	if e.inWindow {
		m.parked = append(m.parked, ParkedEvent{Pointer: e.Pointer, At: m.now, Resolution: Skipped})
	}
	m.wasSkipped(e.key())
}

func (m *model) wasSkipped(key eventKey) {
	m.skipped++
	m.due(NoticeSkipped, key.id, key.seq)
	m.awaited = slices.DeleteFunc(m.awaited, func(w AwaitSettled) bool {
		if w.PersistenceID != key.id || w.SequenceNumber != key.seq {
			return false
		}
		m.reply(Reply{Token: w.Token, Err: &SkippedError{}})
		return true
	})
}

// modelRedrive is the sending of parked events once more.
type modelRedrive struct {
	jobs  []redriveJob
	key   eventKey
	wants bool // to be read in this step
	read  modelRead
	event bool   // read, and not yet answered
	batch uint64 // unanswered
}

// goOnRedriving decides which event comes next, if none is at work.
func (m *model) goOnRedriving() {
	r := &m.redrive
	for len(r.jobs) > 0 && r.read.id == 0 && !r.event && !r.wants {
		j := &r.jobs[0]
		if len(j.keys) == 0 {
			m.finishRedrive()
			continue
		}
		r.key, j.keys = j.keys[0], j.keys[1:]
		p := m.find(r.key)
		behind := slices.ContainsFunc(j.failed, func(k eventKey) bool { return k.id == r.key.id })
		r.wants = p != nil && p.Resolution == Unresolved && !behind
	}
}

func (m *model) finishRedrive() {
	j := m.redrive.jobs[0]
	m.redrive.jobs = m.redrive.jobs[1:]
	reply := Reply{Token: j.token, Count: j.delivered}
	if len(j.failed) > 0 {
		reply.Err = ErrNotRedriven
	}
	if j.delivered == 0 && len(j.failed) == 0 {
		m.reply(reply)
		return
	}
	m.confirm(nil, &reply)
}

func (m *model) allowReadParked(e ReadStream) {
	r := &m.redrive
	if !r.wants || r.key != (eventKey{e.PersistenceID, e.From}) {
		m.disagree("%s/%d is read, which is not the next to be sent once more", e.PersistenceID, e.From)
	}
	r.wants, r.read = false, modelRead{id: e.Read, until: m.now.Add(m.cfg.ReadTimeout)}
}

func (m *model) parkedRead(events []query.Event) {
	r := &m.redrive
	r.read = modelRead{}
	p := m.find(r.key)
	if len(events) == 0 || p == nil || events[0].SequenceNumber != r.key.seq || events[0].UID != p.UID {
		m.redriveFailed()
		return
	}
	r.event = true
}

// allowRedrive takes a batch with a parked event: nothing else of its id may be in flight, or being saved.
func (m *model) allowRedrive(b *modelBatch, d Dispatch) {
	r := &m.redrive
	st := m.streams[r.key.id]
	p := m.find(r.key)
	e := d.Events[0]
	switch {
	case len(d.Events) != 1 || r.key != (eventKey{e.PersistenceID, e.SequenceNumber}) || !r.event || r.batch != 0:
		m.disagree("%s is sent once more, which is not its turn", e.ID())
	case p == nil || p.Resolution != Unresolved:
		m.disagree("%s is sent once more, but is not parked", e.ID())
	case m.inFlight(r.key.id) > 0 || st != nil && st.parking:
		m.disagree("%s is sent once more beside an event of its id", e.ID())
	}
	r.batch, b.redrive = d.Batch, true
	b.events = []*modelEvent{{Pointer: pointerTo(e)}}
}

func (m *model) redriven(result Result) {
	r := &m.redrive
	r.batch, r.event = 0, false
	m.saves.changed = true
	if result.Outcome != OK {
		m.redriveFailed()
		return
	}
	m.success(result.Destination)
	m.find(r.key).Resolution = Redriven
	m.dropResolved()
	m.published++
	m.due(NoticeRedriven, r.key.id, r.key.seq)
	if len(r.jobs) > 0 {
		r.jobs[0].delivered++
	}
}

func (m *model) redriveFailed() {
	if r := &m.redrive; len(r.jobs) > 0 {
		r.jobs[0].failed = append(r.jobs[0].failed, r.key)
	}
}
