package ledger

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

func TestTheFailuresOfAnEventThatIsGoneAreNotThoseOfTheNext(t *testing.T) {
	cfg := oneLane()
	cfg.MaxAttempts = 2
	b := newBench(t, cfg, Recovered{Snapshot: Snapshot{Watermark: 3, Held: []HeldStream{{PersistenceID: "a", Next: 1}}}})
	// fail has an event of a fail while one of another id gets through.
	fail := func(failing, passing string, a []query.Event, other query.Event) {
		b.feed(other)
		good := b.only(passing)
		b.give(StreamPage{Read: one[ReadStream](b).Read, Events: a})
		bad := b.only(failing)
		b.answer(good, OK)
		b.answer(bad, Unknown)
		b.wait(time.Second)
	}
	fail("a/1", "b/1", []query.Event{event("a", 1, 1)}, event("b", 1, 4))
	assert.Equal(t, 1, b.Status(1).Held[0].Attempts)
	fail("a/2", "b/2", []query.Event{event("a", 2, 2)}, event("b", 2, 5))
	assert.Zero(t, b.Status(0).ParkedCount, "a/1 is gone from the journal, a/2 has failed once")
	assert.Equal(t, 1, b.Status(1).Held[0].Attempts)
}
