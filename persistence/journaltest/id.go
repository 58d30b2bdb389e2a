package journaltest

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// similarIDs are valid, and easily taken for one another or for something else.
var similarIDs = []string{
	"a", "A", "a ", " a", "a/1", "a/", "á", "a\u0301", "%", "_", "*", "a%", "\\", "'", "''", `"`, "`", ";", "--",
	"'; DROP TABLE events; --", "${a}", "{a}", "a\nb", "a\tb", "\r\n", "\x7f", "👍", "\U0010ffff", "null", "0", "00",
	strings.Repeat("x", query.MaxIDBytes), strings.Repeat("x", query.MaxIDBytes-1) + "y", strings.Repeat("é", query.MaxIDBytes/2),
}

var invalidIDs = map[string]string{
	"empty":         "",
	"10 kB":         strings.Repeat("x", 10_000),
	"1,025 bytes":   strings.Repeat("x", query.MaxIDBytes+1),
	"NUL":           "a\x00b",
	"only NUL":      "\x00",
	"invalid UTF-8": "a\xff",
	"cut short":     "a\xe2\x82",
}

var idCases = []testCase{
	{"keeps similar ids apart", anything, func(t *testing.T, s *subject) {
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
	{"keeps snapshots of similar ids apart", anything, func(t *testing.T, s *subject) {
		for i, id := range similarIDs {
			require.NoError(t, s.SaveActorSnapshot(s.ctx, id, journal.ActorSnapshot{Index: int64(i), Type: "T", Data: []byte(id)}))
		}
		for i, id := range similarIDs {
			snapshot, ok, err := s.LoadActorSnapshot(s.ctx, id)
			require.NoError(t, err)
			require.True(t, ok)
			require.Equal(t, journal.ActorSnapshot{Index: int64(i), Type: "T", Data: []byte(id)}, snapshot, "snapshot of %q", id)
		}
	}},
	{"refuses invalid ids everywhere", anything, func(t *testing.T, s *subject) {
		for _, name := range slices.Sorted(maps.Keys(invalidIDs)) {
			for _, o := range s.operations(invalidIDs[name]) {
				if o.takesID {
					err := o.call(s.ctx)
					require.ErrorIs(t, err, query.ErrInvalidID, "%s with an id that is %s", o.name, name)
					require.True(t, journal.IsFinal(err), "an invalid id is final: %v", err)
				}
			}
		}
		require.Empty(t, s.all(t))
	}},
}
