package outboxtest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
)

// FailNext has the next publish of the persistence id fail with err, and those after it, one by one, with more. The event
// does not reach the publisher, nor do those of its id behind it. What the errors mean is as for publisher.Func: with
// publisher.Permanent the event is parked, publisher.RetryAfter says when to try again, publisher.Unknown leaves open whether
// it was delivered, and any other error has it tried again after the backoff.
//
// The test fails at its end if there was no such publish.
func (o *Outbox) FailNext(persistenceID string, err error, more ...error) {
	o.kit.tb.Helper()
	for _, err := range append([]error{err}, more...) {
		if err == nil || persistenceID == "" {
			o.kit.fatalf("FailNext needs a persistence id and errors that are not nil")
			return
		}
		o.failures.add(&failure{id: persistenceID, err: err, once: true})
	}
}

// Fail has every publish of the persistence id, of any id if it is empty, fail with err until heal is called. It is as
// with FailNext otherwise.
func (o *Outbox) Fail(persistenceID string, err error) (heal func()) {
	o.kit.tb.Helper()
	if err == nil {
		o.kit.fatalf("Fail needs an error that is not nil")
		return func() {}
	}
	f := &failure{id: persistenceID, err: err}
	o.failures.add(f)
	return func() { o.failures.remove(f) }
}

// Faults is the plan of what else goes wrong with this outbox's publishes and, that of the kit's first outbox, with the
// journal: the events of a type fail, a publish hangs, a save is not heard of.
//
//	kit.Faults().Inject(outboxtest.Publish, outboxtest.Fault{Type: "shop.v1.OrderPlaced", Times: 3, Err: err})
//	kit.Faults().Inject(outboxtest.Save, outboxtest.Fault{Times: 2, Err: err})
//
// What a fault has an actor wait for, such as an append that the journal retries, is real time.
func (o *Outbox) Faults() *Faults { return o.faults }

// failure is one that a test has announced.
type failure struct {
	id   string // "" for all
	err  error
	once bool
	met  int
}

// failures is a publisher that fails as a test says, and has another one deliver the rest.
type failures struct {
	publisher.Publisher

	mu        sync.Mutex
	announced []*failure
}

// Unwrap implements publisher.Wrapper.
func (s *failures) Unwrap() publisher.Publisher { return s.Publisher }

func (s *failures) add(f *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.announced = append(s.announced, f)
}

func (s *failures) remove(f *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.announced = slices.DeleteFunc(s.announced, func(have *failure) bool { return have == f })
}

// meet returns with what a publish of the id is to fail, nil if with nothing.
func (s *failures) meet(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.announced {
		if (f.id == id || f.id == "") && !(f.once && f.met > 0) {
			f.met++
			return f.err
		}
	}
	return nil
}

func (s *failures) Publish(ctx context.Context, events []publisher.Event) error {
	var (
		batch  publisher.BatchError
		rest   []publisher.Event
		places []int // of the rest
	)
	failing := map[string]bool{} // by id, once it was tried
	for i, e := range events {
		fails, tried := failing[e.PersistenceID]
		switch {
		case fails:
			batch.Add(publisher.Failure{Index: i, Err: fmt.Errorf("%w: an earlier event of the same id failed", publisher.ErrNotTried)})
			continue
		case !tried:
			err := s.meet(e.PersistenceID)
			failing[e.PersistenceID] = err != nil
			if err != nil {
				batch.Add(failureOf(ctx, i, e, err))
				continue
			}
		}
		rest, places = append(rest, e), append(places, i)
	}
	if len(batch.Failures) == 0 {
		return s.Publisher.Publish(ctx, events)
	}
	if len(rest) > 0 {
		for _, f := range publisher.Failures(s.Publisher.Publish(ctx, rest), len(rest)) {
			f.Index = places[f.Index]
			batch.Add(f)
		}
	}
	return batch.OrNil()
}

// failureOf is what publisher.Func makes of an error.
func failureOf(ctx context.Context, index int, e publisher.Event, err error) publisher.Failure {
	f := publisher.Failures(publisher.Func(func(context.Context, publisher.Event) error { return err }).Publish(ctx, []publisher.Event{e}), 1)[0]
	f.Index = index
	return f
}

// unmet returns those that were to come once, and did not.
func (s *failures) unmet() []*failure {
	s.mu.Lock()
	defer s.mu.Unlock()
	var unmet []*failure
	for _, f := range s.announced {
		if f.once && f.met == 0 {
			unmet = append(unmet, f)
		}
	}
	return unmet
}

// String tells what was announced, and how often it came, in lines.
func (s *failures) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for _, f := range s.announced {
		what := "every publish"
		if f.once {
			what = "the next publish"
		}
		if f.id != "" {
			what += fmt.Sprintf(" of %q", f.id)
		}
		fmt.Fprintf(&b, "\nto fail: %s: %v (has failed %d times)", what, f.err, f.met)
	}
	return b.String()
}
