package journaltest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// What a closed journal, and a context that has ended, do to it is in the groups of these.
var pingCases = []testCase{
	{"answers", pinger, func(t *testing.T, s *subject) {
		ping := func() error { return s.Journal.(query.Pinger).Ping(s.ctx) }
		require.NoError(t, promptly(t, "Ping", ping))
		s.write(t, "a", 1, 3)
		require.NoError(t, promptly(t, "Ping", ping))
	}},
	{"changes nothing", pinger, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 3)
		before, err := s.Head(s.ctx)
		require.NoError(t, err)
		require.NoError(t, s.Journal.(query.Pinger).Ping(s.ctx))
		after, err := s.Head(s.ctx)
		require.NoError(t, err)
		require.Equal(t, before, after)
		require.Len(t, s.all(t), 3)
	}},
}
