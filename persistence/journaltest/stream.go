package journaltest

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

var streamCases = []testCase{
	{"of an unknown id is empty", anything, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 2)
		events, more, err := s.EventsByPersistenceID(s.ctx, "unknown", 1, query.Limits{Events: 10})
		require.NoError(t, err)
		require.Empty(t, events)
		require.False(t, more)
		last, err := s.LastSequenceNumber(s.ctx, "unknown")
		require.NoError(t, err)
		require.Zero(t, last)
	}},
	{"has the events of its id alone", anything, func(t *testing.T, s *subject) {
		s.interleave(t)
		require.Equal(t, []string{"a/1", "a/2", "a/3", "a/4", "a/5", "a/6"}, ids(s.stream(t, "a")))
	}},
	{"starts where it is told", anything, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 4)
		for from, want := range map[int64][]string{
			math.MinInt64: {"a/1", "a/2", "a/3", "a/4"},
			0:             {"a/1", "a/2", "a/3", "a/4"},
			1:             {"a/1", "a/2", "a/3", "a/4"},
			3:             {"a/3", "a/4"},
			4:             {"a/4"},
			5:             {},
			math.MaxInt64: {},
		} {
			events, more, err := s.EventsByPersistenceID(s.ctx, "a", from, query.Limits{Events: 10})
			require.NoError(t, err)
			require.Equal(t, want, ids(events), "from %d", from)
			require.False(t, more)
		}
	}},
	{"says exactly whether there is more", anything, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 4)
		s.write(t, "b", 1, 4)
		for limit, wantMore := range map[int]bool{1: true, 3: true, 4: false, 5: false, math.MaxInt: false} {
			events, more, err := s.EventsByPersistenceID(s.ctx, "a", 1, query.Limits{Events: limit})
			require.NoError(t, err)
			require.Len(t, events, min(limit, 4))
			require.Equal(t, wantMore, more, "limit %d", limit)
		}
	}},
	{"keeps to a limit of bytes, but for a first event", anything, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 4)
		one := s.stream(t, "a")[0].Size()
		for bytes, want := range map[int]int{1: 1, one: 1, 2 * one: 2, 4 * one: 4, math.MaxInt: 4} {
			events, more, err := s.EventsByPersistenceID(s.ctx, "a", 1, query.Limits{Events: 10, Bytes: bytes})
			require.NoError(t, err)
			require.Len(t, events, want, "limit of %d bytes", bytes)
			require.Equal(t, want < 4, more, "limit of %d bytes", bytes)
		}
	}},
	{"has a last sequence number", anything, func(t *testing.T, s *subject) {
		for seq := int64(1); seq <= 3; seq++ {
			s.write(t, "a", seq, seq)
			last, err := s.LastSequenceNumber(s.ctx, "a")
			require.NoError(t, err)
			require.Equal(t, seq, last)
		}
	}},
}

var headCases = []testCase{
	{"keeps its identity", anything, func(t *testing.T, s *subject) {
		before, err := s.Head(s.ctx)
		require.NoError(t, err)
		require.NotEmpty(t, before.Identity)
		s.write(t, "a", 1, 3)
		after, err := s.Head(s.ctx)
		require.NoError(t, err)
		require.Equal(t, before.Identity, after.Identity)
	}},
	{"has an identity of its own", anything, func(t *testing.T, s *subject) {
		mine, err := s.Head(s.ctx)
		require.NoError(t, err)
		other, err := s.h.New(t).Head(s.ctx)
		require.NoError(t, err)
		require.NotEqual(t, mine.Identity, other.Identity, "another journal can be told from this one")
	}},
	{"is what the feed reaches", anything, func(t *testing.T, s *subject) {
		for seq := range int64(4) {
			if seq > 0 {
				s.write(t, "a", seq, seq)
			}
			head, err := s.Head(s.ctx)
			require.NoError(t, err)
			page, err := s.Events(s.ctx, 0, query.Filter{}, query.Limits{Events: 10})
			require.NoError(t, err)
			require.GreaterOrEqual(t, page.Next, head.Offset)
			if seq > 0 {
				require.GreaterOrEqual(t, head.Offset, page.Events[seq-1].Offset)
			}
		}
	}},
}
