package ledger

import (
	"slices"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// lane is one publisher. Events that are sent anew have places of their own, so that those who fail or hang do
// not stand in the way of the others.
type lane struct {
	up                 bool
	fresh, again       streamQueue // streams that can be dispatched
	freshOut, againOut int         // unanswered batches
}

// batch is an unanswered dispatch.
type batch struct {
	id       uint64
	lane     int
	again    bool
	parts    []part
	redrive  bool // it carries a parked event, of no stream
	events   int
	deadline time.Time
}

// part is what a batch carries of one stream: its first n unresolved events, from position first of the batch.
type part struct {
	st       *stream
	first, n int
}

// alone reports whether the batch's outcome can be laid at the door of one event.
func (b *batch) alone() bool { return b.events == 1 }

// streamQueue is first in, first out.
type streamQueue struct {
	items []*stream
	head  int
}

func (q *streamQueue) push(st *stream) { q.items = append(q.items, st) }

func (q *streamQueue) peek() *stream {
	if q.head == len(q.items) {
		return nil
	}
	return q.items[q.head]
}

func (q *streamQueue) drop() {
	q.items[q.head] = nil
	q.head++
	if q.head > 64 && 2*q.head > len(q.items) || q.head == len(q.items) {
		q.items, q.head = slices.Delete(q.items, 0, q.head), 0
	}
}

func (q *streamQueue) remove(st *stream) {
	if i := slices.Index(q.items[q.head:], st); i >= 0 {
		q.items = slices.Delete(q.items, q.head+i, q.head+i+1)
	}
}

// next returns the first stream that can still be dispatched and forgets those before it that cannot.
func (q *streamQueue) next(now time.Time) *stream {
	for st := q.peek(); st != nil; st = q.peek() {
		if st.dispatchable(now) {
			return st
		}
		q.drop()
		st.ready = false
	}
	return nil
}

// pump forms as many batches as lanes, limits and the budget of unsaved events allow.
func (l *Ledger) pump() {
	l.probeDestinations()
	if l.outage.on {
		l.probe()
		return
	}
	for {
		for i := range l.lanes {
			la := &l.lanes[i]
			for la.up && la.againOut < l.cfg.LaneBatches && l.form(i, &la.again, true) {
			}
			for la.up && la.freshOut < l.cfg.LaneBatches && l.form(i, &la.fresh, false) {
			}
		}
		l.useReserve()
		if !l.unblock() {
			return
		}
	}
}

// form dispatches one batch from a list of ready streams, if there is something to send.
func (l *Ledger) form(laneNo int, ready *streamQueue, again bool) bool {
	b := &batch{lane: laneNo, again: again}
	bytes := 0
	for b.events < l.cfg.Batch.Events {
		st := ready.next(l.now)
		if st == nil || (st.alone && b.events > 0) {
			break
		}
		n := l.take(st, l.cfg.Batch.Events-b.events, l.cfg.Batch.Bytes-bytes, b.events == 0)
		if n == 0 {
			break
		}
		ready.drop()
		st.ready = false
		b.parts = append(b.parts, part{st: st, first: b.events, n: n})
		b.events += n
		for _, en := range st.queue[:n] {
			bytes += en.size
		}
		if st.alone {
			break
		}
	}
	if b.events == 0 {
		return false
	}
	l.dispatch(b)
	return true
}

// take marks events of the stream as sent, within the limits; the first of a batch may exceed the bytes.
func (l *Ledger) take(st *stream, events, bytes int, first bool) int {
	if st.alone || st.attempts > 0 {
		events = 1 // if it fails again, the events behind it would only use up the budget
	}
	if st.attempts == 0 {
		st.seenRound = l.round
	}
	n := 0
	for n < len(st.queue) && n < events {
		en := &st.queue[n]
		if en.size > bytes && !(first && n == 0) {
			break
		}
		if seq := en.event.SequenceNumber; seq > st.dispatched {
			if l.unsaved >= l.budget(st, n) {
				break
			}
			l.unsaved++
			st.unresolved++
			st.dispatched = seq
			if en.slot != noSlot {
				l.window.at(en.slot).sent = true
				l.window.sent++
			}
		}
		bytes -= en.size
		n++
	}
	st.sent = n
	return n
}

// enter counts the batch among the unanswered ones.
func (l *Ledger) enter(b *batch) {
	l.batchID++
	b.id, b.deadline = l.batchID, l.now.Add(l.cfg.PublishTimeout)
	if la := &l.lanes[b.lane]; b.again {
		la.againOut++
	} else {
		la.freshOut++
	}
	l.batches = append(l.batches, b)
}

func (l *Ledger) dispatch(b *batch) {
	l.enter(b)
	events := make([]*query.Event, 0, b.events)
	for _, p := range b.parts {
		for _, en := range p.st.queue[:p.n] {
			events = append(events, en.event)
		}
	}
	l.emit(Dispatch{Generation: l.cfg.Generation, Batch: b.id, Lane: b.lane, Events: events})
}

// common is the part of the budget of unsaved events that is everybody's. The rest is a reserve: one event for each
// stream that may be held, and one for the window's front. What they settle can be recorded at once, so that the
// reserve, and with it the rest, is always freed again by those that do not fail.
func (l *Ledger) common() int { return l.cfg.MaxUnsaved - l.cfg.MaxHeld - 1 }

// budget is the number of unsaved events below which the stream may send one more, after n in the same batch.
func (l *Ledger) budget(st *stream, n int) int {
	if w := &l.window; n == 0 && (st.held || (w.len() > 0 && st.queue[0].slot == w.head)) {
		return l.cfg.MaxUnsaved
	}
	return l.common()
}

// useReserve sends what may go beyond the common budget, one event per stream.
func (l *Ledger) useReserve() {
	if l.unsaved < l.common() {
		return
	}
	for _, st := range l.reserved() {
		l.sendOne(st)
	}
}

// reserved returns the streams that the reserve is for.
func (l *Ledger) reserved() []*stream {
	streams := l.held
	if w := &l.window; w.len() > 0 {
		streams = append(slices.Clip(streams), w.at(w.head).st)
	}
	return streams
}

// sendOne dispatches the first event of a stream out of turn, if it is a new one and there is a place for it.
func (l *Ledger) sendOne(st *stream) {
	la := &l.lanes[st.lane]
	if !la.up || la.freshOut >= l.cfg.LaneBatches || !st.dispatchable(l.now) || st.queue[0].event.SequenceNumber <= st.dispatched {
		return
	}
	if n := l.take(st, 1, 0, true); n > 0 {
		l.unready(st)
		l.dispatch(&batch{lane: st.lane, events: n, parts: []part{{st: st, n: n}}})
	}
}

// unblock makes way when no save can: an event that was never sent pins the watermark while the budget of unsaved
// events is used up, or while its lane has no publisher and there is no room to read on. Its stream is held. It reports
// whether that helped.
func (l *Ledger) unblock() bool {
	w := &l.window
	if w.len() == 0 || l.recordable > 0 || l.saves.pending != nil {
		return false
	}
	front := w.at(w.head)
	st := front.st
	if st.parking || front.SequenceNumber <= st.dispatched {
		return false
	}
	if _, room := l.room(); l.unsaved < l.common() && (room || l.lanes[st.lane].up) {
		return false
	}
	return l.hold(st, false)
}

// inFlight is the number of events that are unanswered.
func (l *Ledger) inFlight() int {
	n := 0
	for _, b := range l.batches {
		n += b.events
	}
	return n
}
