// Package ledger is the pure core of the outbox: the rules that decide what is read, what is sent to which
// publisher, what is held or parked, when the offset moves and what a snapshot says.
//
// It owns every such rule and nothing else. It is a state machine: [Ledger.Step] takes one [Input] and the
// current time and returns the [Effect] values that its caller must carry out; the outcome of an effect comes
// back as a later input, or never. There is no actor, clock, goroutine, randomness, log or I/O in it, so that
// it can be simulated by seed, millions of times.
//
// # How an event travels
//
// A [FeedPage] puts events into the window, in offset order. Each belongs to a stream (its persistence id), and
// each stream to a lane. The pump forms batches from the streams that are ready, at most one batch per stream at
// a time, and the outcome ([Published]) settles events from the head of their stream. The watermark is the
// longest prefix of the window in which everything is settled, parked or held.
//
// A stream that fails while others get through, whose destination is out, or that stands in everybody's way, is held: its events leave the
// window, only its next sequence number is kept, and it catches up by reads of its own until it has been settled
// through everything that the feed passed over. Then it rejoins the feed.
//
// An event that can never be published is parked, skipped, or holds its stream for an operator; one that the feed has
// failed to show is looked for by id; a [Rewind] is the only way back for the watermark. What an operator asks for is
// answered once a snapshot that records it is known to be saved.
//
// # Files
//
//	ledger.go    the state, Step, and the order in which things become possible
//	input.go, effect.go, errors.go, config.go, snapshot.go, status.go   what goes in and comes out
//	feed.go      reading the feed, and gaps in it
//	window.go    the events between watermark and position
//	stream.go    a persistence id of which something is unresolved
//	lane.go      forming batches, and the budget of unsaved events
//	outcome.go   what the answer to a batch means
//	poison.go, parked.go, redrive.go   events that are given up on, and what may become of them
//	held.go      streams that catch up by reads of their own
//	outage.go    the judgement on the sink
//	destination.go   the judgement on each destination that a publisher names
//	save.go      snapshots, and what waits for them
//	rewind.go, operator.go   what operators ask for
//	wait.go      what clients wait for, and the drain
//
// # Not obvious
//
//   - A stream stays in the snapshot after it has rejoined, for as long as it was settled beyond the watermark
//     (it is "ahead"): otherwise a crash would repeat events that a snapshot had recorded as settled.
//   - Unsaved events are counted at their first dispatch and uncounted when a snapshot that records them is known
//     to be saved. A part of that budget is a reserve: one event for the window's front, and one for each stream that
//     may be held. What they settle can be recorded at once, so that a save always frees some of it again: this is
//     what keeps the bound from being a deadlock.
//   - While nothing at all gets through (an outage) no stream becomes held: it is the sink, not the ids. Probes and,
//     if need be, reads go on to streams that have not failed, lest a few ids that do pass for a sink that is down.
//   - Where an event goes is known only from an answer. So a stream whose destination is out is tried once before it waits, after
//     a restart too; and it waits only for as long as the event that failed is its first.
//   - A success anywhere ends the outage of the sink, which stops the reading; only one at the same destination ends that of a
//     destination, and counts against those who fail there.
//   - A stream lives until its last event has passed the watermark: that is how a gap in its sequence numbers is seen.
//   - A resolved parked event stays in the snapshot until the watermark and its held stream have passed it, or a crash would
//     bring it back.
//   - Once the save of a rewind has begun, nothing else is saved: "unknown" must not come to mean "half".
//   - An answer that is missing is an answer too: every effect has a time limit here, whatever its executor does.
package ledger
