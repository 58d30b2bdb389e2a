package publishertest

import (
	"testing"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
)

// Harness connects a publisher to the suite, and states the facts about it that the suite cannot find out.
type Harness struct {
	// New returns a new publisher, whose events end up at [Sink.Take] of the sink, wherever that is called: in a
	// function, in the handler of a server, by a subscriber. It registers with t.Cleanup what closes the publisher
	// and all that it needed. No goroutine may be left after that.
	New func(t testing.TB, sink *Sink) Subject
	// Adapt makes an event of the suite one that the publisher takes, where it does not take just any: for a
	// publisher.Mux, one of a type that has a handler. It keeps the persistence id and the sequence number. Nil leaves
	// events as they are.
	Adapt func(e publisher.Event) publisher.Event
	// Facts are what differs between publishers.
	Facts Facts

	patience time.Duration // 0 is defaultPatience; shorter in the suite's own tests
}

// Subject is the publisher that a case tests.
type Subject struct {
	Publisher publisher.Publisher
	// SetDown takes the sink down, so that it cannot be reached, and up again, without the publisher being made anew.
	// It is called with true first. Nil says that this cannot be done here.
	SetDown func(down bool)
}

// Facts state what a publisher and its sink can do. The zero value is a publisher that carries ids and data alone, and
// a sink that can give every [Answer].
type Facts struct {
	// Type and ContentType say that these reach the sink.
	Type, ContentType bool
	// Metadata says which keys of the metadata reach the sink; nil means none. See [AllMetadata].
	Metadata func(key string) bool
	// MaxData is the size in bytes up to which an event's data are delivered for sure. Twice as much is rejected for
	// good. 0 says that there is no limit which events come near; one of 1 MiB has to be delivered.
	MaxData int
	// Concurrency is the number of events that are on their way to the sink at the same time at most, over all
	// batches. 0 says that the publisher does not limit it.
	Concurrency int
	// Deduplicates says that an event which is published twice at short distance reaches the sink once.
	Deduplicates bool
	// UnorderedWithinBatch is what publisher.BatchOrdering says: the publisher wants waves.
	UnorderedWithinBatch bool
	// AllOrNothing says that a batch is one request, and that an answer other than Accept for one of its events is
	// about all of them.
	AllOrNothing bool

	// CannotReject, CannotBeBusy and CannotBeSilent say that the sink cannot give these answers. Cases about them
	// are skipped.
	CannotReject, CannotBeBusy, CannotBeSilent bool
}

// AllMetadata is for [Facts.Metadata]: every key reaches the sink.
func AllMetadata(string) bool { return true }

// defaultPatience is how long the suite waits for what has to happen soon: for Publish to return after its context ended,
// for an event to reach the sink. It is long enough for a slow machine under the race detector.
const defaultPatience = 10 * time.Second
