package journaltest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
)

var appendCases = []testCase{
	{"numbers each id from 1", anything, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 3)
		s.write(t, "b", 1, 2)
		require.Equal(t, []string{"a/1", "a/2", "a/3", "b/1", "b/2"}, ids(s.all(t)))
	}},
	{"is visible at once", anything, func(t *testing.T, s *subject) {
		for seq := int64(1); seq <= 10; seq++ {
			s.write(t, "a", seq, seq)
			head, err := s.Head(s.ctx)
			require.NoError(t, err)
			feed, stream := s.all(t), s.stream(t, "a")
			require.Len(t, feed, int(seq))
			require.Equal(t, feed, stream)
			require.GreaterOrEqual(t, head.Offset, feed[seq-1].Offset)
		}
	}},
	{"refuses a gap", anything, func(t *testing.T, s *subject) {
		s.refuses(t, newEvent("a", 2))
		s.write(t, "a", 1, 2)
		s.refuses(t, newEvent("a", 4))
	}},
	{"refuses a sequence number that is taken", anything, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 3)
		for seq := int64(1); seq <= 3; seq++ {
			s.refuses(t, otherUID(newEvent("a", seq)))
		}
	}},
	{"refuses sequence numbers below 1", anything, func(t *testing.T, s *subject) {
		s.refuses(t, newEvent("a", 0))
		s.refuses(t, newEvent("a", -1))
		s.write(t, "a", 1, 1)
		s.refuses(t, newEvent("a", 0))
	}},
	{"goes on after a refusal", anything, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 1)
		s.refuses(t, newEvent("a", 3))
		s.write(t, "a", 2, 2)
		s.write(t, "b", 1, 1)
		require.Equal(t, []string{"a/1", "a/2", "b/1"}, ids(s.all(t)))
	}},
	{"keeps nothing of the caller's memory", anything, func(t *testing.T, s *subject) {
		e := newEvent("a", 1)
		e.Data, e.Tags, e.Metadata = []byte("data"), []string{"tag"}, map[string]string{"key": "value"}
		require.NoError(t, s.AppendEvent(s.ctx, e))
		e.Data[0], e.Tags[0], e.Metadata["key"] = 'X', "changed", "changed"

		read := s.all(t)[0]
		require.Equal(t, "data", string(read.Data))
		require.Equal(t, []string{"tag"}, read.Tags)
		require.Equal(t, map[string]string{"key": "value"}, read.Metadata)
	}},
	{"lets exactly one of several writers of an id win", anything, oneWriterWins},
	{"keeps what many writers of many ids append at once", anything, manyWriters},
}

func oneWriterWins(t *testing.T, s *subject) {
	s.oneWins(t, s.Journal)
}

// oneWins has several writers append to an id at once, by turns through each of the journals, which are the same one.
func (s *subject) oneWins(t *testing.T, journals ...Journal) {
	t.Helper()
	const writers, rounds = 8, 10
	for seq := int64(1); seq <= rounds; seq++ {
		var (
			wg   sync.WaitGroup
			errs [writers]error
		)
		for w := range writers {
			e := newEvent("a", seq)
			e.UID[15] = byte(w)
			j := journals[w%len(journals)]
			wg.Go(func() { errs[w] = j.AppendEvent(s.ctx, e) })
		}
		wg.Wait()

		var winners []int
		for w, err := range errs {
			if err == nil {
				winners = append(winners, w)
			} else {
				require.ErrorIs(t, err, journal.ErrSequenceConflict)
			}
		}
		require.Len(t, winners, 1, "writers that were told that they had written a/%d", seq)
		stream := s.stream(t, "a")
		require.Len(t, stream, int(seq))
		require.Equal(t, byte(winners[0]), stream[seq-1].UID[15], "the stored event is the winner's")
	}
}

func manyWriters(t *testing.T, s *subject) {
	const writers, each = 16, 20
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			id := fmt.Sprintf("writer-%d", w)
			for seq := int64(1); seq <= each; seq++ {
				if !assert.NoError(t, s.AppendEvent(s.ctx, newEvent(id, seq))) {
					return
				}
			}
		})
	}
	wg.Wait()

	all := s.all(t)
	require.Len(t, all, writers*each)
	last := map[string]int64{}
	for _, e := range all {
		require.Equal(t, last[e.PersistenceID]+1, e.SequenceNumber, "%s comes in order", e.PersistenceID)
		last[e.PersistenceID]++
		requireStored(t, newEvent(e.PersistenceID, e.SequenceNumber), e)
	}
}
