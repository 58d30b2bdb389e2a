package ledger

import (
	"slices"
	"time"
)

// heldCount is the number of held ids.
func (m *model) heldCount() (n int) {
	for _, st := range m.streams {
		n += count(st.held)
	}
	return n
}

// place reports whether one more id may be held. Those who do not pin the watermark may use half of the places, with
// the ids that are ahead; one of these has a place.
func (m *model) place(st *modelStream, pins bool) bool {
	ahead := 0
	for _, st := range m.streams {
		ahead += count(st.ahead)
	}
	held := m.heldCount()
	return held < m.cfg.MaxHeld && (pins || st.ahead || held+ahead < m.cfg.MaxHeld/2)
}

// allowHold has an id held, if there is a reason and a place.
func (m *model) allowHold(id string) {
	st := m.streams[id]
	if st != nil && m.drainPinned() && slices.Contains(m.gapsBefore(m.window[0].Offset), st) {
		m.allowHoldOfGap(st)
		return
	}
	if st == nil || st.held || len(st.events) == 0 {
		m.disagree("%s is held, of which nothing waits in the feed", id)
	}
	if why := m.holdable(st); why != "" {
		m.disagree("%s is held, but %s", id, why)
	}
	m.hold(st, st.events[len(st.events)-1].SequenceNumber)
}

// allowHoldOfGap has a drain hold an id of which an event may be missing, when nothing else keeps it from recording what
// is settled behind.
func (m *model) allowHoldOfGap(st *modelStream) {
	m.answer()
	if st.held || st.parking || !m.place(st, true) || !(m.window[0].resolved || !m.window[0].inWindow) {
		m.disagree("%s is held, but that does not help the drain", st.id)
	}
	m.hold(st, st.last)
}

// holdable returns why the id must not be held.
func (m *model) holdable(st *modelStream) string {
	front := len(m.window) > 0 && m.window[0].PersistenceID == st.id
	_, room := m.room()
	exhausted := len(m.unsaved) >= m.common()
	switch {
	case st.parking:
		return "its next event waits for a save"
	case m.waits(st), st.asideIn == m.steps:
		if !m.place(st, true) {
			return "there is no place"
		}
	case front && m.drainPinned():
		m.answer() // those who wait are answered before
		if !m.place(st, true) {
			return "there is no place"
		}
	case st.stuck, front && m.now.Sub(m.frontSince) >= m.cfg.HoldAfter && (!m.outage.on || !room || exhausted):
		if !m.place(st, true) {
			return "there is no place"
		}
	case m.alive && st.failing && !m.outage.on && m.inFlight(st.id) == 0,
		front && !m.sent[m.window[0].key()] && (exhausted || !room && !m.lanes[m.laneOf(st.id)]):
		if !m.place(st, st.aheadIn == m.steps) { // it may have been held before the watermark moved
			return "there is no place"
		}
	default:
		return "there is no reason"
	}
	return ""
}

// drainPinned reports whether what a drain will not send any more keeps it from recording what is settled behind it.
func (m *model) drainPinned() bool {
	behind := false
	for _, u := range m.unsaved {
		behind = behind || u.resolved && u.behind > m.watermark
	}
	return m.phase == draining && len(m.batches) == 0 && !m.rewind.begun && !m.saves.basing && behind
}

// hold takes an id out of the feed's way.
func (m *model) hold(st *modelStream, through int64) {
	m.wereHeld++
	m.saves.changed = true
	st.ahead = false
	st.held, st.verified, st.through = true, m.gaps[st] == 0, through
	delete(m.gaps, st)
	if len(st.events) > 0 {
		st.settledOffset = max(st.settledOffset, st.events[0].Offset-1)
		st.next = st.events[0].SequenceNumber
	}
	for _, e := range st.events {
		e.inWindow = false
	}
	st.events = st.events[:m.inFlight(st.id)]
	st.readFrom = st.next
	if n := len(st.events); n > 0 {
		st.readFrom = st.events[n-1].SequenceNumber + 1
	}
	m.advance()
}

// restore has the ids of a snapshot held.
func (m *model) restore(held []HeldStream) {
	for _, h := range held {
		st := m.newStream(h.PersistenceID, h.Next)
		st.held, st.settledOffset, st.readFrom = true, h.SettledOffset, h.Next
	}
}

// caughtUp reports whether the id is resolved through everything that the feed passed over.
func (m *model) caughtUp(st *modelStream) bool {
	return st.held && st.verified && st.next > st.through && len(st.events) == 0 && m.reads[st.id].id == 0 && !st.parking && !st.stuck
}

// allowRejoin has an id follow the feed again, if it has caught up.
func (m *model) allowRejoin(id string) {
	st := m.streams[id]
	if st == nil || !m.caughtUp(st) {
		m.disagree("%s rejoins the feed, but has not caught up", id)
	}
	st.held, st.verified, st.active, st.failing, st.through = false, false, false, false, 0
	if st.next > st.last+1 {
		st.last, st.lastOffset = st.next-1, st.settledOffset
	}
	m.saves.changed = true
	if st.settledOffset > m.watermark {
		st.ahead, st.aheadNext, st.aheadOffset = true, st.next, st.settledOffset
	}
	m.forget()
	m.dropResolved()
}

