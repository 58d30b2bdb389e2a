package ledger

import "time"

// outage is the judgement on the sink: when many distinct streams have failed and none has succeeded since, it
// is not them. While it lasts, no stream becomes held and no attempt counts; one event at a time probes whether it is
// over. Those who failed and those who were not tried take turns, and so that there is somebody to try, the feed is
// read until there is: a few ids that fail for good must not pass for a sink that is down.
type outage struct {
	on      bool
	round   uint64 // grows with every success; see stream.blamedIn
	blamed  int    // streams that have failed in this round
	probing uint64 // the batch that probes, 0 if none does
	failed  int    // probes in a row
	turn    bool   // of those that were not tried
	probeAt time.Time
}

// blame counts the stream among those that have failed since the last success.
func (l *Ledger) blame(st *stream) {
	o := &l.outage
	if st.blamedIn == o.round+1 {
		return
	}
	st.blamedIn = o.round + 1
	o.blamed++
	if o.blamed >= l.cfg.OutageAfter {
		o.on, o.failed, o.probing = true, 1, 0
		o.probeAt = l.now.Add(l.backoff(1))
		l.notice(NoticeOutageBegan, st.id, st.next, st.lastErr)
	}
}

// sinkIsAlive ends an outage and acquits everybody who was blamed.
func (l *Ledger) sinkIsAlive() {
	o := &l.outage
	o.round++
	o.blamed = 0
	if !o.on {
		return
	}
	o.on, o.probing = false, 0
	l.notice(NoticeOutageEnded, "", 0, "")
	l.window.frontSince = l.now
	failing := l.failing
	l.failing = nil
	for _, st := range failing {
		st.failing, st.retryAt = false, time.Time{}
	}
	for _, st := range failing {
		l.wantCatchUp(st)
		l.makeReady(st)
	}
}

func (l *Ledger) probeFailed(st *stream, retryAfter time.Duration) {
	o := &l.outage
	o.failed++
	o.probeAt = l.now.Add(max(l.backoff(o.failed), retryAfter))
	l.putOff(st, 0)
}

// probe sends one event, each time of another stream.
func (l *Ledger) probe() {
	o := &l.outage
	if o.probing != 0 || l.now.Before(o.probeAt) {
		return
	}
	st := l.probeCandidate()
	if st == nil {
		return
	}
	o.turn = !o.turn
	st.alone = true // whatever comes of it is laid at the door of this one event
	if l.take(st, 1, 0, true) == 0 {
		return // no budget; those who are sent anew need none
	}
	l.unready(st)
	b := &batch{lane: st.lane, again: true, events: 1, parts: []part{{st: st, n: 1}}}
	l.dispatch(b)
	o.probing = b.id
}

func (l *Ledger) probeCandidate() *stream {
	if l.outage.turn {
		if st := l.probeUntried(); st != nil {
			return st
		}
	}
	for _, st := range l.failing {
		if l.lanes[st.lane].up && st.sent == 0 && !st.parking && len(st.queue) > 0 {
			l.failing = append(remove(l.failing, st), st)
			return st
		}
	}
	if st := l.probeUntried(); st != nil {
		return st
	}
	// Nothing is in memory: let a held stream read.
	for _, st := range l.failing {
		if st.held && st.reading == 0 {
			st.retryAt = time.Time{}
			l.wantCatchUp(st)
			return nil
		}
	}
	return nil
}

// probeUntried returns a stream that has not failed since it last succeeded.
func (l *Ledger) probeUntried() *stream {
	for i := range l.lanes {
		la := &l.lanes[i]
		if !la.up {
			continue
		}
		if st := la.again.untried(l.now); st != nil {
			return st
		}
		if st := la.fresh.untried(l.now); st != nil && l.unsaved < l.budget(st, 0) {
			return st
		}
	}
	return nil
}

// untried reports whether some stream in memory has yet to be tried.
func (l *Ledger) untried() bool {
	for i := range l.lanes {
		if la := &l.lanes[i]; la.again.untried(l.now) != nil || la.fresh.untried(l.now) != nil {
			return true
		}
	}
	return false
}

// untried is next, but passes over those who have failed: when the outage ends, they come back.
func (q *streamQueue) untried(now time.Time) *stream {
	st := q.next(now)
	for ; st != nil && st.failing; st = q.next(now) {
		q.drop()
		st.ready = false
	}
	return st
}
