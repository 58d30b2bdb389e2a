// Package memory is the journal for tests and examples: it keeps everything in memory, and forgets it with the
// process.
//
// It owns nothing but its [Journal], which has all that the other journals have: it is a Proto.Actor persistence
// provider and a query.Journal, keeps outboxes' snapshots, fenced, and notifies. It passes the same conformance
// suite.
//
// It promises to read in time that follows the page, not the journal; a filter pays for what it leaves out. Events are
// removed by [Journal.Trim] only: what an actor has deleted is hidden from replay until then.
package memory
