package publishertest

import (
	"context"
	"fmt"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
)

// call is one call of Publish.
type call struct {
	given    []publisher.Event // a copy from before the call
	events   []publisher.Event // what Publish was given
	first    int               // of the sink's attempts, when it began
	returned bool              // in time
	panicked string
	failures map[int]publisher.Failure
}

// call calls Publish as the publisher actor does, and waits until it returns, or should have.
func (s *subject) call(ctx context.Context, events []publisher.Event) *call {
	c := &call{given: clone(events), events: events, first: s.sink.arrived()}
	type answer struct {
		failures []publisher.Failure
		panicked string
	}
	answers := make(chan answer, 1)
	go func() {
		a := answer{panicked: "Publish ended its goroutine"}
		defer func() {
			if v := recover(); v != nil {
				a.panicked = fmt.Sprintf("Publish panicked: %v\n%s", v, debug.Stack())
			}
			answers <- a
		}()
		failures := publisher.Deliver(ctx, s.Publisher, events)
		a = answer{failures: failures}
	}()
	var a answer
	select {
	case a = <-answers:
	case <-ctx.Done():
		grace := time.NewTimer(s.patience)
		defer grace.Stop()
		select {
		case a = <-answers:
		case <-grace.C:
			return c
		}
	}
	c.returned, c.panicked = true, a.panicked
	c.failures = make(map[int]publisher.Failure, len(a.failures))
	for _, f := range a.failures {
		c.failures[f.Index] = f
	}
	return c
}

// publish calls Publish and checks all that always holds.
func (s *subject) publish(ctx context.Context, t testing.TB, events []publisher.Event) *call {
	t.Helper()
	c := s.call(ctx, events)
	s.check(t, c)
	return c
}

// check fails the test if a call broke a promise that does not depend on what the case is about.
func (s *subject) check(t testing.TB, c *call) {
	t.Helper()
	switch {
	case !c.returned:
		t.Fatalf("Publish has not returned %v after its context ended", s.patience)
	case c.panicked != "":
		t.Fatal(c.panicked)
	}
	for i := range c.events {
		if !reflect.DeepEqual(c.given[i], c.events[i]) {
			t.Errorf("Publish has modified event %q: %+v became %+v", c.given[i].ID(), c.given[i], c.events[i])
		}
	}
	s.checkDelivered(t, c)
	attempts := s.sink.attempts(c.first)
	for i := range c.given {
		s.checkOutcome(t, c, i, attempts)
	}
	s.checkOrder(t, c, attempts)
	if t.Failed() {
		t.FailNow()
	}
}

// checkDelivered checks that the sink has all that was said to be delivered, and as it was given.
func (s *subject) checkDelivered(t testing.TB, c *call) {
	t.Helper()
	for i := range c.given {
		if !c.ok(i) {
			continue
		}
		e := &c.given[i]
		if !s.sink.await(s.patience, func() bool { return len(s.sink.taken(e.ID())) > 0 }) {
			t.Errorf("event %q was said to be delivered, but the sink does not have it", e.ID())
			return // one such is enough, and each takes its time
		}
		got := s.sink.taken(e.ID())
		want := s.h.Facts.expected(e)
		if d := difference(want, s.h.Facts.carried(got[len(got)-1])); d != "" {
			t.Errorf("event %q did not reach the sink as it was given: %s", e.ID(), d)
		}
	}
}

// checkOutcome checks that the answer about an event says no more than the publisher can know.
func (s *subject) checkOutcome(t testing.TB, c *call, i int, attempts []attempt) {
	t.Helper()
	id := c.given[i].ID()
	f, failed := c.failures[i]
	if failed && f.Err == nil {
		t.Errorf("event %q failed without an error that says why", id)
	}
	last, sent := accept, false
	for _, a := range attempts {
		if a.ID == id {
			last, sent = a.plan, true
		}
	}
	switch {
	case !failed && last != accept && last != hold:
		t.Errorf("event %q was said to be delivered, though it %v", id, last)
	case failed && f.Outcome == publisher.OutcomePermanent && sent && last != reject:
		t.Errorf("event %q was given up for good, though it %v: %v", id, last, f.Err)
	}
}

// checkOrder checks that within each id nothing was sent, or said to be delivered, after a failure.
func (s *subject) checkOrder(t testing.TB, c *call, attempts []attempt) {
	t.Helper()
	failed := map[string]string{} // id → the event that failed
	position := make(map[string]int, len(c.given))
	for i := range c.given {
		e := &c.given[i]
		position[e.ID()] = i
		switch before, held := failed[e.PersistenceID]; {
		case held && c.ok(i):
			t.Errorf("event %q was said to be delivered after %q, which failed before it", e.ID(), before)
		case !held && !c.ok(i):
			failed[e.PersistenceID] = e.ID()
		}
	}

	type progress struct {
		at     int
		failed bool
	}
	last := map[string]progress{}
	for _, a := range attempts {
		i, mine := position[a.ID]
		if !mine {
			continue
		}
		name := c.given[i].PersistenceID
		before, found := last[name]
		switch {
		case found && before.failed && before.at < i:
			t.Errorf("event %q was sent although %q, before it, had failed", a.ID, c.given[before.at].ID())
		case found && before.at > i:
			t.Errorf("event %q was sent after %q: the order of the id is lost", a.ID, c.given[before.at].ID())
		}
		last[name] = progress{i, a.plan != accept && a.plan != hold}
	}
}

// ok reports whether the answer says that event i was delivered.
func (c *call) ok(i int) bool {
	_, failed := c.failures[i]
	return !failed
}

// outcome is what the answer says about event i.
func (c *call) outcome(i int) string {
	if f, failed := c.failures[i]; failed {
		return f.Outcome.String()
	}
	return "delivered"
}

// want fails the test unless the outcome of event i is one of those.
func (c *call) want(t testing.TB, i int, outcomes ...string) {
	t.Helper()
	if got := c.outcome(i); !slices.Contains(outcomes, got) {
		t.Errorf("event %q: the outcome is %s, it has to be %s; error: %v",
			c.given[i].ID(), got, strings.Join(outcomes, " or "), c.failures[i].Err)
	}
}

// deliver publishes events that nothing is planned for, and fails the test unless all are delivered.
func (s *subject) deliver(t testing.TB, events []publisher.Event) {
	t.Helper()
	c := s.publish(s.context(t), t, events)
	c.wantAll(t, "delivered")
	if t.Failed() {
		t.FailNow()
	}
}

// wantAll is want for every event.
func (c *call) wantAll(t testing.TB, outcomes ...string) {
	t.Helper()
	for i := range c.given {
		c.want(t, i, outcomes...)
	}
}

// neverAgain has the end of the case check that nothing was sent that had to wait: of each id, the events after the
// first that failed. They are not published again by the case. What was under way when the call ended may still arrive,
// so only these can be told to be wrong.
func (s *subject) neverAgain(c *call) {
	s.last = append(s.last, func(t testing.TB) {
		failed := map[string]bool{}
		for i := range c.given {
			e := &c.given[i]
			if failed[e.PersistenceID] && s.sink.has(e.ID()) {
				t.Errorf("event %q was sent although an earlier one of its id had failed, after Publish had returned", e.ID())
			}
			failed[e.PersistenceID] = failed[e.PersistenceID] || !c.ok(i)
		}
	})
}
