package outboxtest

// expected is a failure that a test has announced.
type expected struct {
	id  string
	err error
	in  *injection
}

// FailNext has the next publish of the persistence id fail with err, and those after it, one by one, with more. The event
// does not reach the publisher. What the errors mean is as for publisher.Func: with publisher.Permanent the event is parked,
// publisher.RetryAfter says when to try again, publisher.Unknown leaves open whether it was delivered, and any other error
// has it tried again after the backoff.
//
// The test fails at its end if there was no such publish.
func (o *Outbox) FailNext(persistenceID string, err error, more ...error) {
	o.kit.tb.Helper()
	for _, err := range append([]error{err}, more...) {
		if err == nil || persistenceID == "" {
			o.kit.fatalf("FailNext needs a persistence id and errors that are not nil")
			return
		}
		in := o.faults.inject(Publish, Fault{PersistenceID: persistenceID, Times: 1, Err: err})
		o.expected = append(o.expected, expected{persistenceID, err, in})
	}
}

// Fail has every publish of the persistence id fail with err, of any id if it is empty, until heal is called.
func (o *Outbox) Fail(persistenceID string, err error) (heal func()) {
	o.kit.tb.Helper()
	if err == nil {
		o.kit.fatalf("Fail needs an error that is not nil")
		return func() {}
	}
	return o.faults.Inject(Publish, Fault{PersistenceID: persistenceID, Err: err})
}

// Faults is the plan of what goes wrong with this outbox's publishes and, that of the kit's first outbox, with the journal: an
// event of some type that fails, a publish that hangs, a save that is not heard of.
//
//	kit.Faults().Inject(outboxtest.Publish, outboxtest.Fault{Type: "shop.v1.OrderPlaced", Times: 3, Err: err})
//	kit.Faults().Inject(outboxtest.Save, outboxtest.Fault{Times: 2, Err: err})
//
// What a fault has an actor wait for, such as an append that the journal retries, is real time.
func (o *Outbox) Faults() *Faults { return o.faults }

// checkExpected fails the test if something that was to go wrong did not.
func (o *Outbox) checkExpected() {
	for _, e := range o.expected {
		o.faults.mu.Lock()
		struck := e.in.struck
		o.faults.mu.Unlock()
		if struck == 0 {
			o.kit.tb.Errorf("outboxtest: FailNext(%q, %q): nothing of this id was published after that, so that nothing failed", e.id, e.err)
		}
	}
}
