package ledger

import (
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// window is the part of the feed between the watermark and the position: a ring of slots in offset order.
type window struct {
	slots      []slot // a power of two
	head, tail int64  // absolute numbers; slot n is slots[n & (len-1)]
	bytes      int    // of the slots that have not passed the watermark
	sent       int    // of these slots: those that were sent at least once, and so count as unsaved
	watermark  query.Offset
	anchor     Pointer
	frontSince time.Time // since when the front is unresolved
}

type slot struct {
	Pointer
	st    *stream
	size  int
	state slotState
	sent  bool
}

type slotState uint8

const (
	waiting slotState = iota
	settled
	released // parked or skipped, or its stream is held
)

func (w *window) len() int { return int(w.tail - w.head) }

func (w *window) at(n int64) *slot { return &w.slots[n&int64(len(w.slots)-1)] }

func (w *window) push(st *stream, e *query.Event, size int) int64 {
	if w.len() == len(w.slots) {
		grown := make([]slot, max(64, 2*len(w.slots)))
		for n := w.head; n < w.tail; n++ {
			grown[n&int64(len(grown)-1)] = *w.at(n)
		}
		w.slots = grown
	}
	n := w.tail
	w.tail++
	*w.at(n) = slot{Pointer: pointerTo(e), st: st, size: size}
	st.slots++
	w.bytes += size
	return n
}

// lastSettled is the offset of the last settled event beyond the watermark, 0 if there is none.
func (w *window) lastSettled() query.Offset {
	for n := w.tail - 1; n >= w.head; n-- {
		if s := w.at(n); s.state == settled {
			return s.Offset
		}
	}
	return 0
}

// advance moves the watermark over everything that is resolved.
func (l *Ledger) advance() {
	w := &l.window
	before := w.watermark
	for w.head < w.tail {
		s := w.at(w.head)
		if s.state == waiting || l.feed.gapBefore(s.Offset) != nil {
			break
		}
		if s.state == settled {
			l.recordable++
		}
		w.watermark, w.anchor = s.Offset, s.Pointer
		w.bytes -= s.size
		if s.sent {
			w.sent--
		}
		st := s.st
		st.slots--
		l.forgetIfDone(st)
		*s = slot{}
		w.head++
		w.frontSince = l.now
	}
	if w.head == w.tail && len(l.feed.gaps) == 0 {
		w.watermark = max(w.watermark, l.feed.position)
	}
	if w.watermark != before {
		l.dropPassed()
		l.dropResolved()
	}
}

// dropPassed forgets the streams that the watermark has caught up with.
func (l *Ledger) dropPassed() {
	if len(l.ahead) == 0 {
		return
	}
	kept := l.ahead[:0]
	for _, st := range l.ahead {
		if st.aheadOffset > l.window.watermark {
			kept = append(kept, st)
			continue
		}
		st.ahead = false
		l.forgetIfDone(st)
	}
	clear(l.ahead[len(kept):])
	l.ahead = kept
}

// holdFront holds the stream that has pinned the watermark for too long.
func (l *Ledger) holdFront() {
	w := &l.window
	if w.head == w.tail || l.halted() || l.now.Sub(w.frontSince) < l.cfg.HoldAfter {
		return
	}
	if l.outage.on && l.others() {
		return
	}
	if st := w.at(w.head).st; !st.parking {
		l.hold(st, true)
	}
}
