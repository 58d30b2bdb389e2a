package journaltest

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

var idCases = []testCase{
	{"is not taken for a similar one", anything, func(t *testing.T, s *subject) {
		for i, id := range similarIDs {
			s.write(t, id, 1, int64(1+i%2))
		}
		for i, id := range similarIDs {
			last, err := s.LastSequenceNumber(s.ctx, id)
			require.NoError(t, err)
			require.Equal(t, int64(1+i%2), last, "last sequence number of %q", id)
			stream := s.stream(t, id)
			require.Len(t, stream, 1+i%2, "stream of %q", id)
			for _, e := range stream {
				requireStored(t, newEvent(id, e.SequenceNumber), e)
			}
			require.Equal(t, stream, s.replayed(t, id, 1, 0))
		}
	}},
	{"is not taken for a similar one where it has no events", anything, func(t *testing.T, s *subject) {
		for i, id := range similarIDs {
			if i%2 == 0 {
				s.write(t, id, 1, 1)
			}
		}
		for i, id := range similarIDs {
			if i%2 != 0 {
				last, err := s.LastSequenceNumber(s.ctx, id)
				require.NoError(t, err)
				require.Zero(t, last, "last sequence number of %q", id)
				require.Empty(t, s.stream(t, id), "stream of %q", id)
				require.Empty(t, s.replayed(t, id, 1, 0), "replay of %q", id)
			}
		}
	}},
	{"hides the events of no similar one", anything, func(t *testing.T, s *subject) {
		for _, id := range similarIDs {
			s.write(t, id, 1, 1)
		}
		for i, id := range similarIDs {
			if i%2 == 0 {
				require.NoError(t, s.HideEvents(s.ctx, id, 1))
			}
		}
		for i, id := range similarIDs {
			require.Len(t, s.replayed(t, id, 1, 0), i%2, "replay of %q", id)
		}
		require.Len(t, s.all(t), len(similarIDs))
	}},
	{"has snapshots apart from those of similar ones", anything, func(t *testing.T, s *subject) {
		for i, id := range similarIDs {
			require.NoError(t, s.SaveActorSnapshot(s.ctx, id, journal.ActorSnapshot{Index: int64(i), Type: "T", Data: []byte(id)}))
		}
		for i, id := range similarIDs {
			s.hasSnapshot(t, id, journal.ActorSnapshot{Index: int64(i), Type: "T", Data: []byte(id)})
			if i%2 == 0 {
				require.NoError(t, s.DeleteActorSnapshots(s.ctx, id, int64(len(similarIDs))))
			}
		}
		for i, id := range similarIDs {
			_, ok, err := s.LoadActorSnapshot(s.ctx, id)
			require.NoError(t, err)
			require.Equal(t, i%2 != 0, ok, "snapshot of %q", id)
		}
	}},
	{"that is invalid is refused everywhere", anything, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 1)
		for _, name := range slices.Sorted(maps.Keys(invalidIDs)) {
			for _, o := range s.operations(invalidIDs[name]) {
				if o.takesID {
					err := o.call(s.ctx)
					require.ErrorIs(t, err, query.ErrInvalidID, "%s with an id that is %s", o.name, name)
					require.True(t, journal.IsFinal(err), "an invalid id is final: %v", err)
					require.Less(t, len(err.Error()), 1000, "%s repeats an id that is %s in full", o.name, name)
				}
			}
		}
		require.Len(t, s.all(t), 1)
	}},
	{"of the greatest length is taken everywhere", anything, func(t *testing.T, s *subject) {
		for _, o := range s.operations(similarIDs[len(similarIDs)-1]) {
			if o.takesID {
				require.NoError(t, o.call(s.ctx), o.name)
			}
		}
	}},
	{"in a listing may be any text", persistenceIDs, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 1)
		s.write(t, "b", 1, 1)
		lister := s.Journal.(query.PersistenceIDs)
		for name, after := range invalidIDs {
			if after == "" {
				continue // that is the beginning
			}
			want := []string{}
			for _, id := range []string{"a", "b"} {
				if id > after {
					want = append(want, id)
				}
			}
			// An error is as good: nobody has such an id.
			if got, err := lister.PersistenceIDs(s.ctx, after, 10); err == nil {
				require.Equal(t, want, append([]string{}, got...), "after a text that is %s", name)
			}
		}
	}},
}
