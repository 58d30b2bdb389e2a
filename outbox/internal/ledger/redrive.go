package ledger

import (
	"fmt"
	"slices"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// redriving is the sending of parked events once more, one at a time: it is rare, and an operator watches. While the
// event is in flight, nothing else of its id is sent.
type redriving struct {
	jobs     []redriveJob // the first one is at work
	key      eventKey     // the event that is being dealt with, of the first job
	read     uint64       // unanswered, 0 if none
	deadline time.Time    // of that read
	event    *query.Event // was read, and waits to be sent or is in flight
	batch    uint64       // in flight, 0 if none
}

type redriveJob struct {
	token     uint64
	keys      []eventKey // yet to be sent
	failed    []eventKey
	why       string // the first of them was not published
	delivered int
}

// sends reports whether the event is being read or sent.
func (r *redriving) sends(key eventKey) bool {
	return (r.read != 0 || r.event != nil) && r.key == key
}

func (l *Ledger) startRedrive(in Redrive) {
	keys := l.parked.unresolved(in.PersistenceID, in.SequenceNumber)
	switch {
	case in.PersistenceID == "" && in.SequenceNumber != 0:
		l.refuse(in.Token, "number %d of which id is to be sent once more?", in.SequenceNumber)
	case len(keys) == 0 && in.PersistenceID != "":
		l.refuse(in.Token, "no such event of %q is parked", in.PersistenceID)
	case l.phase != running:
		l.refuse(in.Token, "the outbox drains")
	default:
		l.redrive.jobs = append(l.redrive.jobs, redriveJob{token: in.Token, keys: keys})
	}
}

// goOnRedriving does the next step, if it is possible.
func (l *Ledger) goOnRedriving() {
	r := &l.redrive
	if r.event != nil {
		l.sendRedriven()
	}
	for len(r.jobs) > 0 && r.read == 0 && r.event == nil {
		j := &r.jobs[0]
		if len(j.keys) == 0 {
			l.finishRedrive()
			continue
		}
		r.key, j.keys = j.keys[0], j.keys[1:]
		p, ok := l.parked.get(r.key)
		// Behind one of its id that failed, it would overtake it.
		if !ok || p.Resolution != Unresolved || slices.ContainsFunc(j.failed, func(k eventKey) bool { return k.id == r.key.id }) {
			continue
		}
		l.readID++
		r.read, r.deadline = l.readID, l.now.Add(l.cfg.ReadTimeout)
		l.emit(ReadStream{Read: r.read, PersistenceID: r.key.id, From: r.key.seq, Limits: query.Limits{Events: 1, Bytes: l.cfg.CatchUp.Bytes}})
	}
}

func (l *Ledger) redriveRead(events []query.Event) {
	r := &l.redrive
	r.read = 0
	l.counters.lastRead = l.now
	p, _ := l.parked.get(r.key)
	if len(events) == 0 || events[0].SequenceNumber != r.key.seq || events[0].UID != p.UID {
		l.redriveFailed("it is not in the journal any more: skip it to let go of it")
		return
	}
	r.event = &events[0]
}

func (l *Ledger) redriveUnread(err error) {
	l.redrive.read = 0
	l.redriveFailed("it could not be read: " + err.Error())
}

// sendRedriven dispatches the event once nothing else of its id is in flight or being saved, and there is a place for it.
// An outage does not keep it: an operator wants to know.
func (l *Ledger) sendRedriven() {
	r := &l.redrive
	st, lane := l.streams[r.key.id], int(query.SliceOf(r.key.id))%len(l.lanes)
	la := &l.lanes[lane]
	if r.batch != 0 || !la.up || la.againOut >= l.cfg.LaneBatches || (st != nil && (st.sent > 0 || st.parking)) {
		return
	}
	if st != nil {
		st.redriving = true
		l.unready(st)
	}
	b := &batch{lane: lane, again: true, redrive: true, events: 1}
	l.enter(b)
	r.batch = b.id
	l.emit(Dispatch{Generation: l.cfg.Generation, Batch: b.id, Lane: lane, Events: []*query.Event{r.event}})
}

// redriven takes the outcome.
func (l *Ledger) redriven(in Published, results map[int]Result) {
	r := &l.redrive
	outcome, reason, destination := in.Outcome, in.Err, in.destination(0)
	if res, ok := results[0]; ok {
		outcome, reason, destination = res.Outcome, res.Err, res.Destination
	}
	r.batch, r.event = 0, nil
	if st := l.streams[r.key.id]; st != nil {
		st.redriving = false
		defer l.makeReady(st)
	}
	if outcome != OK {
		l.parked.complain(r.key, reason)
		l.saves.changed = true
		l.redriveFailed(reason)
		return
	}
	l.gotThrough(destination)
	l.parked.resolve(r.key, Redriven)
	l.dropResolved()
	l.saves.changed = true
	l.published++
	l.counters.published++
	l.counters.lastPublished = l.now
	l.notice(NoticeRedriven, r.key.id, r.key.seq, "")
	if len(r.jobs) > 0 {
		r.jobs[0].delivered++
	}
}

func (l *Ledger) redriveFailed(why string) {
	r := &l.redrive
	if len(r.jobs) == 0 {
		return
	}
	j := &r.jobs[0]
	if len(j.failed) == 0 {
		j.why = why
	}
	j.failed = append(j.failed, r.key)
}

// finishRedrive answers the first job once what it did is saved.
func (l *Ledger) finishRedrive() {
	j := l.redrive.jobs[0]
	l.redrive.jobs = l.redrive.jobs[1:]
	reply := Reply{Token: j.token, Count: j.delivered}
	if len(j.failed) > 0 {
		reply.Err = fmt.Errorf("%w: %s/%d: %s", ErrNotRedriven, j.failed[0].id, j.failed[0].seq, j.why)
	}
	if j.delivered == 0 && len(j.failed) == 0 {
		l.emit(reply) // there was nothing to do
		return
	}
	l.confirm(confirmation{reply: &reply})
}
