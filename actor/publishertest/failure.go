package publishertest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
)

// failureCases have events fail in the middle of a batch: the id that fails waits, the others go on, and when what
// failed is published again it is delivered, in order.
func failureCases() []testCase {
	const batch = "a/1 b/1 a/2 b/2 a/3 c/1 a/4"
	var cases []testCase
	for _, p := range []plan{reject, busy, lose} {
		for _, failing := range []string{"a/1", "a/2", "a/4", "b/2", "c/1"} {
			cases = append(cases, testCase{
				fmt.Sprintf("%s %v", failing, p), func(f Facts) bool { return f.can(p) }, func(t testing.TB, s *subject) {
					s.publishWith(t, s.events(batch), map[string]plan{failing: p})
				},
			})
		}
	}
	return append(cases,
		testCase{"two ids fail differently", func(f Facts) bool { return f.can(reject) && f.can(busy) }, func(t testing.TB, s *subject) {
			s.publishWith(t, s.events(batch), map[string]plan{"a/2": busy, "b/1": reject})
		}},
		testCase{"every event fails", canBeBusy, func(t testing.TB, s *subject) {
			plans := map[string]plan{}
			for id := range strings.FieldsSeq(batch) {
				plans[id] = busy
			}
			s.publishWith(t, s.events(batch), plans)
		}},
		testCase{"at random", nil, func(t testing.TB, s *subject) {
			possible := []plan{accept}
			for _, p := range []plan{reject, busy, lose} {
				if s.h.Facts.can(p) {
					possible = append(possible, p)
				}
			}
			for seed := range uint64(20) {
				random := rand.New(rand.NewPCG(seed, 0))
				seq := map[string]int64{}
				var events []publisher.Event
				plans := map[string]plan{}
				for range 1 + random.IntN(25) {
					name := fmt.Sprintf("seed-%d-%d", seed, random.IntN(5))
					seq[name]++
					e := s.event(name, seq[name])
					events = append(events, e)
					if random.IntN(4) == 0 {
						plans[e.ID()] = possible[random.IntN(len(possible))]
					}
				}
				s.publishWith(t, events, plans)
				if t.Failed() {
					t.Fatalf("seed %d: %v", seed, plans)
				}
			}
		}},
	)
}

// publishWith publishes a batch of which events fail as planned, checks what becomes of each, and publishes what was
// not delivered until it is.
func (s *subject) publishWith(t testing.TB, events []publisher.Event, plans map[string]plan) {
	t.Helper()
	for id, p := range plans {
		s.sink.plan(id, p)
	}
	rejected, delivered := map[string]bool{}, map[string]bool{}
	left := events
	// Each round gets past an event of an id, or past what was planned for it.
	for round := 0; len(left) > 0; round++ {
		if round > 2*len(events) {
			t.Fatalf("published %d times, %d of %d events are still not delivered", round, len(left), len(events))
		}
		for _, batch := range s.batches(left, round) {
			c := s.publish(s.context(t), t, batch)
			s.wantAsPlanned(t, c, plans)
			if t.Failed() {
				t.FailNow()
			}
			for i := range batch {
				switch id := batch[i].ID(); c.outcome(i) {
				case "delivered":
					delivered[id] = true
				case "permanent":
					rejected[id] = true
				}
			}
		}
		left = slices.DeleteFunc(slices.Clone(left), func(e publisher.Event) bool { return delivered[e.ID()] || rejected[e.ID()] })
	}
	s.inOrder(t, slices.DeleteFunc(slices.Clone(events), func(e publisher.Event) bool { return rejected[e.ID()] }))
	for id := range rejected {
		if len(s.sink.taken(id)) > 0 {
			t.Errorf("event %q was given up for good, but the sink has it", id)
		}
	}
}

// batches are how events are published: all at once, but where no answer tells which is to blame, the first of each id
// alone from the second round on, as an outbox does it.
func (s *subject) batches(events []publisher.Event, round int) [][]publisher.Event {
	if round == 0 || !s.h.Facts.AllOrNothing {
		return [][]publisher.Event{events}
	}
	var alone [][]publisher.Event
	seen := map[string]bool{}
	for _, e := range events {
		if !seen[e.PersistenceID] {
			alone = append(alone, []publisher.Event{e})
		}
		seen[e.PersistenceID] = true
	}
	return alone
}

// wantAsPlanned checks the outcome of each event of a batch against what was planned for them, and forgets the plans that
// have come true.
func (s *subject) wantAsPlanned(t testing.TB, c *call, plans map[string]plan) {
	t.Helper()
	together := s.h.Facts.AllOrNothing && len(c.given) > 1
	failing := slices.ContainsFunc(c.given, func(e publisher.Event) bool { return plans[e.ID()] != accept })
	sent := map[string]bool{}
	for _, a := range s.sink.attempts(c.first) {
		sent[a.ID] = true
	}
	failed := map[string]bool{}
	for i := range c.given {
		e := &c.given[i]
		p := plans[e.ID()]
		switch {
		case together && failing:
			// Nothing can be told of one event.
			c.want(t, i, "delivered", "unknown", "retry", "permanent")
		case failed[e.PersistenceID]:
			c.want(t, i, "unknown", "retry")
		case p == reject:
			c.want(t, i, "permanent")
		case p != accept:
			c.want(t, i, "unknown", "retry")
		default:
			c.want(t, i, "delivered")
		}
		if p != accept {
			failed[e.PersistenceID] = true
		}
		if p != reject && sent[e.ID()] {
			delete(plans, e.ID())
		}
	}
}
