// Package adopt puts an outbox behind any Proto.Actor persistence.Provider, so that an application gets its events
// published without changing where it stores them.
//
// It owns [Wrap], which returns a [Journal]: actors use it in place of their provider, and an outbox reads from it. A
// provider can neither list its persistence ids nor order events of several, and its methods have no errors. So the
// journal notes which ids its actors write to, reads those at once and all others in a slow sweep, and gives an event its
// offset when a read has shown it. What a read does not show was not persisted, and is not published.
//
// It promises what the provider can bear: every event that a read of the provider shows is published, at least once, in
// the order of its persistence id. It does not promise
//
//   - that cost follows work: a sweep reads every id, and the outbox's snapshot has an entry for every id, 16 bytes and the
//     id itself, which is written once a second while something is published;
//   - a fence: two processes that own one outbox find out at their next save, not before it;
//   - times, tags and metadata, which a provider does not have.
//
// The whole table, and the way to a journal that promises more ([Import]), is docs/adopt.md.
//
// # Files
//
//	journal.go    Wrap, and what belongs to the provider as a whole
//	options.go    the options, and their limits
//	call.go       calls of a provider: one at a time for an id, with a deadline, panics as errors
//	event.go, scan.go   what a provider's answer says about sequence numbers
//	actor.go, store.go   the side of the actors: as the framework has it, and checked, for journal.Using
//	index.go      which offset belongs to which event
//	feed.go, streamquery.go, recent.go   the side of the outbox: what it reads
//	round.go, sweep.go, discover.go      the side of the outbox: how events are found
//	snapshot.go, record.go, registry.go   where an outbox keeps its offsets
//	deletes.go    deletes that wait until outboxes are beyond them
//	problem.go    what cannot be told by an error
//	import.go, position.go   moving to another journal
package adopt
