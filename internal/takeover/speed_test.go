package takeover_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/internal/takeover"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// Eight shards on three members, against one outbox with eight lanes, to a sink that takes 2 ms for an event. There are eight ids,
// one for each shard and for each lane, so that either way eight events at most are being published at a time: a lane
// publishes several batches at once, but never two events of an id.
func TestShardsAgainstLanes(t *testing.T) {
	events := number(t, "OUTBOX_TAKEOVER_EVENTS", 8_000)
	for kind, newPlace := range kinds {
		t.Run(kind, func(t *testing.T) {
			best := 0.0
			for range 3 { // whoever else wants the machine may want it in only one of two measurements
				lanes := measure(t, newPlace(t), events, 1)
				shards := measure(t, newPlace(t), events, 3)
				t.Logf("one outbox with 8 lanes: %v", lanes)
				t.Logf("8 shards on 3 members:   %v", shards)
				t.Logf("ratio: %.2f", shards.rate/lanes.rate)
				if best = max(best, shards.rate/lanes.rate); raced || best >= 0.8 {
					break
				}
			}
			if !raced { // it would be the race detector that is measured: three of it against one
				require.GreaterOrEqual(t, best, 0.8)
			}
		})
	}
}

// speed is per second.
type speed struct{ rate, statements float64 }

func (s speed) String() string {
	return fmt.Sprintf("%.0f events/s, %.0f statements/s of its readers and savers (counted with PostgreSQL only)", s.rate, s.statements)
}

// measure has events published that are written when each shard has its owner, faster than they can be published, and looks at
// the middle of that: from a fifth to four fifths.
func measure(t *testing.T, place string, events, members int) speed {
	t.Helper()
	seats := seatsHere(t, place, members)
	var all []*process
	for i := range members {
		job := jobAt(seats, i, fmt.Sprintf("m%d", i))
		job.Work, job.MaxUnsaved = 2*time.Millisecond, 4096
		if members == 1 {
			job.Shards, job.Lanes = 0, 8
		}
		all = append(all, run(t, job))
	}
	if members > 1 {
		// So long that an idle owner who has lost its shard knows.
		require.Eventually(t, restOf(all, 7*time.Second), patience, 5*time.Millisecond, "the shards stay where they are")
	}
	fill(t, place, events)
	began := published(t, all, events/5)
	ended := published(t, all, min(events, max(events*4/5, int(began.count)+events/10))) // slow to write, it may have begun late
	published(t, all, events)
	count := int64(0)
	for _, m := range all {
		m.leave(t)
		r, _ := m.last(takeover.Published)
		count += r.Count
	}
	require.EqualValues(t, events, count, "what is published twice does not count")
	seconds := ended.at.Sub(began.at).Seconds()
	return speed{float64(ended.count-began.count) / seconds, float64(ended.statements-began.statements) / seconds}
}

// progress of all members, at a moment.
type progress struct {
	at                time.Time
	count, statements int64
}

// published waits until the members have published so many at least.
func published(t *testing.T, members []*process, count int) (p progress) {
	t.Helper()
	require.Eventually(t, func() bool {
		p = progress{at: time.Now()}
		for _, m := range members {
			if r, ok := m.last(takeover.Published); ok {
				p.count += r.Count
				p.statements += r.Statements
			}
		}
		return p.count >= int64(count)
	}, patience, 2*time.Millisecond, "so many are published: %d", count)
	return p
}

// eightIDs are one for each of 8 shards and of 8 lanes.
func eightIDs() (ids []string) {
	for i := 0; len(ids) < numShards; i++ {
		id := fmt.Sprintf("id-%d", i)
		slice := int(query.SliceOf(id))
		if slice*numShards/query.NumSlices == len(ids) && slice%numShards == len(ids) {
			ids = append(ids, id)
		}
	}
	return ids
}

// fill writes events.
func fill(t *testing.T, place string, events int) {
	t.Helper()
	ctx := context.Background()
	storage, _, err := takeover.Open(ctx, place)
	require.NoError(t, err)
	defer func() { require.NoError(t, storage.Close()) }()
	ids := eightIDs()
	for written := 0; written < events; {
		records := make([]journal.Record, min(512, events-written))
		for i := range records {
			records[i] = journal.Record{
				PersistenceID: ids[i%len(ids)], Type: "test.Happened", ContentType: "text/plain", Data: []byte("x"),
			}
		}
		_, err := storage.Append(ctx, records...)
		require.NoError(t, err)
		written += len(records)
	}
}
