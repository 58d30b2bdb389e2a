// Package publishertest is the conformance suite that every publisher passes. [Run] holds a publisher to the contract of
// package publisher; to join, a publisher's test fills in a [Harness].
//
// The suite owns the cases and the far end, not the publisher: each case gets a new publisher from the harness, which
// delivers to a [Sink] of the suite, be it through a function, an HTTP server or a real broker. The sink notes what
// reaches it, and says what to answer: to take an event, to reject it, to be busy, or to break off. Facts that differ
// between publishers are stated by the harness.
//
// After every call, whatever the case is about, it checks what always holds: that what was said to be delivered is at
// the sink as it was given, that nothing of an id was sent after a failure of that id, that no answer says more than
// the publisher can know, that Publish returned when its context ended, that it changed no event, and that it did not
// panic. After every case, once the harness has closed what it opened, no goroutine may be left.
//
// It calls a publisher as the publisher actor does, waves included (publisher.Deliver). It never asks which publisher it
// is testing, never sleeps, and knows no broker.
package publishertest
