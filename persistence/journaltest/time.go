package journaltest

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// These are beyond what a count of microseconds in 64 bits can express.
var (
	farPast   = time.Unix(-1<<60, 0)
	farFuture = time.Unix(1<<60, 0)
)

var timeCases = []testCase{
	{"of an empty journal is at its head", timeFinder, func(t *testing.T, s *subject) {
		for _, at := range []time.Time{farPast, {}, time.Now(), farFuture} {
			require.Zero(t, s.offsetAt(t, at), "%v", at)
		}
	}},
	{"is found just before the first event of it or later", timeFinder, func(t *testing.T, s *subject) {
		s.writeAtTimes(t, 5)
		s.findsTimes(t)
	}},
	{"is found over pages, ids and hidden events", timeFinder, func(t *testing.T, s *subject) {
		s.writeVaried(t)
		require.NoError(t, s.HideEvents(s.ctx, "entity-1", 2))
		s.findsTimes(t)
	}},
	{"that is yet to come is found before what is appended next", timeFinder, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 3)
		after := s.offsetAt(t, farFuture)
		s.write(t, "a", 4, 4)
		page, err := s.Events(s.ctx, after, query.Filter{}, query.Limits{Events: 10})
		require.NoError(t, err)
		require.Equal(t, []string{"a/4"}, ids(page.Events))
	}},
}

// writeAtTimes appends events until they have at least n different times.
func (s *subject) writeAtTimes(t *testing.T, n int) {
	t.Helper()
	times := map[time.Time]bool{}
	for seq := int64(1); len(times) < n; seq++ {
		s.write(t, "a", seq, seq)
		events, _, err := s.EventsByPersistenceID(s.ctx, "a", seq, query.Limits{Events: 1})
		require.NoError(t, err)
		times[events[0].Time] = true
	}
}

// findsTimes asks for every event's time, and for the moments around it, and compares with what a look at all
// events finds.
func (s *subject) findsTimes(t *testing.T) {
	t.Helper()
	head, err := s.Head(s.ctx)
	require.NoError(t, err)
	all := s.all(t)
	times := []time.Time{farPast, {}, farFuture}
	for i := range all {
		times = append(times, all[i].Time.Add(-1), all[i].Time, all[i].Time.Add(1), all[i].Time.In(time.FixedZone("east", 3600)))
	}
	for _, at := range times {
		want := head.Offset
		if first := slices.IndexFunc(all, func(e query.Event) bool { return !e.Time.Before(at) }); first >= 0 {
			want = all[first].Offset - 1
		}
		require.Equal(t, want, s.offsetAt(t, at), "%v", at)
	}
}

func (s *subject) offsetAt(t *testing.T, at time.Time) query.Offset {
	t.Helper()
	offset, err := s.Journal.(query.TimeFinder).OffsetAt(s.ctx, at)
	require.NoError(t, err)
	return offset
}
