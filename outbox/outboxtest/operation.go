package outboxtest

// Operation names the calls that a fault can strike.
type Operation string

// What an outbox and other readers ask a journal for.
const (
	ReadFeed     Operation = "read the feed"                 // query.Journal.Events
	ReadByID     Operation = "read by id"                    // query.Journal.EventsByPersistenceID
	LastSequence Operation = "read the last sequence number" // query.Journal.LastSequenceNumber
	Head         Operation = "read the head"                 // query.Journal.Head
	OffsetAt     Operation = "find the offset at a time"     // query.TimeFinder
	ListIDs      Operation = "list the persistence ids"      // query.PersistenceIDs
	Ping         Operation = "ping"                          // query.Pinger
	// Notify is a journal's call of a subscriber. An error, whichever, has it lost; it may come late, but not panic.
	Notify Operation = "notify" // query.Notifier
)

// What an outbox keeps its offsets by: query.SnapshotStore.
const (
	Acquire    Operation = "acquire"
	Load       Operation = "load"
	Save       Operation = "save"
	Unregister Operation = "unregister"
)

// What persistent actors are stored by: journal.Store.
const (
	Append               Operation = "append"
	Replay               Operation = "replay"
	HideEvents           Operation = "hide events"
	LoadActorSnapshot    Operation = "load an actor's snapshot"
	SaveActorSnapshot    Operation = "save an actor's snapshot"
	DeleteActorSnapshots Operation = "delete an actor's snapshots"
)

// Publish is a call of a publisher.
const Publish Operation = "publish"

// concernsOneID reports whether a call has a persistence id that a fault may look for.
func (o Operation) concernsOneID() bool {
	switch o {
	case ReadByID, LastSequence, Append, Replay, HideEvents, LoadActorSnapshot, SaveActorSnapshot, DeleteActorSnapshots, Publish:
		return true
	}
	return false
}

// hasEventType reports whether a call has events whose type a fault may look for.
func (o Operation) hasEventType() bool { return o == Append || o == Publish }
