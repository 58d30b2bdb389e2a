package ledger

import (
	"slices"
	"time"
)

// outage is the judgement on the sink: when many distinct streams have failed and none has succeeded since, it
// is not them. While it lasts, no stream becomes held and no attempt counts; one event at a time probes whether it is
// over. Those who failed and those who were not tried take turns, and so that there is somebody to try, the feed is
// read until there is: a few ids that fail for good must not pass for a sink that is down. Only where they fill the
// window is the front held all the same.
type outage struct {
	on      bool
	heardIn uint64   // the round in which something last got through for which no destination was named
	blamed  []string // ids that have failed since
	probing uint64   // the batch that probes, 0 if none does
	failed  int      // probes in a row
	turn    bool     // of those that were not tried
	probeAt time.Time
}

// blame counts the stream among those that have failed since the last success; a stream that has already failed where
// others got through says nothing about the sink.
func (l *Ledger) blame(st *stream) {
	if st.dest != nil {
		l.blameAt(st.dest, st)
		return
	}
	o := &l.outage
	if st.convicted || slices.Contains(o.blamed, st.id) {
		return
	}
	o.blamed = append(o.blamed, st.id)
	if len(o.blamed) >= l.cfg.OutageAfter {
		o.on, o.failed, o.probing = true, 1, 0
		o.probeAt = l.now.Add(l.cfg.Backoff(1))
		l.notice(NoticeOutageBegan, st.id, st.next, st.lastErr)
	}
}

// gotThrough takes note that something was delivered, or refused for good, at destinations, "" where no name was given.
func (l *Ledger) gotThrough(destinations ...string) {
	l.round++
	l.heard = append(l.heard, destinations...)
	for _, name := range destinations {
		if name == "" {
			l.outage.heardIn = l.round
		} else {
			l.heardFrom(name)
		}
	}
	l.sinkIsAlive()
}

// sinkIsAlive ends an outage and acquits everybody who was blamed.
func (l *Ledger) sinkIsAlive() {
	o := &l.outage
	o.blamed = o.blamed[:0]
	if !o.on {
		return
	}
	o.on, o.probing = false, 0
	l.notice(NoticeOutageEnded, "", 0, "")
	l.window.frontSince = l.now
	failing := l.failing
	l.failing = nil
	for _, st := range failing {
		if st.waits() {
			l.failing = append(l.failing, st)
			continue
		}
		st.retryAt = st.notBefore
		if st.failing = l.now.Before(st.notBefore); st.failing {
			l.failing = append(l.failing, st)
		}
	}
	for _, st := range failing {
		l.wantCatchUp(st)
		l.makeReady(st)
	}
}

// probed takes the outcome of a probe that did not get through. Only probes make the next one wait longer: whatever
// else was in flight when the outage began says nothing new.
func (l *Ledger) probed() {
	o := &l.outage
	o.probing = 0
	if o.on {
		o.failed++
		o.probeAt = l.now.Add(l.cfg.Backoff(o.failed))
	}
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
	if st := l.probeFailing(); st != nil {
		return st
	}
	return l.probeUntried()
}

// probeFailing returns the stream whose last probe is the longest ago, of those in memory, and has the first of the
// others read for a later one.
func (l *Ledger) probeFailing() *stream {
	for _, st := range l.failing {
		if st.held && len(st.queue) == 0 && st.reading == 0 && !st.wanted && !st.waits() && !l.now.Before(st.notBefore) {
			st.retryAt = time.Time{}
			l.wantCatchUp(st)
			break
		}
	}
	for _, st := range l.failing {
		if l.lanes[st.lane].up && st.sent == 0 && !st.parking && !st.redriving && !st.waits() && len(st.queue) > 0 && !l.now.Before(st.notBefore) {
			l.failing = append(remove(l.failing, st), st)
			return st
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
	for _, st := range l.reserved() {
		if l.lanes[st.lane].up && st.dispatchable(l.now) && !st.failing {
			return st
		}
	}
	return nil
}

// others reports whether somebody is left to be tried who could tell that it is not the sink. Nobody is if all in memory
// have failed and there is no room to read more, or no budget to send it.
func (l *Ledger) others() bool {
	if l.untried() {
		return l.unsaved < l.common() || l.probeUntried() != nil
	}
	_, room := l.room()
	return room
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
