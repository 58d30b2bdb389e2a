// Package outboxtest is for tests of what runs over an outbox: it has a journal or a sink fail as a test says.
//
// It owns the plan of what goes wrong, [Faults]. A plan wraps a journal and a publisher, and then strikes their calls
// with each [Fault] that was injected: an error before the effect, an error although there was an effect, a delay, a
// hang, a panic, a notification that is lost; for the calls of one [Operation], some of them or each with a
// probability, until they have been enough or the plan is cleared.
//
//	faults := outboxtest.NewFaults(seed)
//	j := faults.Journal(memory.New())
//	sink := faults.Publisher(sink)
//	faults.Inject(outboxtest.Save, outboxtest.Fault{Times: 3, Err: errDisk})
//
// It promises that a call which no fault strikes is the wrapped one's own, capabilities included; that for one seed
// and one sequence of calls the same calls are struck; and that after [Faults.Clear] nothing fails or hangs any more.
//
// It never breaks a promise of the contracts that it stands between: an answer may be missing, late or wrong about
// success, as those of a real database are, but never has other events in it, and a batch that fails in its middle
// keeps the order of each persistence id.
package outboxtest
