package adopt

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	adoptv1 "github.com/protoactor-contrib/protoactor-outbox/proto/adopt/v1"
)

// Against the obvious: a list of every event, in the order of discovery.
func TestOffsets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type place struct {
			id  string
			seq int64
		}
		x := newIndex(0)
		var (
			all       []place // all[i] has offset i+1
			last      = map[string]int64{}
			watermark query.Offset
		)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0, 1:
				id := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "id")
				n := rapid.Int64Range(0, 4).Draw(t, "events")
				x.discover(x.stream(id), last[id]+n, uint64(n))
				for range n {
					last[id]++
					all = append(all, place{id, last[id]})
				}
			case 2: // a save
				watermark = query.Offset(rapid.Int64Range(int64(watermark), int64(x.assigned)).Draw(t, "watermark"))
				x.forget(watermark)
			case 3: // a crash after it
				data, err := proto.Marshal(x.encode(watermark))
				require.NoError(t, err)
				var m adoptv1.Feed
				require.NoError(t, proto.Unmarshal(data, &m))
				x, err = decodeIndex(&m)
				require.NoError(t, err)
			}

			require.EqualValues(t, len(all), x.assigned)
			require.LessOrEqual(t, x.base, watermark, "what is beyond the watermark is known")
			for id, n := range last {
				s := x.stream(id)
				require.Equal(t, n, s.last)
				before := query.Offset(0)
				for seq := int64(1); seq <= n; seq++ {
					offset := x.offset(s, seq)
					require.Greater(t, offset, before, "offsets rise with sequence numbers, also where they are forgotten: %s/%d", id, seq)
					before = offset
					given := query.Offset(0)
					for i, p := range all {
						if p == (place{id, seq}) {
							given = query.Offset(i + 1)
						}
					}
					if given > watermark {
						require.Equal(t, given, offset, "what is beyond the watermark keeps its offset: %s/%d", id, seq)
					} else {
						require.LessOrEqual(t, offset, watermark)
					}
				}
				settled := int64(0)
				for i, p := range all {
					if p.id == id && query.Offset(i+1) <= watermark {
						settled = p.seq
					}
				}
				require.Equal(t, settled, x.settledThrough(s, watermark))
			}
		}
	})
}

func TestADamagedIndexIsRefused(t *testing.T) {
	good := func() *adoptv1.Feed {
		return &adoptv1.Feed{
			Assigned: 5,
			Streams:  []*adoptv1.Stream{{PersistenceId: "a", SequenceNumber: 3}, {PersistenceId: "b", SequenceNumber: 2}},
			Runs:     []*adoptv1.Run{{Offset: 2, Stream: 0, First: 2, Count: 2}, {Offset: 4, Stream: 1, First: 1, Count: 2}},
		}
	}
	_, err := decodeIndex(good())
	require.NoError(t, err)
	for name, damage := range map[string]func(*adoptv1.Feed){
		"a stream twice":               func(m *adoptv1.Feed) { m.Streams[1].PersistenceId = "a" },
		"a stream without a name":      func(m *adoptv1.Feed) { m.Streams[1].PersistenceId = "" },
		"an empty stream":              func(m *adoptv1.Feed) { m.Streams[1].SequenceNumber = 0 },
		"a run of no stream":           func(m *adoptv1.Feed) { m.Runs[1].Stream = 2 },
		"a run beyond its stream":      func(m *adoptv1.Feed) { m.Runs[1].Count = 3 },
		"a run beyond the end":         func(m *adoptv1.Feed) { m.Assigned = 4 },
		"runs that overlap":            func(m *adoptv1.Feed) { m.Runs[1].Offset = 3 },
		"an empty run":                 func(m *adoptv1.Feed) { m.Runs[0].Count = 0 },
		"a run that begins before 1":   func(m *adoptv1.Feed) { m.Runs[0].First = 0 },
		"runs that are out of order":   func(m *adoptv1.Feed) { m.Runs[1].Stream, m.Runs[1].First = 0, 1 },
		"a count that is out of range": func(m *adoptv1.Feed) { m.Runs[0].Count = 1<<63 - 1 },
	} {
		t.Run(name, func(t *testing.T) {
			m := good()
			damage(m)
			_, err := decodeIndex(m)
			require.ErrorIs(t, err, errDamaged)
		})
	}
}

// What the documentation says about the size of a snapshot.
func TestSizeOfASnapshot(t *testing.T) {
	x := newIndex(0)
	const ids = 1000
	for i := range ids {
		x.discover(x.stream(fmt.Sprintf("order-%012d", i)), 1000, 1<<63)
	}
	settled := proto.Size(x.encode(x.assigned)) / ids
	require.InDelta(t, 34, settled, 3, "bytes for an id of 18 bytes, where everything is published")
	require.InDelta(t, 50, proto.Size(x.encode(0))/ids, 4, "and where nothing is")
}
