package ledger

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// stint is one ledger of an owner, what carries out its effects, and what is known about it from outside.
type stint struct {
	h          *handover
	owner      *owner
	epoch      int64
	generation uint64
	ledger     *Ledger
	begunAt    time.Duration
	over       bool

	tickNo  uint64
	tickAt  time.Duration
	ticking bool

	batches []*sentBatch // unanswered
	sent    map[*simEvent]bool
	skipped map[*simEvent]bool // by the rule for poison
	made    map[int64]*view    // snapshots by index
	saving  *simSave
	known   *view // the last one that is known to be saved
	next    *view // from which the next life begins, nil while there is none

	dirtySince time.Duration // since when there is something to save
	dirty      bool
}

func (st *stint) String() string { return fmt.Sprintf("%v.%d", st.owner, st.owner.incarnation) }

// begin starts a ledger from what was recovered.
func (o *owner) begin(r storeReply) {
	h := o.h
	cfg := h.cfg
	cfg.Generation = uint64(o.no)<<20 + uint64(o.incarnation)
	st := &stint{
		h: h, owner: o, epoch: o.epoch, generation: cfg.Generation, ledger: New(cfg), begunAt: h.now,
		sent: make(map[*simEvent]bool), skipped: make(map[*simEvent]bool), made: make(map[int64]*view), known: r.view,
	}
	before := o.last
	if before != nil && before.next == nil && before.epoch == st.epoch {
		before.next = r.view
		before.checkBound()
	}
	o.stint, o.last = st, st
	st.checkBeginning()
	if h.store.epoch > st.epoch {
		h.stats[statReplacedBeforeBegin]++
	}
	h.logf("%v begins: epoch %d, index %d, tried %d, watermark %d, held %v, parked %d", st, st.epoch, r.index, o.index, r.view.Watermark, r.view.Held, len(r.view.Parked))
	for i := range cfg.Lanes {
		late := h.span(0, 50*time.Millisecond)
		if !h.healed && h.chance(h.faults.laneLate) {
			late = h.span(0, 10*time.Second)
		}
		h.after(late, func() { st.tell(LaneUp{Lane: i}) })
	}
	tried := o.index
	if h.rules.broken == indexNotCarriedOn {
		tried = 0
	}
	if o.index > r.index && h.rules.broken != beginsFromStored {
		r.view, st.skipped = o.tried, before.skipped
	}
	st.step(Recovered{Snapshot: r.view.Snapshot, Index: r.index, Tried: tried})
}

// end leaves the ledger: nothing that it has asked for is heard any more. Publishers may go on for a while.
func (st *stint) end() {
	st.over = true
	for _, b := range st.batches {
		b.dead = st.h.chance(0.5)
	}
}

// tell brings an input through the mailbox, if the ledger is still the actor's.
func (st *stint) tell(in Input) {
	st.owner.awake(func() {
		if st.owner.stint == st {
			st.step(in)
		}
	})
}

// step gives the ledger an input, checks what comes of it and carries it out.
func (st *stint) step(in Input) {
	h := st.h
	if h.logging {
		h.logf("%v <- %s", st, describe(in))
	}
	st.expect(in)
	for _, e := range slices.Clone(st.ledger.Step(h.clock(), in)) {
		if h.logging {
			h.logf("%v    -> %s", st, describe(e))
		}
		if st.over {
			h.failf("%v asks for %s after its end", st, describe(e))
		}
		st.perform(e)
	}
	if st.over {
		return
	}
	if st.owner.fenced {
		h.failf("%v goes on although it knows that it was replaced", st)
	}
	st.checkLearning()
	st.arm()
}

// expect follows the input.
func (st *stint) expect(in Input) {
	h := st.h
	switch in := in.(type) {
	case Tick:
		st.batches = slices.DeleteFunc(st.batches, func(b *sentBatch) bool { return h.now >= b.deadline })
		if st.saving != nil && h.now >= st.saving.deadline {
			st.saving = nil
		}
	case Published:
		n := slices.IndexFunc(st.batches, func(b *sentBatch) bool { return in.Generation == st.generation && b.id == in.Batch })
		if n < 0 {
			h.stats[statHandoverAnswerLate]++
			return
		}
		b := st.batches[n]
		st.batches = slices.Delete(st.batches, n, n+1)
		b.acknowledge(in)
	case Saved:
		if st.saving == nil || st.saving.index != in.Index {
			return
		}
		if in.Result == SaveOK {
			st.known = st.saving.view
			st.checkBelieved()
		}
		st.saving = nil
	}
}

