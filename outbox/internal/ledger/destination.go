package ledger

import (
	"slices"
	"time"
)

// destination is a place that a publisher names, of which something has failed: it is forgotten once nothing waits there.
// What is known of one says nothing about the others. Where no name is given, the judgement is outage's.
//
// When as many streams have failed at it as make an outage, and none has got through since, it is out: its streams are
// held, so that nobody waits for it, their failures no longer count, and none is tried again but one at a time, which
// probes whether it is over. What it delivers next, or refuses for good, ends that, and all go on. A stream whose
// destination is not known yet, because its next event was never tried, is tried, and comes to wait with the others.
type destination struct {
	name string
	// waiting are the streams whose first event has last failed here, the one whose probe is the longest ago first.
	waiting []*stream
	blamed  []string // ids that have failed since something last got through
	heardIn uint64   // the round in which something last got through, 0 if that is not known
	lastErr string

	out     bool
	since   time.Time
	probe   *stream // is being read or sent, nil if none is
	failed  int     // probes in a row
	probeAt time.Time
}

// waits reports whether the stream's next event goes to a destination that is out: nothing of it is sent but as a probe.
func (st *stream) waits() bool { return st.dest != nil && st.dest.out }

// probes reports whether the stream is the probe of its destination.
func (st *stream) probes() bool { return st.dest != nil && st.dest.probe == st }

// failedAt notes where the stream's first event has failed.
func (l *Ledger) failedAt(st *stream, r Result) {
	if st.dest != nil && st.dest.name == r.Destination {
		return
	}
	l.leave(st)
	if r.Destination == "" {
		return
	}
	d := l.destinations[r.Destination]
	if d == nil {
		d = &destination{name: r.Destination}
		if slices.Contains(l.heard, d.name) {
			d.heardIn = l.round
		}
		if l.destinations == nil {
			l.destinations = make(map[string]*destination)
		}
		l.destinations[d.name] = d
	}
	st.dest, st.convicted = d, false
	d.waiting = append(d.waiting, st)
}

// leave takes the stream from where it waits: its first event is resolved, or goes elsewhere.
func (l *Ledger) leave(st *stream) {
	d := st.dest
	if d == nil {
		return
	}
	st.dest, st.convicted = nil, false
	d.waiting = remove(d.waiting, st)
	if d.probe == st {
		d.probe = nil
	}
	if len(d.waiting) == 0 {
		l.endOutageOf(d)
		delete(l.destinations, d.name)
	}
}

// heardFrom ends the outage of a destination, and acquits all who were blamed there: something got through.
func (l *Ledger) heardFrom(name string) {
	d := l.destinations[name]
	if d == nil {
		return
	}
	d.heardIn = l.round
	d.blamed = d.blamed[:0]
	l.endOutageOf(d)
}

// blameAt counts the stream among those that have failed at its destination since something last got through there.
func (l *Ledger) blameAt(d *destination, st *stream) {
	if d.out || st.convicted || slices.Contains(d.blamed, st.id) {
		return
	}
	d.blamed = append(d.blamed, st.id)
	if len(d.blamed) < l.cfg.OutageAfter {
		return
	}
	d.out, d.since, d.failed, d.probe = true, l.now, 0, nil
	d.probeAt = l.now.Add(l.cfg.Backoff(1))
	l.out = append(l.out, d)
	l.emit(Notice{Kind: NoticeOutageBegan, PersistenceID: st.id, SequenceNumber: st.next, Destination: d.name, Err: st.lastErr})
	for _, other := range d.waiting {
		l.setAside(other)
	}
}

// setAside has a stream wait for the end of its destination's outage, in nobody's way.
func (l *Ledger) setAside(st *stream) {
	if st.sent > 0 {
		return // what comes of it will tell
	}
	st.retryAt = st.notBefore
	if !st.failing {
		st.failing = true
		l.failing = append(l.failing, st)
	}
	l.unready(st)
	if !st.held {
		l.hold(st, true)
		return
	}
	l.letWait(st)
}

// letWait forgets what a held stream has in memory, and gives its place to others.
func (l *Ledger) letWait(st *stream) {
	if st.held && len(st.queue) > 0 && st.sent == 0 {
		st.letGo()
		l.release(st)
	}
}

