package ledger

import "time"

// modelOutage is the judgement on the sink.
type modelOutage struct {
	on      bool
	blamed  map[string]bool // ids that have failed alone since the last success
	heardIn int             // the round of the last success without a name
	probe   uint64          // unanswered
	probes  int             // in a row that have failed
	soonest time.Time
}

// notDelivered judges the first event of an id that was not delivered.
func (m *model) notDelivered(st *modelStream, r Result, alone, alive bool) {
	switch {
	case r.Outcome == Permanent:
		m.success(r.Destination) // it has answered
		if !m.giveUpByRule(st) {
			m.failAt(st, r.Destination)
			m.fail(st, 0)
		}
	case r.Outcome == Retry || alone:
		m.failAt(st, r.Destination)
		st.convicted = st.convicted || alive && r.Outcome == Retry && m.heardOf(st)
		m.fail(st, r.RetryAfter)
	default:
		st.alone = true
		if st.held {
			st.letGo()
		}
		if m.waits(st) {
			m.setAside(st)
		}
	}
}

// fail counts a failure of one event, unless there is an outage: then it says nothing about the event.
func (m *model) fail(st *modelStream, retryAfter time.Duration) {
	if !m.outage.on && !m.waits(st) {
		st.attempts++
		heardIn := m.outage.heardIn
		if d := m.destinations[st.dest]; d != nil {
			heardIn = d.heardIn
		}
		if heardIn > st.seen {
			st.seen = m.rounds
			st.counted++
		}
		if m.cfg.MaxAttempts > 0 && st.counted >= m.cfg.MaxAttempts && m.giveUpByRule(st) {
			return
		}
	}
	if st.held {
		st.letGo()
	}
	if retryAfter > 0 {
		st.notBefore = m.now.Add(retryAfter)
	}
	if m.waits(st) {
		m.probeFailed(st, retryAfter)
		m.setAside(st)
		return
	}
	if m.outage.on {
		m.putOff(st, retryAfter)
		return
	}
	m.putOff(st, max(m.cfg.Backoff(st.attempts), retryAfter))
	if st.convicted {
		return
	}
	if d := m.destinations[st.dest]; d != nil {
		m.blameAt(d, st)
		return
	}
	m.outage.blamed[st.id] = true
	if len(m.outage.blamed) >= m.cfg.OutageAfter {
		m.outage.on, m.outage.probe, m.outage.probes = true, 0, 1
		m.outage.soonest = m.now.Add(m.cfg.Backoff(1))
		m.due(NoticeOutageBegan, st.id, st.next)
	}
}

// success ends an outage, and acquits those who were blamed for it.
func (m *model) success(destinations ...string) {
	o := &m.outage
	m.rounds++
	for _, name := range destinations {
		m.heard[name] = true
		if name == "" {
			o.heardIn = m.rounds
		} else if d := m.destinations[name]; d != nil {
			d.heardIn = m.rounds
			clear(d.blamed)
			m.endOutageOf(d)
		}
	}
	clear(o.blamed)
	if !o.on {
		return
	}
	o.on, o.probe = false, 0
	m.due(NoticeOutageEnded, "", 0)
	m.frontSince = m.now
	for _, st := range m.streams {
		if st.failing && !m.waits(st) {
			st.soonest = st.notBefore
			st.failing = m.now.Before(st.notBefore)
		}
	}
}

// convict notes that ids have failed where others got through.
func (m *model) convict() {
	if m.outage.on {
		return
	}
	m.alive = true
	for _, st := range m.streams {
		st.convicted = st.convicted || st.failing && m.heardOf(st)
	}
}

// untried reports whether something waits to be sent of an id that has not failed.
func (m *model) untried() bool {
	for id, st := range m.streams {
		redriven := m.redrive.batch != 0 && m.redrive.key.id == id
		if len(st.events) > 0 && !st.failing && !st.stuck && !st.parking && !redriven && m.inFlight(id) == 0 {
			return true
		}
	}
	return false
}

// allowProbe takes a batch during an outage.
func (m *model) allowProbe(b *modelBatch) {
	switch {
	case len(b.events) != 1:
		m.disagree("%d events are sent in an outage", len(b.events))
	case m.outage.probe != 0:
		m.disagree("a second probe is sent")
	case m.now.Before(m.outage.soonest):
		m.disagree("a probe is sent before its time")
	}
	m.outage.probe = b.id
	m.streams[b.events[0].PersistenceID].alone = true
}

// probed takes a probe as failed, if the outage goes on.
func (m *model) probed(batch uint64) {
	if o := &m.outage; o.probe == batch {
		o.probe = 0
		if o.on {
			o.probes++
			o.soonest = m.now.Add(m.cfg.Backoff(o.probes))
		}
	}
}
