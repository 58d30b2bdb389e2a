package journaltest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// RunImport runs the cases for journals that are a journal.Importer, as subtests of t. The suite's other cases hold for what
// was imported too, wherever they do not suppose that a stream begins at 1.
func RunImport(t *testing.T, h Harness) {
	t.Helper()
	require.NotNil(t, h.New, "Harness.New is required")
	for _, c := range importCases {
		t.Run(c.name, func(t *testing.T) {
			s := newSubject(t, h, c.needs)
			_, ok := s.Journal.(journal.Importer)
			require.True(t, ok, "the journal is no journal.Importer")
			c.run(t, s)
		})
	}
}

var importCases = []testCase{
	{"keeps events as they were", anything, func(t *testing.T, s *subject) {
		var events []query.Event
		for seq := int64(1); seq <= 5; seq++ {
			e := newEvent("a", seq)
			e.Time = time.Date(2020, 2, 3, 4, 5, int(seq), 6000, time.UTC)
			e.Tags, e.Metadata = []string{"eu", "x"}, map[string]string{"k": "v"}
			events = append(events, e)
		}
		require.NoError(t, s.importer().ImportEvents(s.ctx, events))
		read := s.all(t)
		require.Len(t, read, len(events))
		for i, e := range events {
			require.Positive(t, read[i].Offset)
			e.Offset, e.Slice = read[i].Offset, query.SliceOf("a")
			require.Equal(t, e, read[i])
		}
		require.Equal(t, read, s.stream(t, "a"))
	}},
	{"gives a time where there is none", anything, func(t *testing.T, s *subject) {
		require.NoError(t, s.importer().ImportEvents(s.ctx, []query.Event{newEvent("a", 1)}))
		requireStored(t, newEvent("a", 1), s.all(t)[0])
	}},
	{"may be repeated", anything, func(t *testing.T, s *subject) {
		require.NoError(t, s.importer().ImportEvents(s.ctx, span("a", 1, 4)))
		for _, part := range [][]query.Event{span("a", 1, 4), span("a", 2, 3), span("a", 3, 6), span("a", 1, 6), nil} {
			require.NoError(t, s.importer().ImportEvents(s.ctx, part))
		}
		require.Equal(t, ids(span("a", 1, 6)), ids(s.all(t)))
	}},
	{"takes over a stream whose first events were deleted", anything, func(t *testing.T, s *subject) {
		require.NoError(t, s.importer().ImportEvents(s.ctx, span("a", 8, 9)))
		require.NoError(t, s.importer().ImportEvents(s.ctx, span("a", 8, 10)))
		last, err := s.LastSequenceNumber(s.ctx, "a")
		require.NoError(t, err)
		require.Equal(t, int64(10), last)
		require.NoError(t, s.AppendEvent(s.ctx, newEvent("a", 11)), "its actor goes on")
		want := ids(span("a", 8, 11))
		require.Equal(t, want, ids(s.all(t)))
		require.Equal(t, want, ids(s.stream(t, "a")))
		require.Equal(t, want, ids(s.replayed(t, "a", 1, 0)))
		require.Equal(t, want[1:3], ids(s.replayed(t, "a", 9, 10)))
		require.ErrorIs(t, s.AppendEvent(s.ctx, newEvent("a", 3)), journal.ErrSequenceConflict)
		require.NoError(t, s.HideEvents(s.ctx, "a", 9))
		require.Equal(t, want[2:], ids(s.replayed(t, "a", 1, 0)))
	}},
	{"refuses what does not fit, and changes nothing", anything, func(t *testing.T, s *subject) {
		require.NoError(t, s.importer().ImportEvents(s.ctx, span("a", 3, 5)))
		another := span("a", 4, 7)
		another[1] = otherUID(another[1])
		gap := append(span("a", 5, 6), newEvent("a", 8))
		for name, events := range map[string][]query.Event{
			"a gap behind the last one":    span("a", 7, 8),
			"a gap within":                 gap,
			"another event":                another,
			"what comes before the first":  span("a", 1, 4),
			"two ids":                      {newEvent("a", 6), newEvent("b", 7)},
			"another order":                {newEvent("b", 2), newEvent("b", 1)},
			"a number that there is not":   {newEvent("b", 0)},
			"a gap in a stream that's new": {newEvent("b", 1), newEvent("b", 3)},
		} {
			require.ErrorIs(t, s.importer().ImportEvents(s.ctx, events), journal.ErrSequenceConflict, name)
		}
		require.ErrorIs(t, s.importer().ImportEvents(s.ctx, []query.Event{newEvent("", 1)}), query.ErrInvalidID)
		require.Equal(t, ids(span("a", 3, 5)), ids(s.all(t)))
	}},
	{"wakes who has subscribed", notifier, func(t *testing.T, s *subject) {
		woken := make(chan struct{}, 100)
		cancel := s.Journal.(query.Notifier).Subscribe(func() { woken <- struct{}{} })
		defer cancel()
		require.NoError(t, s.importer().ImportEvents(s.ctx, span("woken", 1, 1)))
		select {
		case <-woken:
		case <-s.ctx.Done():
			require.Fail(t, "nobody was woken")
		}
	}},
}

func (s *subject) importer() journal.Importer { return s.Journal.(journal.Importer) }

// span are events first..last of an id.
func span(id string, first, last int64) (events []query.Event) {
	for seq := first; seq <= last; seq++ {
		events = append(events, newEvent(id, seq))
	}
	return events
}
