// Package query is the read side of a journal: what an outbox, or any other projection, needs to read every
// event that persistent actors have written, in one order, without missing any.
//
// It owns the [Event], the [Offset] that orders events over all persistence ids, the [Journal] that serves
// them, and the small optional capabilities that a journal may add: [SnapshotStore] (fenced snapshots, where an
// outbox keeps its own state), [Notifier] (early wake-ups), [TimeFinder], [PersistenceIDs] and [Pinger].
//
// It promises nothing by itself: a Journal's promises are stated at its methods and are checked, for every
// journal, by package journaltest. It imports no journal, no actor and no driver.
package query
