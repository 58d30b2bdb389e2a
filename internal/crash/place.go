package crash

import "fmt"

// Place is one that a worker comes to, again and again, and reports each time.
type Place string

// The places. Between one that begins and those after it, a kill strikes in the middle. What has failed may have
// succeeded unheard.
const (
	Opening    Place = "opening" // the journal, which is made if there is none
	Opened     Place = "opened"
	OpenFailed Place = "open failed" // and is tried again

	Acquired Place = "acquired" // the outbox owns its name, and knows where it was

	SaveBegins Place = "save begins" // of the outbox's offsets
	Saved      Place = "saved"
	SaveFailed Place = "save failed"

	AppendBegins Place = "append begins" // of an event; several at a time
	Appended     Place = "appended"      // and its writer does not know yet
	AppendFailed Place = "append failed" // once: the application tries again, for a while
	GivenUp      Place = "given up"      // a write, by its writer, who goes on with the next one

	LastWrite   Place = "last write" // before a drain, which no save that has begun knows of
	DrainBegins Place = "drain begins"
	Drained     Place = "drained"
	DrainFailed Place = "drain failed"
)

// Step is a worker's coming to a place.
type Step struct {
	Place Place
	// Number is an epoch for Acquired, a snapshot's index for those of a save, an event's sequence number for those of an
	// append.
	Number int64
	// Why says what was wrong, where something has failed.
	Why string `json:",omitempty"`
}

func (s Step) String() string {
	if s.Why != "" {
		return fmt.Sprintf("%s %d (%s)", s.Place, s.Number, s.Why)
	}
	return fmt.Sprintf("%s %d", s.Place, s.Number)
}

// action is what a worker does between places: it ends or fails where it has begun.
type action struct{ begins, ended, failed Place }

var (
	opens   = action{Opening, Opened, OpenFailed}
	saves   = action{SaveBegins, Saved, SaveFailed}
	appends = action{AppendBegins, Appended, AppendFailed}
	drains  = action{DrainBegins, Drained, DrainFailed}
)
