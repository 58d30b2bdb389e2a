package ledger

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

func TestARewindKeepsInMindWhatAHeldIDHasYetToPassOver(t *testing.T) {
	skipped := ParkedEvent{Pointer: Pointer{PersistenceID: "a", SequenceNumber: 2, Offset: 2}, Resolution: Skipped}
	saved := Snapshot{Watermark: 9, Held: []HeldStream{{PersistenceID: "a", Next: 1}}, Parked: []ParkedEvent{skipped}}
	assert.Equal(t, saved.Parked, saved.Rebased(5).Parked)

	b := newBench(t, oneLane(), Recovered{Snapshot: saved})
	one[ReadStream](b)
	b.give(Rewind{Token: 1, To: 5})
	save := one[Save](b)
	assert.Equal(t, saved.Parked, save.Snapshot.Parked)
	b.give(Saved{Index: save.Index, Result: SaveOK})
	b.give(StreamPage{Read: one[ReadStream](b).Read, Events: []query.Event{event("a", 1, 1), event("a", 2, 2), event("a", 3, 3)}})
	b.answer(b.only("a/1", "a/3"), OK)
}
