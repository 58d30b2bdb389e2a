package ledger

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

func testConfig() Config {
	return Config{
		Generation: 1, Lanes: 2,
		PollInterval: 50 * time.Millisecond, IdlePollInterval: time.Second,
		Page: query.Limits{Events: 8, Bytes: 1 << 20}, Window: query.Limits{Events: 32, Bytes: 4 << 20},
		CatchUp: query.Limits{Events: 4, Bytes: 1 << 20}, CatchUps: 2,
		Batch: query.Limits{Events: 4, Bytes: 1 << 20}, LaneBatches: 2,
		MaxUnsaved: 16, MaxHeld: 4, MaxParked: 4,
		SaveEvery: 8, SaveInterval: time.Second, LazySaveInterval: time.Minute,
		ReadTimeout: 5 * time.Second, PublishTimeout: 10 * time.Second, SaveTimeout: 5 * time.Second,
		HoldAfter: 5 * time.Second, BackoffMin: 100 * time.Millisecond, BackoffMax: 10 * time.Second,
		OutageAfter: 3, Jitter: func() float64 { return 0.5 },
	}
}

// at is a moment on the test's clock.
func at(d time.Duration) time.Time { return time.Unix(1_000_000, 0).Add(d) }

func event(id string, seq, offset int64) query.Event {
	return query.Event{PersistenceID: id, SequenceNumber: seq, Offset: query.Offset(offset), Slice: query.SliceOf(id), Time: at(0)}
}

func effectsOf[E Effect](effects []Effect) []E {
	var found []E
	for _, e := range effects {
		if e, ok := e.(E); ok {
			found = append(found, e)
		}
	}
	return found
}

func TestAnEventIsPublishedAndItsOffsetSaved(t *testing.T) {
	l := New(testConfig())
	l.Step(at(0), LaneUp{0})
	l.Step(at(0), LaneUp{1})
	reads := effectsOf[ReadFeed](l.Step(at(0), Recovered{}))
	require.Len(t, reads, 1)

	batches := effectsOf[Dispatch](l.Step(at(0), FeedPage{Read: reads[0].Read, Page: query.Page{
		Events: []query.Event{event("a", 1, 1), event("a", 2, 2)}, Next: 2,
	}}))
	require.Len(t, batches, 1)
	require.Len(t, batches[0].Events, 2)
	require.Equal(t, 2, l.Status(0).Unsaved)

	l.Step(at(0), Published{Generation: 1, Batch: batches[0].Batch, Outcome: OK})
	require.EqualValues(t, 2, l.Status(0).Watermark)

	saves := effectsOf[Save](l.Step(at(2*time.Second), Tick{}))
	require.Len(t, saves, 1)
	require.EqualValues(t, 2, saves[0].Snapshot.Watermark)
	require.EqualValues(t, 2, saves[0].Snapshot.Published)
	l.Step(at(2*time.Second), Saved{Index: saves[0].Index, Result: SaveOK})
	require.Zero(t, l.Status(0).Unsaved)
	require.Empty(t, effectsOf[Save](l.Step(at(time.Hour), Tick{})), "nothing is saved when nothing changed")
}
