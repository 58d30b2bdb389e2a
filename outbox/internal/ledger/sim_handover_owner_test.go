package ledger

import (
	"errors"
	"fmt"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// As in package outbox.
const (
	ownerLook = 5 * time.Second
	lostTick  = 5 * time.Second
)

// owner is one outbox actor, from its spawn to its end, with what survives the restarts by its supervisor: outbox/life.go.
type owner struct {
	h  *handover
	no int

	epoch       int64 // that it was given, 0 before: from then on it is proved, never taken over again
	index       int64 // of the last save that was tried
	tried       *view // that one
	incarnation int

	stint     *stint // its ledger, nil until the offsets are recovered
	last      *stint // the latest one, over or not
	acquiring int    // attempts, ever
	attempts  int    // those that failed, in a row
	lookAt    time.Duration
	looks     int // ever
	timer     int // messages to itself of which only the last one counts
	spare     int

	fenced bool // it knows
	gone   bool // stopped or dead

	asleep   bool // suspended by the operating system
	mailbox  []func()
	wokeAt   time.Duration
	cutUntil time.Duration // from the store
}

func (o *owner) String() string { return fmt.Sprintf("O%d", o.no) }

// spawn starts an outbox, which takes over from whoever is there.
func (h *handover) spawn() {
	o := &owner{h: h, no: len(h.owners) + 1, wokeAt: h.now}
	h.owners = append(h.owners, o)
	h.logf("%v starts", o)
	o.acquire()
}

// awake does something of the process: once it is awake, and never if it is gone.
func (o *owner) awake(do func()) {
	switch {
	case o.gone:
	case o.asleep:
		o.mailbox = append(o.mailbox, do)
	default:
		do()
	}
}

// goOn is awake for what an instance has caused: a restart leaves it behind.
func (o *owner) goOn(incarnation int, do func()) {
	o.awake(func() {
		if o.incarnation == incarnation {
			do()
		}
	})
}

// later is a message to itself, which replaces the one before. A restart leaves it behind.
func (o *owner) later(d time.Duration, do func()) {
	o.timer++
	timer, incarnation := o.timer, o.incarnation
	o.h.after(d, func() {
		o.goOn(incarnation, func() {
			if o.timer == timer {
				do()
			}
		})
	})
}

// armSpare has it acquire once more if no outcome has come by then.
func (o *owner) armSpare(d time.Duration) {
	o.spare++
	spare, incarnation := o.spare, o.incarnation
	o.h.after(d, func() {
		o.goOn(incarnation, func() {
			if o.spare == spare && o.stint == nil {
				o.timer++
				o.acquire()
			}
		})
	})
}

// acquireCall is an attempt to take over, or to prove the epoch.
type acquireCall struct {
	attempt, incarnation int
	held                 int64
}

// waitsFor reports whether the owner would still take an answer to the attempt.
func (o *owner) waitsFor(call *acquireCall) bool {
	return !o.gone && o.stint == nil && o.acquiring == call.attempt && o.incarnation == call.incarnation
}

// acquire is outbox.acquire and recoverFrom.
func (o *owner) acquire() {
	h := o.h
	if o.fenced {
		h.failf("%v acquires although it knows that it was replaced", o)
	}
	o.acquiring++
	o.armSpare(h.cfg.ReadTimeout + lostTick)
	call := &acquireCall{attempt: o.acquiring, incarnation: o.incarnation, held: o.epoch}
	if h.rules.broken == takesOverAtRestart {
		call.held = 0
	}
	if call.held == 0 && o.epoch != 0 {
		h.failf("%v takes over once more, although it was given epoch %d", o, o.epoch)
	}
	deadline := h.now + h.cfg.ReadTimeout
	take := func(seen storeReply) {
		o.call(fmt.Sprintf("acquire %d, held %d", call.attempt, call.held), deadline,
			func() storeReply { return h.store.acquire(o, call, seen.epoch) },
			func(r storeReply) {
				if h.rules.broken == readsBeforeTaking && call.held == 0 {
					r.view, r.index = seen.view, seen.index
				}
				o.examineStored(r, deadline, func(err error) { o.acquired(call, r, err) })
			})
	}
	if call.held != 0 {
		take(storeReply{})
		return
	}
	o.call("first look", deadline, h.store.load, func(r storeReply) {
		o.examineStored(r, deadline, func(err error) {
			if err != nil && (r.err != nil || errors.Is(err, errChanged)) {
				o.acquired(call, storeReply{}, err)
				return
			}
			if h.rules.acquire == acquireSeen && h.now > deadline {
				o.acquired(call, storeReply{}, errUnanswered) // it is too late to go on
				return
			}
			take(r)
		})
	})
}

// examineStored is outbox.examineStored.
func (o *owner) examineStored(r storeReply, deadline time.Duration, then func(error)) {
	err := o.examine(r)
	if !errors.Is(err, errChanged) {
		then(err)
		return
	}
	o.call("look whether the offsets were replaced", deadline, o.h.store.load, func(now storeReply) {
		switch {
		case now.err != nil:
			err = now.err
		case now.index != r.index:
			err = errReplaced
		}
		then(err)
	})
}

// errReplaced says that another snapshot is stored than the one that was examined.
var errReplaced = errors.New("the offsets were replaced while the journal was compared with them")

// errChanged says that the journal no longer has the event at the watermark: here, because it belongs to an older snapshot
// than the stored one.
var errChanged = errors.New("the journal is not the one that the offsets belong to")

// examine is outbox.examine, and whatever can go wrong there.
func (o *owner) examine(r storeReply) error {
	h := o.h
	switch {
	case r.err != nil:
		return r.err
	case r.view.Anchor != Pointer{} && h.journal.event(r.view.Anchor.PersistenceID, r.view.Anchor.SequenceNumber).trimmed:
		return errChanged
	case !h.healed && h.chance(h.faults.examineFails):
		return errInjected
	}
	return nil
}

// acquired is outbox.acquired and notAcquired.
func (o *owner) acquired(call *acquireCall, r storeReply, err error) {
	h := o.h
	if !o.waitsFor(call) {
		return
	}
	if r.err == nil && r.epoch != 0 {
		o.epoch = r.epoch
	}
	switch {
	case err == nil:
		o.attempts = 0
		o.lookAt = h.now + ownerLook
		o.begin(r)
	case errors.Is(err, query.ErrFenced):
		h.stats[statLearnedByProof]++
		o.learn()
		o.stop()
	case errors.Is(err, errChanged):
		h.failf("%v waits for another journal, and this is the right one", o)
	default:
		h.stats[statAcquireFailed]++
		o.attempts++
		o.later(h.cfg.Backoff(o.attempts), o.acquire)
	}
}

// learn notes that the owner knows that it was replaced.
func (o *owner) learn() {
	o.h.logf("%v knows that it was replaced", o)
	if o.epoch >= o.h.store.epoch {
		o.h.failf("%v is told that it was replaced, and has the store's epoch", o)
	}
	o.fenced = true
}

// lookAround is outbox.lookAround, at each tick.
func (o *owner) lookAround() {
	h := o.h
	if o.stint == nil || h.now < o.lookAt || h.rules.broken == neverLooks {
		return
	}
	o.lookAt = h.now + h.cfg.ReadTimeout + ownerLook
	o.looks++
	look := o.looks
	o.call("look", h.now+h.cfg.ReadTimeout, h.store.load, func(r storeReply) {
		if o.looks == look {
			o.lookAt = h.now + ownerLook
		}
		if st := o.stint; st != nil && r.err == nil && r.epoch > o.epoch {
			h.stats[statLearnedByLook]++
			o.learn()
			st.step(Fenced{})
		}
	})
}

// restart is what the actor's supervisor does after a panic.
func (o *owner) restart() {
	if o.asleep {
		return
	}
	h := o.h
	h.logf("%v restarts", o)
	o.halt()
	o.later(h.span(0, 500*time.Millisecond), o.acquire)
}

// halt leaves an instance behind, with all that it has caused.
func (o *owner) halt() {
	o.incarnation++
	if o.stint != nil {
		o.stint.end()
	}
	o.stint = nil
}

// kill ends the process.
func (o *owner) kill() {
	o.h.logf("%v dies", o)
	o.gone = true
	o.halt()
}

// stop is what the actor does when it is told to, or wants to itself: it saves what it has to say, and is gone.
func (o *owner) stop() {
	h := o.h
	if o.asleep || o.gone {
		return
	}
	h.logf("%v stops", o)
	st := o.stint
	o.halt()
	if st != nil {
		if last, ok := st.ledger.Final(); ok {
			if o.fenced {
				h.failf("%v has a last snapshot to save although it knows that it was replaced", o)
			}
			h.stats[statHandoverFinal]++
			v := st.make(last)
			o.call(fmt.Sprintf("last save %d", last.Index), h.now, func() storeReply { return storeReply{err: h.store.save(st, last.Index, v)} }, func(storeReply) {})
		}
	}
	o.gone = true
}

// drain is the graceful end.
func (o *owner) drain() {
	if st := o.stint; st != nil && !o.asleep {
		st.step(Drain{Token: 2, Deadline: o.h.clock().Add(o.h.span(0, 2*time.Second))})
	}
}

// sleep suspends the process, as SIGSTOP does. What is on its way to the store or the sink arrives.
func (o *owner) sleep(d time.Duration) {
	if o.asleep {
		return
	}
	o.h.logf("%v falls asleep for %v", o, d)
	o.asleep = true
	o.h.after(d, o.wake)
}

// wake goes on. All that was due meanwhile happens now, in no order that one could rely on.
func (o *owner) wake() {
	if !o.asleep {
		return
	}
	o.h.logf("%v wakes up", o)
	o.asleep, o.wokeAt = false, o.h.now
	due := o.mailbox
	o.mailbox = nil
	o.h.rng.Shuffle(len(due), func(i, k int) { due[i], due[k] = due[k], due[i] })
	for _, do := range due {
		o.awake(do)
	}
}
