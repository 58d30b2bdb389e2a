package ledger

import (
	"errors"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// fencedStore is query.SnapshotStore for the one key, and keeps the books by which it is judged itself.
type fencedStore struct {
	h            *handover
	epoch, index int64
	view         *view
	by           *stint // whose that is
	owner        *owner // who acquired last
	call         *acquireCall

	given     map[int64]*owner // to whom each epoch went
	takenFrom map[int64]*view  // what was stored when each epoch began
	takenAt   map[int64]time.Duration
	kept      map[*view]bool // all that were ever stored
	highest   int64          // index ever stored
}

func newFencedStore(h *handover) *fencedStore {
	empty := viewOf(Snapshot{})
	return &fencedStore{
		h: h, view: empty, given: make(map[int64]*owner), takenFrom: make(map[int64]*view), takenAt: make(map[int64]time.Duration),
		kept: map[*view]bool{empty: true},
	}
}

// storeReply is what a call to the store returns. An error other than query.ErrFenced, query.ErrStaleIndex and
// query.ErrTakenMeanwhile leaves the outcome unknown.
type storeReply struct {
	epoch, index int64
	view         *view
	err          error
}

var errUnanswered = errors.New("the store did not answer in time")

func (s *fencedStore) load() storeReply {
	return storeReply{epoch: s.epoch, index: s.index, view: s.view}
}

// acquire is query.SnapshotStore.Acquire.
func (s *fencedStore) acquire(by *owner, call *acquireCall, seen int64) storeReply {
	h := s.h
	switch {
	case call.held != 0:
		if call.held != s.epoch && h.rules.broken != provesAnyEpoch {
			return storeReply{err: query.ErrFenced}
		}
		h.stats[statProved]++
		return s.load()
	case h.rules.acquire == acquireNamed && s.owner == by:
		return s.load()
	case h.rules.acquire == acquireSeen && h.rules.broken != takesOverFromAny && seen != s.epoch:
		h.stats[statTakenMeanwhile]++
		return storeReply{err: query.ErrTakenMeanwhile}
	}
	s.countTakeover(by, call)
	if s.epoch == 0 || h.rules.broken != epochNotRaised {
		s.epoch++
	}
	s.owner, s.call = by, call
	if other := s.given[s.epoch]; other != nil && other != by {
		h.failf("%v and %v both have epoch %d", other, by, s.epoch)
	}
	s.given[s.epoch], s.takenFrom[s.epoch], s.takenAt[s.epoch] = by, s.view, h.now
	for _, o := range h.owners {
		if o.stint != nil {
			o.stint.checkBound()
		}
	}
	h.countUnrecorded()
	return s.load()
}

// save is query.SnapshotStore.Save.
func (s *fencedStore) save(by *stint, index int64, v *view) error {
	h := s.h
	switch {
	case by.epoch != s.epoch && h.rules.broken != savesOfAnyEpoch:
		h.stats[statSaveFenced]++
		return query.ErrFenced
	case index <= s.index && h.rules.broken != savesOfAnyIndex:
		h.stats[statHandoverSaveStale]++
		return query.ErrStaleIndex
	}
	s.checkSaved(by, index, v)
	s.index, s.view, s.by, s.highest = index, v, by, index
	s.kept[v] = true
	for _, e := range h.journal.events {
		if v.isParked(e) || (by.skipped[e] && v.isSettled(e)) { // what was skipped leaves the snapshot with the watermark
			h.givenUp[e] = true
		}
	}
	return nil
}

// acquireRule is what a store does with an Acquire that holds nothing.
type acquireRule uint8

const (
	// acquireSeen, the product's: whoever comes says which epoch it has seen, and takes over if that is still the current one.
	acquireSeen acquireRule = iota
	// acquirePlain: whoever comes takes over.
	acquirePlain
	// acquireNamed: the store knows the owner, and gives the epoch that it has to one who owns the name already.
	acquireNamed
)

// call makes a call to the store, as the actor does off its mailbox. The request may arrive late or never, also after the
// caller has given up, or died; so may the answer. A store that does not keep to its context answers too late rather than
// not at all.
func (o *owner) call(what string, deadline time.Duration, do func() storeReply, hear func(storeReply)) {
	h := o.h
	heard, incarnation := false, o.incarnation
	once := func(r storeReply) {
		o.goOn(incarnation, func() {
			if !heard {
				heard = true
				hear(r)
			}
		})
	}
	o.disturb()
	way := o.way()
	if !way.lost {
		h.after(way.there, func() {
			r := do()
			h.logf("%v: %s reaches the store: epoch %d, index %d, %v", o, what, r.epoch, r.index, r.err)
			if !way.unheard {
				h.after(way.back, func() { once(r) })
			}
		})
	}
	if !h.faults.deaf {
		h.after(deadline-h.now, func() { once(storeReply{err: errUnanswered}) })
	}
}

// disturb has something happen while a request is on its way.
func (o *owner) disturb() {
	h := o.h
	if h.healed || !h.chance(h.faults.timely) {
		return
	}
	h.stats[statTimely]++
	do := []func(){o.restart, func() { o.sleep(h.span(0, 10*time.Second)) }, h.spawn}[h.rng.IntN(3)]
	h.after(h.span(0, 2*roundTrip), func() {
		if !o.gone {
			do()
		}
	})
}

// way is what happens to a request and its answer.
type way struct {
	lost, unheard bool
	there, back   time.Duration
}

const roundTrip = 20 * time.Millisecond

func (o *owner) way() way {
	h := o.h
	f := &h.faults
	w := way{there: h.span(0, roundTrip/2), back: h.span(0, roundTrip/2)}
	if h.healed {
		return w
	}
	if left := o.cutUntil - h.now; left > 0 {
		// What was sent before the cut was seen may arrive when it is over.
		w.lost, w.unheard = h.chance(0.5), h.chance(0.5)
		w.there, w.back = w.there+h.span(0, 2*left), w.back+h.span(0, 2*left)
		return w
	}
	switch {
	case h.chance(f.requestLost):
		w.lost = true
	case h.chance(f.requestLate):
		w.there += h.span(0, f.late)
	}
	switch {
	case h.chance(f.answerLost):
		w.unheard = true
	case h.chance(f.answerLate):
		w.back += h.span(0, f.late)
	}
	return w
}
