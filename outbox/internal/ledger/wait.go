package ledger

import "github.com/protoactor-contrib/protoactor-outbox/persistence/query"

// flush is a waiting [Flush]. index is that of the save that answers it, 0 if there is none yet.
type flush struct {
	Flush
	index int64
}

// answerWaiters replies to those whose condition has come true.
func (l *Ledger) answerWaiters() {
	if l.phase == stopped {
		return
	}
	if len(l.waiters) > 0 {
		kept := l.waiters[:0]
		for _, w := range l.waiters {
			if done, err := l.settled(w); done {
				l.emit(Reply{Token: w.Token, Err: err})
			} else {
				kept = append(kept, w)
			}
		}
		l.waiters = kept
	}
	if len(l.flushes) > 0 && l.clean() {
		kept := l.flushes[:0]
		for _, f := range l.flushes {
			if l.resolvedThrough(f.Offset) {
				l.emit(Reply{Token: f.Token})
			} else {
				kept = append(kept, f)
			}
		}
		l.flushes = kept
	}
}

// settled reports whether the event is settled or parked, or removed from the journal.
func (l *Ledger) settled(w AwaitSettled) (bool, error) {
	if p, ok := l.parked.get(eventKey{w.PersistenceID, w.SequenceNumber}); ok {
		switch p.Resolution {
		case Unresolved:
			return true, &ParkedError{PersistenceID: p.PersistenceID, SequenceNumber: p.SequenceNumber, Reason: p.Reason}
		case Skipped:
			return true, &SkippedError{PersistenceID: p.PersistenceID, SequenceNumber: p.SequenceNumber, Reason: p.Reason}
		default:
			return true, nil
		}
	}
	if st := l.streams[w.PersistenceID]; st != nil {
		if w.SequenceNumber < st.next {
			return true, nil
		}
		if st.held || st.gapAt != 0 || w.Offset > l.feed.position {
			return false, nil
		}
		return len(st.queue) == 0 || st.queue[len(st.queue)-1].event.SequenceNumber < w.SequenceNumber, nil
	}
	return w.Offset <= l.feed.position, nil
}

// resolvedThrough reports whether everything at or below the offset is settled or parked.
func (l *Ledger) resolvedThrough(offset query.Offset) bool {
	if l.window.watermark < offset {
		return false
	}
	for _, st := range l.held {
		if l.pendingBelow(st, offset) {
			return false
		}
	}
	return true
}

// flushWaitsForSave reports whether a flush could be answered after a save.
func (l *Ledger) flushWaitsForSave() bool {
	for _, f := range l.flushes {
		if f.index == 0 && l.resolvedThrough(f.Offset) {
			return true
		}
	}
	return false
}

// answerFlushes replies to those that waited for this save.
func (l *Ledger) answerFlushes(index int64) {
	kept := l.flushes[:0]
	for _, f := range l.flushes {
		if f.index != 0 && f.index <= index {
			l.emit(Reply{Token: f.Token})
		} else {
			kept = append(kept, f)
		}
	}
	l.flushes = kept
}

func (l *Ledger) cancel(token uint64) {
	for i, w := range l.waiters {
		if w.Token == token {
			l.waiters = append(l.waiters[:i], l.waiters[i+1:]...)
			return
		}
	}
	for i, f := range l.flushes {
		if f.Token == token {
			l.flushes = append(l.flushes[:i], l.flushes[i+1:]...)
			return
		}
	}
}

// startDrain begins to stop; a second one waits for the same end, and may bring it nearer.
func (l *Ledger) startDrain(in Drain) {
	l.phase = draining
	l.drains = append(l.drains, in)
}

// holdUnsent lets the last snapshot of a drain record all that is settled. An event that was read, but not sent before
// the drain began, pins the watermark below others that are settled, which the next owner would publish again: its
// stream is held instead, as far as there are places. So is one of which an event may be missing before the front.
func (l *Ledger) holdUnsent() {
	if l.phase != draining || len(l.batches) > 0 || l.rewind.begun || l.saves.basing {
		return
	}
	w := &l.window
	for last := w.lastSettled(); w.watermark < last; {
		if !l.unpin(w.at(w.head)) {
			return
		}
	}
}

// unpin holds the stream that keeps the watermark before the front of the window. It reports whether that was possible.
func (l *Ledger) unpin(front *slot) bool {
	if front.state == waiting {
		return !front.st.parking && l.hold(front.st, true)
	}
	st := l.feed.gapBefore(front.Offset)
	return !st.parking && l.holdThrough(st, st.last, true)
}

func (l *Ledger) finishDrain() {
	if l.phase != draining {
		return
	}
	if len(l.batches) == 0 && l.clean() {
		l.stop(nil)
		return
	}
	for _, d := range l.drains {
		if !l.now.Before(d.Deadline) {
			l.stop(ErrDrainDeadline)
			return
		}
	}
}
