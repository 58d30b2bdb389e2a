package ledger

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// The hand-over simulation lets several outboxes of one name live at once, over one journal, one fenced snapshot store and
// one sink. Each has the rules of outbox/recovery.go, snapshot.go, effects.go and stop.go around a real ledger, as far as they
// have to do with ownership. Owners are suspended and wake up, die, restart, stop, drain, are cut off from the store; others
// take over at any moment. A request to the store, or its answer, is late or lost: a save may land after a takeover, an
// Acquire after a later one. What an owner gave to its publishers may arrive after it was replaced.
//
// What must be true, after each step:
//
//  1. No loss. What a snapshot records as settled was acknowledged to some owner, or let go of by the rule. In the end the
//     last owner has recorded every event, and it was acknowledged, parked or skipped.
//
//  2. Order. The first delivery, and the first acknowledgement, of an event, whoever's, comes after those of all events
//     before it of its id, but for those that a stored snapshot has as parked or skipped. It holds with any number of owners:
//     each goes through an id in order, from a snapshot that records only what was acknowledged to those before. So what all
//     have acknowledged together is without a hole, and only its end is new. What one owner has parked, another who does
//     not know may still deliver, later than what follows it.
//
//  3. One owner. No epoch is given to two. Each snapshot that the store takes is by the owner of the greatest epoch, and has
//     a greater index than any before. A save that its owner believes in was stored.
//
//  4. Duplicates. Of the events that one life of an owner sends, from its beginning to its very end, the snapshot from which
//     the next life begins records all but MaxUnsaved at most. That includes what it sends after it was replaced, and before
//     it knows. (What a crash repeats may come from several owners, if one who was replaced goes on with other events
//     than its successor: each is within its own bound.)
//
//  5. Who is replaced learns of it by the first answer of the store that tells, and then asks for nothing more, nor acquires
//     again. While the store answers, that is within the save interval if it has something to save, and within the
//     regular look otherwise.
//
//  6. An Acquire that was thought lost, and lands after a later one of the same owner, fences nobody.
//
//  7. No mixture: what the store holds was made, as a whole, by an owner of the epoch that it was saved under.
//
// Not in it: what an operator does (a rewind begins a new pass, which a replaced owner knows nothing of), a store that was
// restored from a copy, and reservations of the name within one actor system.
//
// Its files:
//
//	sim_handover_test.go           entry, and the course of a run
//	sim_handover_owner_test.go     the actor: how it acquires, proves, looks, restarts, stops
//	sim_handover_stint_test.go     one ledger of an actor, and the carrying out of its effects
//	sim_handover_store_test.go     the snapshot store, and the way to it
//	sim_handover_sink_test.go      publishers and the sink
//	sim_handover_check_test.go     what must be true
//	sim_handover_faults_test.go    faults and statistics
//	sim_handover_mutation_test.go  rules broken on purpose, which all this must find
//	sim_handover_acquire_test.go   an Acquire that lands late, and what other rules would make of it
//	sim_handover_trim_test.go      a save that lands late and is trimmed by
func TestHandoverSimulation(t *testing.T) {
	var (
		total handoverStatistics
		mu    sync.Mutex
	)
	count := overSeeds(t, func(seed uint64, logging bool) (string, error) {
		h, err := handOver(seed, handoverRules{}, logging)
		mu.Lock()
		defer mu.Unlock()
		total.add(&h.stats)
		return h.transcript.String(), err
	})
	if count == 0 || t.Failed() {
		return
	}
	t.Log(total.String())
	if count >= statisticsFrom {
		require.Empty(t, total.missing(), "these never happened: the simulation no longer exercises them")
	}
}

func TestTheSameSeedGivesTheSameHandover(t *testing.T) {
	for seed := uint64(1); seed <= 10; seed++ {
		a, errA := handOver(seed, handoverRules{}, true)
		b, errB := handOver(seed, handoverRules{}, true)
		require.Equal(t, errA, errB)
		require.NotZero(t, a.transcript.Len())
		require.Equal(t, a.transcript.String(), b.transcript.String(), "seed %d", seed)
	}
}

// handover is one run.
type handover struct {
	*virtual
	cfg    Config
	rules  handoverRules
	faults handoverFaults
	stats  handoverStatistics

	journal *simJournal
	store   *fencedStore
	owners  []*owner // all there ever were
	// givenUp are the events that some stored snapshot has had as parked or skipped.
	givenUp  map[*simEvent]bool
	healed   bool
	healedAt time.Duration // since then the store answers soon; what was late may still come
}

// handOver runs a seed to its end, or to the first thing that must not be.
func handOver(seed uint64, rules handoverRules, logging bool) (h *handover, err error) {
	h = &handover{virtual: newVirtual(seed, 0x68616e646f766572, logging), rules: rules, givenUp: make(map[*simEvent]bool)}
	return h, h.guard(h.run)
}

