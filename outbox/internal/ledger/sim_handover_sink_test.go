package ledger

import (
	"slices"
	"time"
)

// sentBatch is a batch on its way from a stint through its publisher, which may be another process, and may go on when the
// stint is over.
type sentBatch struct {
	stint    *stint
	id       uint64
	events   []*simEvent
	deadline time.Duration
	results  []Result
	blocked  []string // ids of which an event was not delivered: nothing is sent past it
	dead     bool
}

func (st *stint) dispatch(e Dispatch) {
	h := st.h
	b := &sentBatch{stint: st, id: e.Batch, deadline: h.now + h.cfg.PublishTimeout}
	for i, ev := range e.Events {
		st.checkSent(e, i)
		b.events = append(b.events, h.journal.event(ev.PersistenceID, ev.SequenceNumber))
	}
	st.batches = append(st.batches, b)
	st.checkBound()
	b.publish()
}

// publish delivers the batch in two parts, each of which may be late, and answers.
func (b *sentBatch) publish() {
	h := b.stint.h
	f := &h.faults
	late := func() time.Duration {
		if !h.healed && h.chance(f.batchLate) {
			return h.span(0, f.late)
		}
		return h.span(0, 20*time.Millisecond)
	}
	half := h.between(0, len(b.events))
	h.after(late(), func() {
		b.atWork(func() {
			b.deliver(half)
			h.after(late(), func() {
				b.atWork(func() {
					b.deliver(len(b.events))
					if b.dead || (!h.healed && h.chance(f.batchAnswerLost)) {
						return
					}
					h.after(late(), b.answer)
				})
			})
		})
	})
}

// atWork does something of the publisher: one in the owner's process is suspended with it, and dies with it.
func (b *sentBatch) atWork(do func()) {
	if b.stint.h.faults.remotePublisher {
		do()
		return
	}
	b.stint.owner.awake(do)
}

// deliver brings the events up to the n-th to the sink.
func (b *sentBatch) deliver(n int) {
	h := b.stint.h
	for i := len(b.results); i < n && !b.dead; i++ {
		e := b.events[i]
		if slices.Contains(b.blocked, e.PersistenceID) {
			b.results = append(b.results, Result{Index: i, Err: "not tried"})
			continue
		}
		r := Result{Index: i, Outcome: OK}
		took := true
		switch f := &h.faults; {
		case h.healed:
		case h.chance(f.poison):
			r.Outcome, took = Permanent, false
		case h.chance(f.flake):
			r.Outcome, took = Retry, false
			if h.chance(0.5) {
				r.Outcome, took = Unknown, h.chance(0.5)
			}
		}
		if took {
			b.stint.take(e)
		}
		if r.Outcome != OK {
			b.blocked = append(b.blocked, e.PersistenceID)
		}
		b.results = append(b.results, r)
	}
}

// answer tells the owner's present ledger, whichever it is.
func (b *sentBatch) answer() {
	in := Published{Generation: b.stint.generation, Batch: b.id, Outcome: OK}
	for _, r := range b.results {
		if r.Outcome != OK {
			in.Results = append(in.Results, r)
		}
	}
	o := b.stint.owner
	o.awake(func() {
		if o.stint != nil {
			o.stint.step(in)
		}
	})
}

// acknowledge notes what the answer says was delivered: per id up to the first event that it does not say so of.
func (b *sentBatch) acknowledge(in Published) {
	var failed []string
	outcomes := make(map[int]Outcome)
	for _, r := range in.Results {
		outcomes[r.Index] = r.Outcome
	}
	for i, e := range b.events {
		if _, not := outcomes[i]; not || slices.Contains(failed, e.PersistenceID) {
			failed = append(failed, e.PersistenceID)
			continue
		}
		b.stint.acknowledged(e)
	}
}