// endOutageOf lets all go on that have waited for a destination, except for those that it asked for more time.
func (l *Ledger) endOutageOf(d *destination) {
	if !d.out {
		return
	}
	d.out, d.probe = false, nil
	l.out = slices.DeleteFunc(l.out, func(o *destination) bool { return o == d })
	l.emit(Notice{Kind: NoticeOutageEnded, Destination: d.name})
	l.window.frontSince = l.now
	for _, st := range d.waiting {
		st.retryAt = st.notBefore
		switch later := l.now.Before(st.notBefore); {
		case later && !st.failing:
			st.failing = true
			l.failing = append(l.failing, st)
		case !later && st.failing:
			l.unfail(st)
		}
	}
	for _, st := range d.waiting {
		l.wantCatchUp(st)
		l.makeReady(st)
	}
}

// probedAt takes the outcome of a probe that did not get through.
func (l *Ledger) probedAt(d *destination, retryAfter time.Duration) {
	d.probe = nil
	d.failed++
	d.probeAt = l.now.Add(max(l.cfg.Backoff(d.failed+1), retryAfter))
}

// mostProbes is the number of destinations that are probed at a time: a probe may hang, and must leave places for those who
// catch up.
func (c *Config) mostProbes() int { return max(1, c.CatchUps/2) }

// probeDestinations goes on with the probes: one for each destination that is out, which take turns if they are many.
func (l *Ledger) probeDestinations() {
	probes := 0
	for _, d := range l.out {
		if st := d.probe; st != nil && st.sent == 0 && !l.lanes[st.lane].up {
			d.probe = nil // somebody else's lane may be up
			l.letWait(st)
		}
		if d.probe != nil {
			probes++
		}
	}
	for n := len(l.out); n > 0 && probes < l.cfg.mostProbes(); n-- {
		d := l.out[0]
		l.out = append(l.out[1:], d)
		if d.probe == nil {
			if l.chooseProbe(d); d.probe != nil {
				probes++
			}
		}
	}
	for _, d := range l.out {
		if d.probe != nil {
			l.sendProbe(d.probe)
		}
	}
}

// chooseProbe picks the stream whose turn it is, once it is time.
func (l *Ledger) chooseProbe(d *destination) {
	if l.now.Before(d.probeAt) {
		return
	}
	for i, st := range d.waiting {
		if l.lanes[st.lane].up && st.sent == 0 && st.reading == 0 && !st.redriving && !l.now.Before(st.retryAt) {
			d.waiting = append(slices.Delete(d.waiting, i, i+1), st)
			d.probe = st
			return
		}
	}
}

// sendProbe sends the stream's first event, or has it read.
func (l *Ledger) sendProbe(st *stream) {
	if len(st.queue) == 0 {
		l.wantCatchUp(st)
		return
	}
	// One place is left to those who are sent anew, if there are several.
	if st.sent > 0 || st.redriving || l.lanes[st.lane].againOut >= max(1, l.cfg.LaneBatches-1) {
		return
	}
	st.alone = true
	if l.take(st, 1, 0, true) > 0 {
		l.dispatch(&batch{lane: st.lane, again: true, events: 1, parts: []part{{st: st, n: 1}}})
	}
}

// unreadProbe puts off the probe of a stream that could not be read: another one takes its turn.
func (l *Ledger) unreadProbe(st *stream) {
	if d := st.dest; st.probes() && d.out {
		d.probe = nil
		d.probeAt = st.retryAt
	}
}

// probeFirst has the stream be the next one to probe its destination. One that asks for all must not keep the turns from
// going round.
func (l *Ledger) probeFirst(st *stream) {
	if d := st.dest; st.waits() && !st.probes() {
		d.waiting = slices.Insert(remove(d.waiting, st), 0, st)
	}
}

func (d *destination) status() DestinationStatus {
	s := DestinationStatus{Name: d.name, Since: d.since, FailedProbes: d.failed, Waiting: len(d.waiting), Err: d.lastErr}
	if d.probe == nil {
		s.NextProbe = d.probeAt
	}
	return s
}

// forgetDestinations is for a ledger that forgets its streams.
func (l *Ledger) forgetDestinations() {
	for _, d := range slices.Clone(l.out) {
		d.waiting = nil
		l.endOutageOf(d)
	}
	l.destinations = nil
}
