package crash

import "fmt"

// Place is one that a worker comes to, again and again, and reports each time.
type Place string

// The places. Between one that begins and the one after it, a kill strikes in the middle.
const (
	Opening Place = "opening" // the journal, which is made if there is none
	Opened  Place = "opened"

	Acquired Place = "acquired" // the outbox owns its name, and knows where it was

	SaveBegins Place = "save begins" // of the outbox's offsets
	Saved      Place = "saved"

	AppendBegins Place = "append begins" // of an event; several at a time
	Appended     Place = "appended"      // and its writer does not know yet

	LastWrite   Place = "last write" // before a drain, which no save that has begun knows of
	DrainBegins Place = "drain begins"
	Drained     Place = "drained"
)

// Step is a worker's coming to a place.
type Step struct {
	Place Place
	// Number is an epoch for Acquired, a snapshot's index for SaveBegins and Saved, an event's sequence number for
	// AppendBegins and Appended.
	Number int64
}

func (s Step) String() string { return fmt.Sprintf("%s %d", s.Place, s.Number) }
