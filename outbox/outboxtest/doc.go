// Package outboxtest is for tests of what runs over an outbox. It has two halves.
//
// A [Kit] is for an application's own tests: its actors, a journal, an outbox and a sink, in a time that passes only by the
// test. Spawn, ask, let a tick pass, and look what was published; have the next publish of an id fail, and look again.
//
//	kit := outboxtest.New(t)
//	order := kit.Spawn("order-17", NewOrder)
//	kit.FailNext("order-17", errors.New("connection refused"))
//	kit.Request(order, PlaceOrder{Customer: "Ada"})
//	kit.Flush()
//	events := kit.PublishedOf("order-17")
//
// It promises that every run is the same, that nothing in it sleeps, that all of it ends with the test, and that a test which
// fails tells how the outbox is and what was published.
//
// [Faults] is a plan of what goes wrong. It wraps a journal and a publisher, and then strikes their calls with each [Fault]
// that was injected: an error before the effect, an error although there was an effect, a delay, a hang, a panic, a
// notification that is lost; for the calls of one [Operation], some of them or each with a probability, until they have been
// enough or the plan is cleared. A Kit has one.
//
//	faults := outboxtest.NewFaults(seed)
//	j := faults.Journal(memory.New())
//	sink := faults.Publisher(sink)
//	faults.Inject(outboxtest.Save, outboxtest.Fault{Times: 3, Err: errDisk})
//
// It promises that a call which no fault strikes is the wrapped one's own, capabilities included; that for one seed
// and one sequence of calls the same calls are struck; and that after [Faults.Clear] nothing fails or hangs any more.
//
// Neither ever breaks a promise of the contracts that it stands between: an answer may be missing, late or wrong about
// success, as those of a real database are, but never has other events in it, and a batch that fails in its middle
// keeps the order of each persistence id.
package outboxtest
