package ledger

import (
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// stream is a persistence id of which something is unresolved.
type stream struct {
	id   string
	lane int

	// queue holds the unresolved events that are in memory, in order; the first sent of them are in a batch.
	queue []entry
	sent  int
	bytes int
	// next is the first sequence number that is neither settled nor parked.
	next int64
	// settledOffset is an offset up to which all events of this id are known to be settled or parked.
	settledOffset query.Offset
	// dispatched is the last sequence number that was sent at least once, and counted as unsaved.
	dispatched int64
	// unresolved is the number of events that were sent, and are neither settled nor given up on.
	unresolved int
	// last is the last sequence number that the feed has shown, lastOffset its offset; 0 if that is not known.
	last       int64
	lastOffset query.Offset
	// gapAt is the offset of an event that does not follow the last one, while there is no place to hold the stream.
	gapAt query.Offset
	// slots is the number of its events between the watermark and the position.
	slots int

	ready bool // in a ready list of its lane

	// alone: the last outcome was unknown, the next attempt is one event in a batch of its own.
	alone    bool
	failing  bool // in Ledger.failing
	attempts int
	retryAt  time.Time
	// notBefore is what the destination asked for: to be left alone until then.
	notBefore time.Time
	lastErr   string
	// dest is where the first event has failed last; nil if it was not tried yet, or no name was given.
	dest *destination
	// convicted: it failed where others got through, and has not got through since.
	convicted bool
	// counted are the failures that count towards MaxAttempts; seenRound is the ledger's round at the last one, or when the
	// event was first sent.
	counted   int
	seenRound uint64
	// stuck: its first event can never be published, and an operator must say what to do.
	stuck bool
	// parking: an event was parked or skipped and the snapshot that says so is not known to be saved.
	parking bool
	// redriving: a parked event of it is being sent, and no other may be.
	redriving bool

	// held: the stream does not follow the feed but catches up by reads of its own.
	held bool
	// through is the last sequence number that the feed passed over while the stream was held.
	through int64
	// verified: through is complete. After a restart it is not, until a read has told.
	verified bool
	readFrom int64
	wanted   bool   // in catchUp.queue
	active   bool   // counted in catchUp.active
	reading  uint64 // unanswered read by id
	// readFailures are those in a row.
	readFailures int

	// ahead: it has rejoined the feed, but was settled below aheadNext, beyond the watermark.
	ahead       bool
	aheadNext   int64
	aheadOffset query.Offset
}

// entry is an unresolved event. slot is its number in the window, noSlot if it has none (any more).
type entry struct {
	event *query.Event
	slot  int64
	size  int
}

const noSlot = -1

func (l *Ledger) newStream(id string) *stream {
	st := &stream{id: id, lane: int(query.SliceOf(id)) % len(l.lanes)}
	st.redriving = l.redrive.batch != 0 && l.redrive.event.PersistenceID == id
	l.streams[id] = st
	return st
}

func (st *stream) push(e *query.Event, slot int64, size int) {
	st.queue = append(st.queue, entry{event: e, slot: slot, size: size})
	if slot != noSlot {
		st.saw(e)
	}
	st.bytes += size
}

// saw notes that the feed has shown an event.
func (st *stream) saw(e *query.Event) {
	if e.SequenceNumber > st.last {
		st.last, st.lastOffset = e.SequenceNumber, e.Offset
	}
}

// missed is the sequence number of the event that the feed is to show next.
func (st *stream) missed() int64 { return max(st.last+1, st.next) }

func (st *stream) pop() entry {
	en := st.queue[0]
	st.queue[0] = entry{}
	st.queue = st.queue[1:]
	st.bytes -= en.size
	if st.sent > 0 {
		st.sent--
	}
	return en
}

// front is the sequence number of the first event that is known to be unresolved. It is next, unless the filter leaves
// out what comes before it.
func (st *stream) front() int64 {
	if len(st.queue) > 0 {
		return st.queue[0].event.SequenceNumber
	}
	return st.next
}

// truncate forgets the events that are not in a batch.
func (st *stream) truncate() {
	for i := st.sent; i < len(st.queue); i++ {
		st.bytes -= st.queue[i].size
		st.queue[i] = entry{}
	}
	st.queue = st.queue[:st.sent]
}

// letGo forgets the events of a held stream; they are read again.
func (st *stream) letGo() {
	st.next = st.front()
	st.readFrom = st.next
	st.truncate()
}

// dispatchable reports whether nothing but a place in its lane keeps the stream's first event from being sent.
func (st *stream) dispatchable(now time.Time) bool {
	return len(st.queue) > 0 && st.sent == 0 && !st.parking && !st.stuck && !st.redriving && !st.waits() && !now.Before(st.retryAt)
}

// makeReady puts the stream into its lane's list, if it can be dispatched.
func (l *Ledger) makeReady(st *stream) {
	if st.ready || !st.dispatchable(l.now) || (l.outage.on && st.failing) {
		return
	}
	st.ready = true
	la := &l.lanes[st.lane]
	if st.queue[0].event.SequenceNumber <= st.dispatched {
		la.again.push(st)
	} else {
		la.fresh.push(st)
	}
}

// unready takes the stream out of its lane's list.
func (l *Ledger) unready(st *stream) {
	if st.ready {
		st.ready = false
		l.lanes[st.lane].fresh.remove(st)
		l.lanes[st.lane].again.remove(st)
	}
}

// settle resolves the head of the stream: its destination has it.
func (l *Ledger) settle(st *stream) {
	en := st.pop()
	e := en.event
	st.next, st.settledOffset = e.SequenceNumber+1, e.Offset
	l.acquit(st)
	st.unresolved--
	if en.slot == noSlot {
		l.recordable++
	} else {
		l.window.at(en.slot).state = settled
	}
	l.published++
	l.counters.published++
	l.counters.lastPublished = l.now
}

// acquit forgets the failures of the stream's first event, which is resolved.
func (l *Ledger) acquit(st *stream) {
	l.leave(st)
	st.alone, st.convicted, st.stuck, st.attempts, st.counted, st.lastErr, st.retryAt = false, false, false, 0, 0, "", time.Time{}
	if st.failing {
		l.unfail(st)
	}
}

// forgetIfDone drops the stream once nothing about it needs to be remembered.
func (l *Ledger) forgetIfDone(st *stream) {
	if len(st.queue) == 0 && st.slots == 0 && !st.held && !st.ahead && !st.parking && !st.failing && st.gapAt == 0 && l.streams[st.id] == st {
		delete(l.streams, st.id)
	}
}
