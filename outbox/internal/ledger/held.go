package ledger

import (
	"fmt"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// catchUp is the reading for held streams.
type catchUp struct {
	queue  []*stream // want to read, in order
	active int       // streams that are reading or have events in memory
	reads  []streamRead
}

type streamRead struct {
	id       uint64
	st       *stream
	through  int64 // of the stream, when the read was issued
	deadline time.Time
}

// heldCount is the number of entries that a snapshot would have.
func (l *Ledger) heldCount() int { return len(l.held) + len(l.ahead) }

// heldFull reports whether there is no place for one more held stream.
func (l *Ledger) heldFull() bool { return len(l.held) >= l.cfg.MaxHeld }

// hold takes the stream out of the feed's way: its events leave the window. It reports whether that was possible. There
// are MaxHeld places; whoever does not pin the watermark, but is held for the sake of speed, may only use half of them,
// those who are ahead included: otherwise one stream that fails could find them all taken, and make everybody wait.
func (l *Ledger) hold(st *stream, pins bool) bool {
	if st.held || len(st.queue) == 0 {
		return false
	}
	return l.holdThrough(st, st.queue[len(st.queue)-1].event.SequenceNumber, pins)
}

// holdThrough holds the stream, which then catches up through a sequence number.
func (l *Ledger) holdThrough(st *stream, through int64, pins bool) bool {
	if l.heldFull() || (!pins && !st.ahead && l.heldCount() >= l.cfg.MaxHeld/2) {
		return false
	}
	l.saves.changed = true
	if st.ahead {
		st.ahead = false
		l.ahead = remove(l.ahead, st)
	}
	// What the feed has left out is not known to be the last: only a read can tell.
	st.held, st.verified, st.through = true, st.gapAt == 0, through
	l.closeGap(st)
	l.held = append(l.held, st)
	if len(st.queue) > 0 {
		// What was settled before may have been forgotten since, with the watermark still behind it.
		st.settledOffset = max(st.settledOffset, st.queue[0].event.Offset-1)
		st.next = st.front()
	}
	for i := range st.queue {
		en := &st.queue[i]
		l.window.at(en.slot).state = released
		en.slot = noSlot
	}
	st.truncate()
	l.unready(st)
	st.readFrom = st.next
	if st.sent > 0 {
		st.readFrom = st.queue[st.sent-1].event.SequenceNumber + 1
	}
	l.notice(NoticeHeld, st.id, st.next, st.lastErr)
	l.wantCatchUp(st)
	l.advance()
	return true
}

// wantCatchUp queues a held stream for a read, if it needs one and can use it.
func (l *Ledger) wantCatchUp(st *stream) {
	if !st.held || st.wanted || st.reading != 0 || st.parking || st.stuck || len(st.queue) > 0 || l.now.Before(st.retryAt) ||
		(st.waits() && !st.probes()) {
		return
	}
	if st.verified && st.next > st.through {
		l.rejoin(st)
		return
	}
	st.wanted = true
	l.catchUp.queue = append(l.catchUp.queue, st)
}

// rejoin lets a stream follow the feed again: it is settled through everything that the feed passed over.
func (l *Ledger) rejoin(st *stream) {
	st.held, st.verified, st.through = false, false, 0
	if st.next > st.last+1 {
		st.last, st.lastOffset = st.next-1, st.settledOffset
	}
	l.saves.changed = true
	l.held = remove(l.held, st)
	if st.failing {
		l.unfail(st)
	}
	l.release(st)
	if st.settledOffset > l.window.watermark {
		st.ahead, st.aheadNext, st.aheadOffset = true, st.next, st.settledOffset
		l.ahead = append(l.ahead, st)
	}
	l.notice(NoticeRejoined, st.id, st.next, "")
	l.forgetIfDone(st)
	l.dropResolved()
}

// release gives back the stream's place among those that have events in memory.
func (l *Ledger) release(st *stream) {
	if st.active {
		st.active = false
		l.catchUp.active--
	}
}

func (l *Ledger) readStreams() {
	c := &l.catchUp
	for len(c.queue) > 0 && c.active < l.cfg.CatchUps {
		st := c.queue[0]
		c.queue = c.queue[1:]
		st.wanted = false
		if !st.held || st.reading != 0 || len(st.queue) > 0 || st.parking || st.stuck || l.now.Before(st.retryAt) || (st.waits() && !st.probes()) {
			continue
		}
		st.active = true
		c.active++
		l.readID++
		st.reading = l.readID
		c.reads = append(c.reads, streamRead{id: l.readID, st: st, through: st.through, deadline: l.now.Add(l.cfg.ReadTimeout)})
		l.emit(ReadStream{Read: l.readID, PersistenceID: st.id, From: st.readFrom, Limits: l.cfg.CatchUp})
	}
}

// takeRead removes and returns an unanswered read; ok is false if it is not, or no longer, waited for.
func (l *Ledger) takeRead(read uint64) (r streamRead, ok bool) {
	for i, r := range l.catchUp.reads {
		if r.id == read {
			l.catchUp.reads = append(l.catchUp.reads[:i], l.catchUp.reads[i+1:]...)
			r.st.reading = 0
			return r, true
		}
	}
	return streamRead{}, false
}

// forgetRead gives up on the stream's unanswered read, and on what it has in memory.
func (l *Ledger) forgetRead(st *stream) {
	if st.reading != 0 {
		l.takeRead(st.reading)
	}
	l.release(st)
}

func (l *Ledger) streamPage(in StreamPage) {
	if in.Read != 0 && in.Read == l.redrive.read {
		l.redriveRead(in.Events)
		return
	}
	r, ok := l.takeRead(in.Read)
	if !ok {
		return
	}
	st := r.st
	st.readFailures = 0
	l.counters.lastRead = l.now
	complete := !in.More
	for i := range in.Events {
		e := &in.Events[i]
		if e.Offset > l.feed.position {
			if e.SequenceNumber <= st.through {
				l.stop(fmt.Errorf("%w: event %s has offset %d, but the feed had shown a later one of its id up to offset %d",
					ErrBrokenJournal, e.ID(), e.Offset, l.feed.position))
				return
			}
			complete = true // what follows is the feed's to deliver
			break
		}
		if e.SequenceNumber < st.readFrom {
			continue
		}
		if e.SequenceNumber > st.readFrom {
			l.missing(st, e.SequenceNumber-1)
		}
		st.readFrom = e.SequenceNumber + 1
		if !l.cfg.Filter.Matches(e) || l.parked.has(e) {
			continue
		}
		st.through = max(st.through, e.SequenceNumber)
		st.push(e, noSlot, e.Size())
	}
	if complete {
		st.verified = true
	}
	if len(st.queue) > 0 {
		l.skipGone(st, st.front())
		l.recordMissing(st)
		if st.waits() && !st.probes() {
			l.letWait(st)
		}
		l.makeReady(st)
		return
	}
	l.release(st)
	if complete && st.readFrom <= r.through {
		l.missing(st, r.through)
	}
	if st.readFrom > st.through {
		l.skipGone(st, st.readFrom)
	}
	l.recordMissing(st)
	l.wantCatchUp(st)
}

// missing passes over events that a read of the stream did not find, though it found later ones, or though the feed had
// shown them before the read was issued: the journal was told to remove them.
func (l *Ledger) missing(st *stream, through int64) {
	l.counters.missing += through - st.readFrom + 1
	l.notice(NoticeMissing, st.id, st.readFrom, "")
	st.readFrom = through + 1
}

// skipGone goes on to the next event of the stream. If the one before it, which may have failed, is gone, so are its
// failures.
func (l *Ledger) skipGone(st *stream, next int64) {
	if next > st.next {
		st.next = next
		l.acquit(st)
	}
}

// recordMissing lets go of the events that were sent, and never settled, and are gone from the journal: the next snapshot
// is beyond them.
func (l *Ledger) recordMissing(st *stream) {
	if st.next > st.dispatched {
		l.recordable += st.unresolved
		st.unresolved = 0
	}
}

func (l *Ledger) streamFailed(read uint64, err error) {
	if read != 0 && read == l.redrive.read {
		l.redriveUnread(err)
		return
	}
	r, ok := l.takeRead(read)
	if !ok {
		return
	}
	st := r.st
	l.counters.lastErr = err.Error()
	l.release(st)
	st.readFailures++
	l.putOff(st, l.cfg.Backoff(st.readFailures))
	l.unreadProbe(st)
}

// afterBatch goes on with a held stream whose batch has ended.
func (l *Ledger) afterBatch(st *stream) {
	if st.held && len(st.queue) == 0 {
		l.release(st)
		l.wantCatchUp(st)
	}
	l.makeReady(st)
	l.forgetIfDone(st)
}

// pendingBelow reports whether the held stream may still have to publish something at or below the offset.
func (l *Ledger) pendingBelow(st *stream, offset query.Offset) bool {
	switch {
	case len(st.queue) > 0:
		return st.queue[0].event.Offset <= offset
	case st.verified && st.next > st.through:
		return false
	default:
		return st.settledOffset < offset
	}
}

func remove(list []*stream, st *stream) []*stream {
	for i, s := range list {
		if s == st {
			copy(list[i:], list[i+1:])
			list[len(list)-1] = nil
			return list[:len(list)-1]
		}
	}
	return list
}
