package ledger

import (
	"fmt"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// skipOne lets go of an event at an operator's word, if it is the one that he thinks it is.
func (l *Ledger) skipOne(in Skip) {
	const reason = "an operator skipped it"
	key := eventKey{in.PersistenceID, in.SequenceNumber}
	reply := &Reply{Token: in.Token, Count: 1}
	if l.rewind.on {
		l.refuse(in.Token, "it is being rewound to offset %d", l.rewind.to)
		return
	}
	if p, ok := l.parked.get(key); ok {
		switch {
		case p.Resolution != Unresolved:
			l.refuse(in.Token, "event %s/%d is no longer parked", key.id, key.seq)
		case l.redrive.sends(key):
			l.refuse(in.Token, "event %s/%d is being sent once more", key.id, key.seq)
		default:
			l.parked.resolve(key, Skipped)
			l.dropResolved()
			l.wasSkipped(key.id, key.seq, reason)
			l.confirm(confirmation{reply: reply})
		}
		return
	}
	st := l.streams[in.PersistenceID]
	switch {
	case st == nil || (len(st.queue) == 0 && !st.held):
		l.refuse(in.Token, "nothing of %q waits", key.id)
	case st.front() != key.seq:
		l.refuse(in.Token, "the next event of %q is number %d", key.id, st.front())
	case st.sent > 0 || st.reading != 0 || st.parking || st.redriving:
		l.refuse(in.Token, "event %s/%d, or the one before it, is being dealt with", key.id, key.seq)
	case len(st.queue) > 0:
		l.skip(st, reason)
		l.confirm(confirmation{st: st, reply: reply})
		l.unready(st)
	case in.Offset == 0 || (st.attempts == 0 && !st.stuck):
		l.refuse(in.Token, "event %s/%d was not tried yet", key.id, key.seq)
	default:
		l.skipUnread(st, in.Offset, reason)
		l.confirm(confirmation{st: st, reply: reply})
	}
}

// skipUnread lets go of the next event of a held stream, which is not in memory.
func (l *Ledger) skipUnread(st *stream, offset query.Offset, reason string) {
	seq := st.next
	st.next, st.settledOffset = seq+1, offset
	st.readFrom = st.next
	if seq <= st.dispatched {
		l.recordable++
		st.unresolved--
	}
	l.acquit(st)
	l.wasSkipped(st.id, seq, reason)
}

// retry has those who wait tried again at once.
func (l *Ledger) retry(in RetryNow) {
	n := 0
	for _, st := range append(l.stuck(), l.failing...) {
		if in.PersistenceID == "" || st.id == in.PersistenceID {
			st.stuck = false
			if in.PersistenceID != "" {
				l.probeFirst(st)
			}
			l.hurry(st)
			n++
		}
	}
	if n == 0 && in.PersistenceID != "" {
		l.refuse(in.Token, "%q does not wait after a failure", in.PersistenceID)
		return
	}
	if l.outage.on {
		l.outage.probeAt = l.now
	}
	l.emit(Reply{Token: in.Token, Count: n})
}

// stuck returns the streams that wait for an operator: held ones, and those for which there was no place.
func (l *Ledger) stuck() (streams []*stream) {
	for _, st := range l.held {
		if st.stuck {
			streams = append(streams, st)
		}
	}
	for n := l.window.head; n < l.window.tail; n++ {
		if s := l.window.at(n); s.state == waiting && s.st.stuck && s.st.queue[0].slot == n {
			streams = append(streams, s.st)
		}
	}
	return streams
}

// hurry lets a stream go on at once.
func (l *Ledger) hurry(st *stream) {
	st.retryAt, st.notBefore = time.Time{}, time.Time{}
	if st.waits() {
		st.dest.probeAt = l.now
		return
	}
	l.wantCatchUp(st)
	l.makeReady(st)
}

func (l *Ledger) pause(token uint64) {
	if !l.paused {
		l.paused = true
		l.notice(NoticePaused, "", 0, "")
	}
	l.confirmPaused(token)
}

func (l *Ledger) resume(token uint64) {
	if l.paused {
		l.paused = false
		l.window.frontSince = l.now // it was not its stream that kept it waiting
		l.notice(NoticeResumed, "", 0, "")
	}
	l.confirmPaused(token)
}

// confirmPaused answers once it is saved whether the outbox is paused, which it may be already.
func (l *Ledger) confirmPaused(token uint64) {
	reply := Reply{Token: token}
	if l.saves.paused == l.paused && l.saves.pending == nil {
		l.emit(reply)
		return
	}
	l.confirm(confirmation{reply: &reply})
}

// refuse answers a command that supposes what is not so.
func (l *Ledger) refuse(token uint64, format string, args ...any) {
	l.emit(Reply{Token: token, Err: fmt.Errorf("%w: "+format, append([]any{ErrConflict}, args...)...)})
}

// refuseOperators answers the commands that are not done when the ledger stops.
func (l *Ledger) refuseOperators(err error) {
	for _, c := range l.saves.waiting {
		if c.reply != nil {
			l.emit(Reply{Token: c.reply.Token, Count: c.reply.Count, Err: err})
		}
	}
	for _, j := range l.redrive.jobs {
		l.emit(Reply{Token: j.token, Count: j.delivered, Err: err})
	}
	if l.rewind.on {
		l.emit(Reply{Token: l.rewind.token, Err: err})
	}
	l.saves.waiting, l.redrive.jobs = nil, nil
}