// arm sets the next tick as outbox.arm does.
func (st *stint) arm() {
	h := st.h
	next := st.ledger.NextTick()
	if st.over || next.IsZero() {
		return
	}
	in := min(max(0, next.Sub(h.clock())), ownerLook)
	if st.ticking && st.tickAt <= h.now+in {
		return
	}
	st.tickNo++
	st.ticking, st.tickAt = true, h.now+in
	no := st.tickNo
	h.after(in, func() {
		st.owner.awake(func() {
			if st.owner.stint == st && no == st.tickNo {
				st.ticking = false
				st.step(Tick{})
				st.owner.lookAround()
			}
		})
	})
}

func (st *stint) perform(effect Effect) {
	h := st.h
	switch e := effect.(type) {
	case ReadFeed:
		st.read(func() Input { return FeedPage{Read: e.Read, Page: h.journal.read(e.After, e.Limits)} }, FeedFailed{Read: e.Read, Err: errInjected})
	case ReadStream:
		st.read(func() Input {
			events, more := h.journal.readByID(e.PersistenceID, e.From, e.Limits)
			return StreamPage{Read: e.Read, Events: events, More: more}
		}, StreamFailed{Read: e.Read, Err: errInjected})
	case Dispatch:
		st.dispatch(e)
	case Save:
		st.save(e)
	case Notice:
		st.notice(e)
	case Stop:
		h.stats[statHandoverDrained] += count(e.Err == nil)
		st.owner.stop()
	}
}

// read answers a read, at the moment when the journal looks, and more or less late.
func (st *stint) read(answer func() Input, failure Input) {
	h := st.h
	there, back := h.span(0, 10*time.Millisecond), h.span(0, 10*time.Millisecond)
	if !h.healed && h.chance(h.faults.readLate) {
		back = h.span(0, 2*h.cfg.ReadTimeout)
	}
	failed := !h.healed && h.chance(h.faults.readFails)
	h.after(there, func() {
		in := failure
		if !failed {
			in = answer()
		}
		h.after(back, func() { st.tell(in) })
	})
}

// make notes a snapshot that is going to be saved.
func (st *stint) make(e Save) *view {
	v := viewOf(e.Snapshot)
	st.checkSnapshot(e.Index, v)
	st.made[e.Index] = v
	return v
}

// save is outbox.save and outbox.store: where the outcome is not known, it looks, with time of its own.
func (st *stint) save(e Save) {
	h, o := st.h, st.owner
	v := st.make(e)
	o.index, o.tried = e.Index, v
	st.saving = &simSave{index: e.Index, view: v, deadline: h.now + h.cfg.SaveTimeout}
	saved := func(result SaveResult) { st.tell(Saved{Index: e.Index, Result: result, Err: errInjected}) }
	fenced := func() {
		if h.rules.broken == fencedSaveIsTriedAgain {
			saved(SaveFailed)
			return
		}
		if st.owner.stint != st {
			return
		}
		h.stats[statLearnedBySave]++
		o.learn()
		saved(SaveFenced)
	}
	o.call(fmt.Sprintf("save %d of epoch %d", e.Index, st.epoch), h.now+h.cfg.SaveTimeout,
		func() storeReply {
			return storeReply{epoch: st.epoch, index: e.Index, err: h.store.save(st, e.Index, v)}
		},
		func(r storeReply) {
			switch {
			case r.err == nil:
				saved(SaveOK)
				return
			case errors.Is(r.err, query.ErrFenced):
				fenced()
				return
			}
			o.call("look after a save", h.now+h.cfg.ReadTimeout, h.store.load, func(r storeReply) {
				switch {
				case r.err != nil:
					h.stats[statSaveUndecided]++
					saved(SaveFailed)
				case r.epoch > st.epoch:
					h.stats[statDecidedFenced]++
					fenced()
				case r.view == v || h.rules.broken == anySaveWillDo:
					h.stats[statDecidedSaved]++
					saved(SaveOK)
				default:
					h.stats[statDecidedFailed]++
					saved(SaveFailed)
				}
			})
		})
}

func (st *stint) notice(e Notice) {
	switch e.Kind {
	case NoticeSkipped:
		st.skipped[st.h.journal.event(e.PersistenceID, e.SequenceNumber)] = true
	case NoticeParked:
		st.h.stats[statHandoverParked]++
	case NoticeMissing:
		ev := st.h.journal.event(e.PersistenceID, e.SequenceNumber)
		if !ev.trimmed {
			st.h.failf("%v: %s counts as missing, but the journal has it", st, ev.ID())
		}
		st.h.stats[statHandoverMissing]++
	}
}
