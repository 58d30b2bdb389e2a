package journaltest

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

var listingCases = []testCase{
	{"is empty at first", persistenceIDs, func(t *testing.T, s *subject) {
		require.Empty(t, s.list(t, "", 10))
	}},
	{"gives every id once, in byte order, in pages of every size", persistenceIDs, func(t *testing.T, s *subject) {
		var want []string
		for i := range 25 {
			id := fmt.Sprintf("id-%d", i)
			s.write(t, id, 1, int64(1+i%3))
			want = append(want, id)
		}
		for _, id := range similarIDs {
			s.write(t, id, 1, 1)
			want = append(want, id)
		}
		slices.Sort(want)
		for _, size := range []int{1, 2, 7, len(want) - 1, len(want), 1000, math.MaxInt} {
			var got []string
			for after := ""; ; after = got[len(got)-1] {
				page := s.list(t, after, size)
				if len(page) == 0 {
					break
				}
				require.LessOrEqual(t, len(page), size)
				got = append(got, page...)
				require.LessOrEqual(t, len(got), len(want), "more ids than there are, in pages of %d: %q", size, got)
			}
			require.Equal(t, want, got, "pages of %d", size)
		}
	}},
	{"starts after any text", persistenceIDs, func(t *testing.T, s *subject) {
		for _, id := range []string{"a", "b", "c"} {
			s.write(t, id, 1, 1)
		}
		require.Equal(t, []string{"b", "c"}, s.list(t, "a", 10))
		require.Equal(t, []string{"b", "c"}, s.list(t, "azzz", 10))
		require.Empty(t, s.list(t, "z", 10))
	}},
	{"has ids whose events are all hidden", persistenceIDs, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 2)
		require.NoError(t, s.HideEvents(s.ctx, "a", 2))
		require.Equal(t, []string{"a"}, s.list(t, "", 10))
	}},
	{"has no ids without events", persistenceIDs, func(t *testing.T, s *subject) {
		require.NoError(t, s.SaveActorSnapshot(s.ctx, "a", snapshotAt(1)))
		require.Empty(t, s.list(t, "", 10))
	}},
}

func (s *subject) list(t *testing.T, after string, limit int) []string {
	t.Helper()
	ids, err := s.Journal.(query.PersistenceIDs).PersistenceIDs(s.ctx, after, limit)
	require.NoError(t, err)
	return ids
}
