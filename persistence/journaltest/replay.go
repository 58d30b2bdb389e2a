package journaltest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

var replayCases = []testCase{
	{"of an unknown id calls nobody", anything, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 2)
		require.Empty(t, s.replayed(t, "unknown", 1, 0))
	}},
	{"keeps to its bounds", anything, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 5)
		s.write(t, "b", 1, 5)
		for _, c := range []struct {
			from, to int64
			want     []string
		}{
			{0, 0, []string{"a/1", "a/2", "a/3", "a/4", "a/5"}},
			{1, 0, []string{"a/1", "a/2", "a/3", "a/4", "a/5"}},
			{3, 0, []string{"a/3", "a/4", "a/5"}},
			{6, 0, []string{}},
			{1, 2, []string{"a/1", "a/2"}},
			{2, 2, []string{"a/2"}},
			{4, 99, []string{"a/4", "a/5"}},
			{4, 3, []string{}},
		} {
			require.Equal(t, c.want, ids(s.replayed(t, "a", c.from, c.to)), "from %d to %d", c.from, c.to)
		}
	}},
	{"is complete for a long stream", anything, func(t *testing.T, s *subject) {
		const n = 600
		s.write(t, "a", 1, n)
		read := s.replayed(t, "a", 1, 0)
		require.Len(t, read, n)
		for i, e := range read {
			requireStored(t, newEvent("a", int64(i+1)), e)
		}
	}},
	{"ends with the error that it is given", anything, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 5)
		broken, calls := errors.New("broken"), 0
		err := s.Replay(s.ctx, "a", 1, 0, func(e query.Event) error {
			if calls++; calls == 3 {
				return fmt.Errorf("%s: %w", e.ID(), broken)
			}
			return nil
		})
		require.ErrorIs(t, err, broken)
		require.ErrorContains(t, err, "a/3")
		require.Equal(t, 3, calls)
	}},
	{"ends with its context", anything, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 5)
		ctx, cancel := context.WithCancel(s.ctx)
		calls := 0
		err := s.Replay(ctx, "a", 1, 0, func(query.Event) error {
			calls++
			cancel()
			return nil
		})
		require.ErrorIs(t, err, context.Canceled)
		require.Less(t, calls, 5)
	}},
	{"lets the callback use the journal", anything, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 3)
		copied := func(e query.Event) error {
			if err := s.AppendEvent(s.ctx, newEvent("copy", e.SequenceNumber)); err != nil {
				return err
			}
			last, err := s.LastSequenceNumber(s.ctx, "copy")
			if err == nil && last != e.SequenceNumber {
				err = fmt.Errorf("last is %d after appending %d", last, e.SequenceNumber)
			}
			return err
		}
		require.NoError(t, promptly(t, "Replay, whose callback uses the journal,", func() error { return s.Replay(s.ctx, "a", 1, 0, copied) }))
		require.Len(t, s.all(t), 6)
	}},
}

var hiddenCases = []testCase{
	{"are not replayed", anything, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 5)
		s.write(t, "b", 1, 5)
		require.NoError(t, s.HideEvents(s.ctx, "a", 3))
		require.Equal(t, []string{"a/4", "a/5"}, ids(s.replayed(t, "a", 1, 0)))
		require.Equal(t, []string{"a/4"}, ids(s.replayed(t, "a", 2, 4)))
		require.Len(t, s.replayed(t, "b", 1, 0), 5, "another id keeps its events")
	}},
	{"stay in the feed and in their stream", anything, func(t *testing.T, s *subject) {
		s.interleave(t)
		feed, stream := s.all(t), s.stream(t, "a")
		require.NoError(t, s.HideEvents(s.ctx, "a", 6))
		require.Equal(t, feed, s.all(t))
		require.Equal(t, stream, s.stream(t, "a"))
		require.Empty(t, s.replayed(t, "a", 1, 0))
	}},
	{"still count", anything, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 3)
		require.NoError(t, s.HideEvents(s.ctx, "a", 3))
		last, err := s.LastSequenceNumber(s.ctx, "a")
		require.NoError(t, err)
		require.Equal(t, int64(3), last)
		s.refuses(t, otherUID(newEvent("a", 1)))
		s.write(t, "a", 3, 3) // the same event again
		s.write(t, "a", 4, 4)
		require.Equal(t, []string{"a/4"}, ids(s.replayed(t, "a", 1, 0)))
	}},
	{"are those that exist by then", anything, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 3)
		require.NoError(t, s.HideEvents(s.ctx, "a", 100))
		s.write(t, "a", 4, 5)
		require.Equal(t, []string{"a/4", "a/5"}, ids(s.replayed(t, "a", 1, 0)))
	}},
	{"may be hidden again, and fewer of them", anything, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 5)
		for _, through := range []int64{3, 3, 1, 0, -1} {
			require.NoError(t, s.HideEvents(s.ctx, "a", through))
			require.Equal(t, []string{"a/4", "a/5"}, ids(s.replayed(t, "a", 1, 0)))
		}
		require.NoError(t, s.HideEvents(s.ctx, "unknown", 5))
	}},
}