func (m *model) allowReadStream(e ReadStream) {
	if m.phase != running || m.halted() {
		m.disagree("%s is not to be read", e.PersistenceID)
	}
	if e.Read == m.life.ledger.redrive.read { // the effect does not tell
		m.allowReadParked(e)
		return
	}
	st := m.streams[e.PersistenceID]
	active := 0
	for _, st := range m.streams {
		active += count(st.active)
	}
	switch {
	case st == nil || !st.held:
		m.disagree("%s is read, but not held", e.PersistenceID)
	case m.reads[st.id].id != 0 || len(st.events) > 0 || st.parking || st.stuck:
		m.disagree("%s is read at the wrong moment", st.id)
	case m.now.Before(st.soonest) && !m.outage.on:
		m.disagree("%s is read before its time", st.id)
	case active >= m.cfg.CatchUps:
		m.disagree("%s is read, but %d ids catch up already", st.id, active)
	case e.From != st.readFrom:
		m.disagree("%s is read from %d, not from %d", st.id, e.From, st.readFrom)
	}
	if m.waits(st) {
		m.allowChoice(st)
	}
	if m.now.Before(st.soonest) {
		st.soonest = time.Time{} // the outage has it read, to be sent when it can be
	}
	st.active = true
	m.reads[st.id] = modelRead{id: e.Read, through: st.through, until: m.now.Add(m.cfg.ReadTimeout)}
}

// takeRead returns the id and the read that is answered; the id is nil if the read is not waited for.
func (m *model) takeRead(read uint64) (*modelStream, modelRead) {
	for id, r := range m.reads {
		if r.id == read {
			delete(m.reads, id)
			return m.streams[id], r
		}
	}
	return nil, modelRead{}
}

// streamPage takes the events of a held id. Those beyond the feed's position are the feed's to show.
func (m *model) streamPage(in StreamPage) {
	if in.Read == m.redrive.read.id && in.Read != 0 {
		m.parkedRead(in.Events)
		return
	}
	st, r := m.takeRead(in.Read)
	if st == nil {
		return
	}
	st.readFailures = 0
	complete := !in.More
	for i := range in.Events {
		e := &in.Events[i]
		if e.Offset > m.position {
			complete = true
			break
		}
		if e.SequenceNumber < st.readFrom {
			continue
		}
		if e.SequenceNumber > st.readFrom {
			m.due(NoticeMissing, st.id, st.readFrom)
		}
		st.readFrom = e.SequenceNumber + 1
		if m.cfg.Filter.Matches(e) && !m.isGivenUp(e) {
			st.through = max(st.through, e.SequenceNumber)
			st.push(e, false)
		}
	}
	st.verified = st.verified || complete
	if len(st.events) > 0 {
		m.skipGone(st, st.front())
		m.recordMissing(st)
		if m.waits(st) && m.destinations[st.dest].probe != st.id {
			m.letWait(st)
		}
		return
	}
	st.active = false
	if complete && st.readFrom <= r.through {
		m.due(NoticeMissing, st.id, st.readFrom)
		st.readFrom = r.through + 1
	}
	if st.readFrom > st.through {
		m.skipGone(st, st.readFrom)
	}
	m.recordMissing(st)
}

// skipGone goes on to an event beyond the next one, whose failures do not count against it.
func (m *model) skipGone(st *modelStream, next int64) {
	if next > st.next {
		st.next = next
		m.acquit(st)
	}
}

// recordMissing takes what was sent of an id and is gone from the journal for recordable, once nothing is left of it that
// was sent and is still to be settled.
func (m *model) recordMissing(st *modelStream) {
	var gone []*modelUnsaved
	for key, u := range m.unsaved {
		switch {
		case key.id != st.id || u.resolved:
		case key.seq >= st.next:
			return
		default:
			gone = append(gone, u)
		}
	}
	for _, u := range gone {
		u.resolved = true
	}
}

func (m *model) streamFailed(read uint64) {
	if read == m.redrive.read.id && read != 0 {
		m.redrive.read = modelRead{}
		m.redriveFailed()
		return
	}
	if st, _ := m.takeRead(read); st != nil {
		st.active = false
		st.readFailures++
		m.putOff(st, m.cfg.Backoff(st.readFailures))
		if d := m.destinations[st.dest]; m.waits(st) && d.probe == st.id {
			d.probe, d.soonest = "", st.soonest
		}
	}
}

// putOff lets an id wait.
func (m *model) putOff(st *modelStream, d time.Duration) {
	st.failing, st.soonest = true, m.now.Add(d)
}

// letGo forgets the events of a held id, which are read again.
func (st *modelStream) letGo() {
	st.next = st.front()
	st.readFrom = st.next
	st.events = nil
}
