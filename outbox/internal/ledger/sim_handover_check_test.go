package ledger

import (
	"slices"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// replaced reports whether another has taken over, whether the stint knows it or not.
func (st *stint) replaced() bool { return st.epoch < st.h.store.epoch }

// checkSent checks one event of a batch: it is not known to be recorded, and all before it of its id are resolved, or in
// the batch.
func (st *stint) checkSent(d Dispatch, i int) {
	h, ev := st.h, d.Events[i]
	e := h.journal.event(ev.PersistenceID, ev.SequenceNumber)
	switch {
	case !e.matches:
		h.failf("%v sends %s, which the filter leaves out", st, e.ID())
	case st.known.records(e):
		h.failf("%v sends %s, which the snapshot that it knows records", st, e.ID())
	}
	for _, earlier := range h.matchingBefore(ev) {
		before := slices.ContainsFunc(d.Events[:i], func(o *query.Event) bool {
			return o.PersistenceID == earlier.PersistenceID && o.SequenceNumber == earlier.SequenceNumber
		})
		if !before && !earlier.acked && !h.givenUp[earlier] {
			h.failf("order: %v sends %s before %s is acknowledged, or parked in the store", st, e.ID(), earlier.ID())
		}
	}
	if st.replaced() {
		h.stats[statZombieSent]++
	}
	st.sent[e] = true
}

// take has the sink get an event. For the first time it must be in order.
func (st *stint) take(e *simEvent) {
	h := st.h
	if e.delivered == 0 {
		for _, earlier := range h.matchingBefore(&e.Event) {
			if earlier.delivered == 0 && !h.givenUp[earlier] {
				h.failf("order: the sink gets %s, from %v, before %s", e.ID(), st, earlier.ID())
			}
		}
	}
	e.delivered++
	if st.replaced() {
		h.stats[statZombieDelivered]++
	}
}

// acknowledged has the stint know that an event was delivered. The first who knows must know in order.
func (st *stint) acknowledged(e *simEvent) {
	h := st.h
	if e.delivered == 0 {
		h.failf("the simulation is wrong: %s is acknowledged, but the sink has not got it", e.ID())
	}
	if st.replaced() {
		h.stats[statZombieAcked]++
		h.stats[statZombieFirst] += count(!e.acked)
	}
	if e.acked {
		h.stats[statHandoverDuplicates]++
		return
	}
	for _, earlier := range h.matchingBefore(&e.Event) {
		if !earlier.acked && !h.givenUp[earlier] {
			h.failf("order: %s is acknowledged, to %v, before %s", e.ID(), st, earlier.ID())
		}
	}
	e.acked = true
	if h.givenUp[e] && slices.ContainsFunc(h.journal.byID[e.PersistenceID][e.SequenceNumber:], func(e *simEvent) bool { return e.acked }) {
		h.stats[statDeliveredAfterParked]++
	}
}

// checkBound checks what the stint leaves to the next life, all of it up to now: MaxUnsaved events that it has sent, and that
// the snapshot from which the next life begins does not record.
func (st *stint) checkBound() {
	h := st.h
	if st.next == nil {
		st.next = h.store.takenFrom[st.epoch+1]
	}
	recorded := st.next
	if recorded == nil {
		recorded = st.known
	}
	n := 0
	for e := range st.sent {
		n += count(!recorded.records(e))
	}
	if n > h.cfg.MaxUnsaved {
		h.failf("%v has sent %d events that are not recorded where the next life begins, at most %d may be", st, n, h.cfg.MaxUnsaved)
	}
	h.stats[statBoundReached] += count(n == h.cfg.MaxUnsaved && st.replaced())
}

// countUnrecorded counts the takeovers that may repeat more than one owner leaves.
func (h *handover) countUnrecorded() {
	n := 0
	for _, e := range h.journal.events {
		n += count(e.acked && !h.store.view.records(e))
	}
	h.stats[statSeveralLeft] += count(n > h.cfg.MaxUnsaved)
}

// checkSnapshot checks that a snapshot is true, and forgets nothing that was known to be recorded.
func (st *stint) checkSnapshot(index int64, v *view) {
	h := st.h
	for _, e := range h.journal.events {
		switch {
		case !e.matches:
		case v.isSettled(e) && !e.acked && !st.skipped[e] && !h.givenUp[e]:
			h.failf("%v: save %d records %s, which was never acknowledged", st, index, e.ID())
		case st.known.records(e) && !v.records(e):
			h.failf("%v: save %d no longer records %s", st, index, e.ID())
		}
	}
}

// checkSaved checks what the store is about to take.
func (s *fencedStore) checkSaved(by *stint, index int64, v *view) {
	for epoch := range s.given {
		if epoch > by.epoch {
			s.h.failf("%v saves in epoch %d, and epoch %d was given to %v", by, by.epoch, epoch, s.given[epoch])
		}
	}
	switch {
	case s.given[by.epoch] != by.owner:
		s.h.failf("%v saves in epoch %d, which was given to %v", by, by.epoch, s.given[by.epoch])
	case index <= s.highest:
		s.h.failf("%v saves snapshot %d after %d", by, index, s.highest)
	case by.made[index] != v:
		s.h.failf("snapshot %d of %v is not the one that it has made", index, by)
	}
	if st := s.h.current(); st != nil {
		st.checkRecorded(v, "what the store takes")
	}
}

// checkBeginning checks that nothing is forgotten which those before it know to be saved.
func (st *stint) checkBeginning() {
	for _, o := range st.h.owners {
		if before := o.last; before != nil && before.epoch < st.epoch {
			before.checkRecorded(st.known, "where "+st.String()+" begins")
		}
	}
}

// checkRecorded checks that a snapshot records what the stint knows to be saved.
func (st *stint) checkRecorded(v *view, what string) {
	if v == st.known {
		return
	}
	for _, e := range st.h.journal.events {
		if e.matches && st.known.records(e) && !v.records(e) {
			st.h.failf("%s does not record %s, which %v knows to be saved", what, e.ID(), st)
		}
	}
}

// checkBelieved checks that a save which the stint takes for done was stored.
func (st *stint) checkBelieved() {
	if !st.h.store.kept[st.known] {
		st.h.failf("%v takes a snapshot for saved that was never stored", st)
	}
}

// checkLearning checks that one who was replaced does not go on for longer than it may, while it is awake and the store
// answers.
func (st *stint) checkLearning() {
	h, o := st.h, st.owner
	if dirty := st.ledger.dirty(); dirty != st.dirty {
		st.dirty, st.dirtySince = dirty, h.now
	}
	if !st.replaced() || (h.faults.storeIsBad() && !h.healed) {
		return
	}
	since := max(st.begunAt, o.wokeAt, h.store.takenAt[st.epoch+1])
	slack := 4*roundTrip + h.cfg.PollInterval + grain
	look := ownerLook + h.cfg.IdlePollInterval
	if h.faults.storeIsBad() {
		since = max(since, h.healedAt)
		look += h.cfg.ReadTimeout + ownerLook // a look whose answer was lost, or came at the last moment and told of before
	} else if st.dirty && h.now > max(since, st.dirtySince)+h.cfg.SaveInterval+slack {
		h.failf("%v was replaced at %v, has had something to save since %v, is awake since %v, and does not know it", st, h.store.takenAt[st.epoch+1], st.dirtySince, o.wokeAt)
	}
	if h.now > since+look+slack {
		h.failf("%v was replaced at %v, is awake since %v, and does not know it", st, h.store.takenAt[st.epoch+1], o.wokeAt)
	}
}

// countTakeover tells what a takeover that reaches the store means for those who are there.
func (s *fencedStore) countTakeover(by *owner, call *acquireCall) {
	h := s.h
	h.stats[statTakenOver]++
	before := s.owner
	inUse := before != nil && !before.gone && (before.epoch == s.epoch || before.waitsFor(s.call))
	switch {
	case by.waitsFor(call) || !inUse:
	case before == by:
		h.stats[statFencedByItself]++
		h.logf("%v is fenced by an Acquire of its own, that was thought lost", by)
		if h.rules.acquire == acquireSeen {
			h.failf("%v, which has seen a later epoch, is fenced by an Acquire of its own", by)
		}
	case !by.gone && by.epoch == 0: // it has given up on this one, and goes on trying
	default:
		h.stats[statFencedForNobody]++
		h.logf("%v is fenced by %v, which is not there to know", before, by)
	}
}
