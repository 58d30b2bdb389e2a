package journaltest

import (
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// A writer that did not hear whether its append was committed appends the same event again.
var unknownCommitCases = []testCase{
	{"is settled by appending again", anything, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 3)
		before := s.all(t)
		for range 2 {
			s.write(t, "a", 3, 3)
			s.write(t, "a", 1, 1)
		}
		require.Equal(t, before, s.all(t), "and the event is stored once")
		s.write(t, "a", 4, 4)
	}},
	{"is a conflict if somebody else's event is there", anything, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 3)
		for seq := int64(1); seq <= 3; seq++ {
			e := newEvent("a", seq)
			e.UID[len(e.UID)-1]++ // every byte of it counts
			s.refuses(t, e)
			s.refuses(t, otherUID(newEvent("a", seq)))
		}
	}},
	{"leaves what was stored first", anything, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 1)
		before := s.all(t)
		e := newEvent("a", 1)
		e.Type, e.Data, e.Tags = "test.v1.Other", []byte("other"), []string{"other"}
		require.NoError(t, s.AppendEvent(s.ctx, e), "the uid decides, and nothing else")
		require.Equal(t, before, s.all(t))
	}},
	{"is settled for everybody who appends the event at once", anything, func(t *testing.T, s *subject) {
		const writers, rounds = 8, 10
		for seq := int64(1); seq <= rounds; seq++ {
			var (
				wg   sync.WaitGroup
				errs [writers]error
			)
			for w := range writers {
				wg.Go(func() { errs[w] = s.AppendEvent(s.ctx, newEvent("a", seq)) })
			}
			wg.Wait()
			for _, err := range errs {
				require.NoError(t, err, "append of a/%d, several times at once", seq)
			}
			require.Len(t, s.stream(t, "a"), int(seq))
			require.Len(t, s.all(t), int(seq))
		}
	}},
	{"is settled where others go on appending", anything, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 1)
		s.write(t, "b", 1, 5)
		s.write(t, "a", 2, 6)
		s.write(t, "a", 2, 2)
		require.NoError(t, s.HideEvents(s.ctx, "a", 6))
		s.write(t, "a", 2, 2)
		require.Len(t, s.all(t), 11)
		require.Empty(t, s.replayed(t, "a", 1, 0), "what is hidden stays hidden")
	}},
	{"could not be settled without a uid, which is refused", anything, func(t *testing.T, s *subject) {
		e := newEvent("a", 1)
		e.UID = [16]byte{}
		err := s.AppendEvent(s.ctx, e)
		require.Error(t, err, "an event without a uid could not be told from another one without a uid")
		require.Empty(t, s.all(t))
		s.write(t, "a", 1, 2)
	}},
}

// refuses appends an event that conflicts, and checks that nothing came of it.
func (s *subject) refuses(t *testing.T, e query.Event) {
	t.Helper()
	before := s.all(t)
	requireConflict(t, e, s.AppendEvent(s.ctx, e))
	require.Equal(t, before, s.all(t))
}

func requireConflict(t *testing.T, e query.Event, err error) {
	t.Helper()
	require.ErrorIs(t, err, journal.ErrSequenceConflict, "append of %s", e.ID())
	require.ErrorContains(t, err, e.PersistenceID)
	require.ErrorContains(t, err, strconv.FormatInt(e.SequenceNumber, 10))
	require.True(t, journal.IsFinal(err), "a conflict is final: %v", err)
}
