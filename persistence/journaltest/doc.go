// Package journaltest is the conformance suite that every journal passes. [Run] holds a journal to the contracts
// of packages query and journal; to join, a journal's test fills in a [Harness].
//
// The suite owns the cases, not the journal: each case gets a new, empty one from the harness. Facts that differ
// between journals, such as whether they outlive being closed, are stated by the harness and checked, so that a
// capability that gets lost fails the suite instead of being skipped.
//
// It never asks which journal it is testing, and reads nothing but what the public contracts offer. It waits at most
// ten seconds for what should happen soon, so that a call that hangs is a failure with a name. It is tested itself: for
// each of its cases there is a broken journal, in this package's tests, that makes it fail.
//
// # Groups
//
// "go test -run 'TestConformance/open transaction'" runs one of them.
//
//	group              what it proves                                                            runs if
//	capabilities       the optional interfaces are those that the harness states
//	append             one writer per sequence number, without gaps; visible at once;
//	                   nothing lost or doubled by concurrent writers; no memory shared
//	unknown commit     the same event again is no error and no second event, also at the same
//	                   time; another uid is a conflict; no uid is refused
//	records            events without an actor: numbered, all or none, next to each other       Appender
//	round trip         data (empty is not nil), types, content types, tags and metadata come
//	                   back exactly, by every way of reading; what is no text does, or is refused
//	large event        1 MiB and more; alone where the limit is smaller; never loaded in vain
//	persistence id     hostile and similar ids are kept apart by every method; invalid ones are
//	                   refused by every method
//	feed               order; pages of every size in events and bytes; Next and More
//	filter             slices, types and tags, exactly; long lists; Next over what is left out
//	tail               readers miss and reorder nothing while writers append
//	open transaction   no reader passes an event that commits later; what is rolled back is     Begin
//	                   passed; writers of one id wait for each other, as long as their contexts
//	stream             the events of one id, from any number on; limits; the last number
//	head               an identity of its own, for good; at or above every Next
//	replay             bounds, order, errors and contexts; the callback may use the journal
//	hidden events      gone from the replay alone, and for good
//	actor snapshots    the newest counts; kept exactly; deleted; apart from events
//	outbox snapshots   epochs, indexes, data and what is to be kept                             SnapshotStore
//	ownership          takeovers, saves, proofs and removals at the same moment; hostile keys   SnapshotStore
//	retention          removes what nobody needs any more, and nothing else, whoever comes      Trimmer
//	                   in between
//	notification       follows each append, comes in time, ends                                 Notifier
//	listing            every id once, in byte order, in pages of every size                     PersistenceIDs
//	time               the offset just before any time                                          TimeFinder
//	ping               answers and changes nothing                                              Pinger
//	context            every call ends promptly with its context, with the context's error,
//	                   and leaves nothing half done
//	close              every call of a closed journal ends promptly with ErrClosed              io.Closer
//	several handles    what is one journal behaves as one, also in fencing and conflicts        Open
//	reopen             everything is there after it was closed and opened                       Reopen
//	crash              everything acknowledged is there after its process was killed            Crash
//	provider           Proto.Actor's interface: indexes, snapshots, typed panics                no ForeignProvider
//	unknown types      what a program cannot decode is read raw, and fails an actor's recovery
//	persistent actor   an actor is what it was: after a stop, a restart, a snapshot
//
// [RunImport] is for journals that streams can be moved to with their numbers, journal.Importer, and is called beside Run.
package journaltest