func (h *handover) run() {
	h.cfg = h.drawConfig()
	h.faults = h.drawHandoverFaults()
	h.journal = newSimJournal(h.cfg.Filter)
	h.store = newFencedStore(h)
	h.logf("%+v", h.faults)
	f := &h.faults
	some := func(n int, what handoverStatistic, do func(*owner)) {
		for range n {
			h.after(h.span(0, f.length), func() {
				if o := h.someOwner(); o != nil {
					h.stats[what]++
					do(o)
				}
			})
		}
	}
	for range f.events {
		h.after(h.span(0, f.length), h.write)
	}
	h.spawn()
	for range f.takeovers {
		h.after(h.span(0, f.length), h.spawn)
	}
	some(f.sleeps, statSlept, func(o *owner) { o.sleep(h.span(0, 15*time.Second)) })
	some(f.cuts, statCut, func(o *owner) { o.cutUntil = h.now + h.span(0, 10*time.Second) })
	some(f.restarts, statHandoverRestart, (*owner).restart)
	some(f.kills, statHandoverKill, (*owner).kill)
	some(f.stops, statHandoverStop, (*owner).stop)
	some(f.drains, statHandoverDrain, (*owner).drain)
	for range f.trims {
		h.after(h.span(0, f.length), h.trim)
	}
	h.keep()
	h.runFor(f.length)

	h.logf("---- healed")
	h.healed, h.healedAt = true, h.now
	for _, o := range h.owners {
		o.cutUntil = 0
		o.wake()
	}
	for range h.between(1, 10) {
		h.after(h.span(0, 3*time.Second), h.write)
	}
	h.runFor(3 * time.Second)
	h.rest()
}

// keep does what the application or a cluster does: where nobody is, somebody is started. It has an operator's patience with
// ids that wait for one.
func (h *handover) keep() {
	h.after(h.span(500*time.Millisecond, 1500*time.Millisecond), func() {
		if !slices.ContainsFunc(h.owners, func(o *owner) bool { return !o.gone }) {
			h.spawn()
		}
		if st := h.current(); h.healed && st != nil && len(st.ledger.stuck()) > 0 {
			st.step(RetryNow{Token: 1})
		}
		h.keep()
	})
}

// write has some actor persist an event.
func (h *handover) write() {
	var tags []string
	if h.chance(0.7) {
		tags = []string{"wanted"}
	}
	e := h.journal.append(idName(h.rng.IntN(h.faults.ids)), h.between(0, 1), h.between(0, 500), tags, h.clock())
	h.logf("%s is written at %d, selected: %t", e.ID(), e.Offset, e.matches)
}

// trim has the journal remove what the stored snapshot no longer needs, whichever life that is of.
func (h *handover) trim() {
	n := h.journal.trim(h.store.view)
	h.stats[statHandoverTrimmed] += n
	h.logf("the journal removes %d events at or below %d", n, h.store.view.Watermark)
}

// someOwner picks one of those that are there.
func (h *handover) someOwner() *owner {
	there := slices.DeleteFunc(slices.Clone(h.owners), func(o *owner) bool { return o.gone })
	if len(there) == 0 {
		return nil
	}
	return there[h.rng.IntN(len(there))]
}

// current is the ledger of the store's epoch, nil while there is none.
func (h *handover) current() *stint {
	for _, o := range h.owners {
		if st := o.stint; st != nil && st.epoch == h.store.epoch {
			return st
		}
	}
	return nil
}

// rest waits until one owner is left that has recorded everything, and checks that nothing was lost.
func (h *handover) rest() {
	for end := h.now + patience; h.unrest() != nil; {
		if h.now > end {
			h.failf("%v should be long enough to come to rest: %v", patience, h.unrest())
		}
		h.runFor(200 * time.Millisecond)
	}
	for _, e := range h.journal.events {
		if e.matches && !e.acked && !h.givenUp[e] {
			h.failf("%s is lost", e.ID())
		}
		h.stats[statHandoverEvents] += count(e.matches)
	}
}

// unrest is why the run is not at rest yet.
func (h *handover) unrest() error {
	var left []*owner
	for _, o := range h.owners {
		if !o.gone {
			left = append(left, o)
		}
	}
	st := h.current()
	switch {
	case len(left) != 1 || st == nil || st != left[0].stint:
		return fmt.Errorf("%d owners are there, the current one is %v", len(left), st)
	case !st.ledger.clean() || len(st.batches) > 0 || h.store.view.Watermark < h.journal.head:
		return fmt.Errorf("%v is not done: watermark %d of %d, unsaved %d, held %d", st, h.store.view.Watermark, h.journal.head, st.ledger.unsaved, len(st.ledger.held))
	}
	for _, e := range h.journal.events {
		if e.matches && !h.store.view.records(e) {
			return errors.New(e.ID() + " is not recorded")
		}
	}
	return nil
}

// matching are the events of an id before a sequence number that the filter selects.
func (h *handover) matchingBefore(e *query.Event) []*simEvent {
	return slices.DeleteFunc(slices.Clone(h.journal.byID[e.PersistenceID][:e.SequenceNumber-1]), func(e *simEvent) bool { return !e.matches })
}
