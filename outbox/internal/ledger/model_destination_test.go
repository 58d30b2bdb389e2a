package ledger

import "time"

// modelDestination is what is known of a destination while something that failed there is unresolved.
type modelDestination struct {
	name    string
	blamed  map[string]bool // ids that have failed alone since the last success
	heardIn int             // the round of that, 0 if it is not known
	out     bool
	probe   string // the id that is being read or sent
	probes  int    // in a row that have failed
	soonest time.Time
}

// waits reports whether the id's destination is out.
func (m *model) waits(st *modelStream) bool {
	d := m.destinations[st.dest]
	return d != nil && d.out
}

// heardOf reports whether the present answer has good news of where the id's event goes, or that is not known.
func (m *model) heardOf(st *modelStream) bool {
	d := m.destinations[st.dest]
	return d == nil || d.heardIn > m.roundsBefore
}

// failAt notes where an id's first event has failed.
func (m *model) failAt(st *modelStream, name string) {
	if st.dest == name {
		return
	}
	m.leave(st)
	if name == "" {
		return
	}
	if m.destinations[name] == nil {
		m.destinations[name] = &modelDestination{name: name, blamed: make(map[string]bool), heardIn: count(m.heard[name]) * m.rounds}
	}
	st.dest, st.convicted = name, false
}

// leave takes an id from where it has failed. A destination where nobody has failed is forgotten.
func (m *model) leave(st *modelStream) {
	d := m.destinations[st.dest]
	if d == nil {
		return
	}
	st.dest, st.convicted = "", false
	if d.probe == st.id {
		d.probe = ""
	}
	for _, other := range m.streams {
		if other.dest == d.name {
			return
		}
	}
	m.endOutageOf(d)
	delete(m.destinations, d.name)
}

// blameAt lays a failure to its destination.
func (m *model) blameAt(d *modelDestination, st *modelStream) {
	d.blamed[st.id] = true
	if len(d.blamed) < m.cfg.OutageAfter {
		return
	}
	d.out, d.probe, d.probes, d.soonest = true, "", 1, m.now.Add(m.cfg.Backoff(1))
	m.notices = append(m.notices, Notice{Kind: NoticeOutageBegan, PersistenceID: st.id, SequenceNumber: st.next, Destination: d.name})
	for _, other := range m.streams {
		if other.dest == d.name {
			m.setAside(other)
		}
	}
}

// setAside has an id wait, unless it is in flight.
func (m *model) setAside(st *modelStream) {
	if _, later := m.unjudged[st.id]; later || m.inFlight(st.id) > 0 {
		return
	}
	st.soonest, st.failing, st.asideIn = st.notBefore, true, m.steps
	m.letWait(st)
}

// checkAside sees that those who have come to wait in this step are held, as long as there was a place.
func (m *model) checkAside() {
	for _, st := range m.streams {
		if st.asideIn == m.steps && m.waits(st) && !st.held && m.wereHeld < m.cfg.MaxHeld {
			m.disagree("%s waits for %q in everybody's way", st.id, st.dest)
		}
	}
}

// letWait takes a held id out of memory.
func (m *model) letWait(st *modelStream) {
	if st.held && len(st.events) > 0 && m.inFlight(st.id) == 0 {
		st.letGo()
		st.active = false
	}
}

// endOutageOf lets those go on who have waited.
func (m *model) endOutageOf(d *modelDestination) {
	if !d.out {
		return
	}
	d.out, d.probe = false, ""
	m.notices = append(m.notices, Notice{Kind: NoticeOutageEnded, Destination: d.name})
	m.frontSince = m.now
	for _, st := range m.streams {
		if st.dest == d.name {
			st.soonest, st.failing = st.notBefore, m.now.Before(st.notBefore)
		}
	}
}

// allowChoice has an id be the probe of its destination, if there is none.
func (m *model) allowChoice(st *modelStream) {
	d := m.destinations[st.dest]
	switch {
	case d.probe == st.id:
	case d.probe != "":
		m.disagree("%s is a second probe of %q, beside %s", st.id, d.name, d.probe)
	case m.now.Before(d.soonest):
		m.disagree("%s probes %q before its time", st.id, d.name)
	}
	d.probe = st.id
	probes := 0
	for _, d := range m.destinations {
		probes += count(d.probe != "")
	}
	if probes > max(1, m.cfg.CatchUps/2) {
		m.disagree("%d destinations are probed at a time", probes)
	}
}

// allowDestinationProbe takes a batch of somebody who waits.
func (m *model) allowDestinationProbe(b *modelBatch, st *modelStream) {
	if len(b.events) != 1 {
		m.disagree("%d events are sent to %q, which is out", len(b.events), st.dest)
	}
	m.allowChoice(st)
	st.alone = true
}

// probeFailed takes a probe as failed, if it is one.
func (m *model) probeFailed(st *modelStream, retryAfter time.Duration) {
	if d := m.destinations[st.dest]; d.probe == st.id {
		d.probe = ""
		d.probes++
		d.soonest = m.now.Add(max(m.cfg.Backoff(d.probes), retryAfter))
	}
}

// dropProbes takes back the probes that cannot be sent, as their lane is down.
func (m *model) dropProbes() {
	for _, d := range m.destinations {
		if d.probe != "" && m.inFlight(d.probe) == 0 && !m.lanes[m.laneOf(d.probe)] {
			m.letWait(m.streams[d.probe])
			d.probe = ""
		}
	}
}
