package journaltest

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

var feedCases = []testCase{
	{"is empty at first", anything, func(t *testing.T, s *subject) {
		page, err := s.Events(s.ctx, 0, query.Filter{}, query.Limits{Events: 10})
		require.NoError(t, err)
		require.Empty(t, page.Events)
		require.False(t, page.More)
	}},
	{"is in the order of the appends", anything, func(t *testing.T, s *subject) {
		written := s.interleave(t)
		read := s.all(t)
		require.Equal(t, ids(written), ids(read))
		for i := range written {
			requireStored(t, written[i], read[i])
		}
	}},
	{"is the same in pages of every size", anything, func(t *testing.T, s *subject) {
		n := len(s.interleave(t))
		whole := s.all(t)
		for _, size := range []int{1, 2, 3, 7, n - 1, n, n + 1, 10 * n, math.MaxInt} {
			require.Equal(t, whole, s.feed(t, query.Filter{}, query.Limits{Events: size}), "pages of %d events", size)
		}
	}},
	{"is the same in pages of any number of bytes", anything, func(t *testing.T, s *subject) {
		s.interleave(t)
		whole := s.all(t)
		one := whole[0].Size()
		for _, bytes := range []int{1, one - 1, one, one + 1, 3 * one, 100 * one, math.MaxInt} {
			require.Equal(t, whole, s.feed(t, query.Filter{}, query.Limits{Events: 1000, Bytes: bytes}), "pages of %d bytes", bytes)
		}
	}},
	{"fills pages up to their limits", anything, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 10)
		whole := s.all(t)
		bytes := whole[0].Size() + whole[1].Size() + whole[2].Size()
		for _, limits := range []query.Limits{{Events: 3}, {Events: 3, Bytes: math.MaxInt}, {Events: 10, Bytes: bytes}, {Events: 3, Bytes: bytes}} {
			page, err := s.Events(s.ctx, 0, query.Filter{}, limits)
			require.NoError(t, err)
			require.Equal(t, whole[:3], page.Events, "limits %+v", limits)
			require.True(t, page.More)
		}
	}},
	{"gives one event even if it is too large", anything, func(t *testing.T, s *subject) {
		e := newEvent("big", 1)
		e.Data = make([]byte, 10_000)
		s.write(t, "a", 1, 1)
		require.NoError(t, s.AppendEvent(s.ctx, e))
		s.write(t, "b", 1, 1)
		read := s.feed(t, query.Filter{}, query.Limits{Events: 10, Bytes: 1000})
		require.Equal(t, []string{"a/1", "big/1", "b/1"}, ids(read))
	}},
	{"says at its end that there is no more", anything, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 5)
		page, err := s.Events(s.ctx, 0, query.Filter{}, query.Limits{Events: 6})
		require.NoError(t, err)
		require.Len(t, page.Events, 5)
		require.False(t, page.More)

		for range 3 {
			page, err = s.Events(s.ctx, page.Next, query.Filter{}, query.Limits{Events: 1})
			require.NoError(t, err)
			require.Empty(t, page.Events)
			require.False(t, page.More)
		}
		s.write(t, "a", 6, 6)
		page, err = s.Events(s.ctx, page.Next, query.Filter{}, query.Limits{Events: 1})
		require.NoError(t, err)
		require.Equal(t, []string{"a/6"}, ids(page.Events), "it goes on from Next")
	}},
	{"never goes back behind the offset that was asked for", anything, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 3)
		page, err := s.Events(s.ctx, 1_000_000, query.Filter{}, query.Limits{Events: 10})
		require.NoError(t, err)
		require.Empty(t, page.Events)
		require.False(t, page.More)
		require.Equal(t, query.Offset(1_000_000), page.Next)
	}},
	{"cannot be read without a limit of events", anything, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 3)
		for _, n := range []int{0, -1, math.MinInt} {
			_, err := s.Events(s.ctx, 0, query.Filter{}, query.Limits{Events: n})
			require.Error(t, err, "a limit of %d events", n)
			_, _, err = s.EventsByPersistenceID(s.ctx, "a", 1, query.Limits{Events: n})
			require.Error(t, err, "a limit of %d events", n)
		}
	}},
	{"gives the returned slice away", anything, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 3)
		whole := s.all(t)
		for range 2 {
			page, err := s.Events(s.ctx, 0, query.Filter{}, query.Limits{Events: 10})
			require.NoError(t, err)
			require.Equal(t, whole, page.Events)
			clear(page.Events)
			stream := s.stream(t, "a")
			require.Equal(t, whole, stream)
			clear(stream)
		}
	}},
}

var filterCases = []testCase{
	{"selects what it says, in pages of every size", anything, func(t *testing.T, s *subject) {
		s.writeVaried(t)
		whole := s.all(t)
		for name, filter := range variedFilters(whole) {
			want := selected(whole, filter)
			for _, limits := range []query.Limits{{Events: 1}, {Events: 3}, {Events: 1000}, {Events: 1000, Bytes: 700}} {
				require.Equal(t, ids(want), ids(s.feed(t, filter, limits)), "%s, %+v", name, limits)
			}
		}
	}},
	{"passes a tail of others", anything, func(t *testing.T, s *subject) {
		e := newEvent("mine", 1)
		e.Type, e.Tags = "test.v1.Mine", []string{"mine"}
		require.NoError(t, s.AppendEvent(s.ctx, e))
		for i := range 20 {
			id := fmt.Sprintf("other-%d", i)
			if query.SliceOf(id) != query.SliceOf("mine") {
				s.write(t, id, 1, 1)
			}
		}
		head, err := s.Head(s.ctx)
		require.NoError(t, err)
		slice := query.SliceOf("mine")
		for _, filter := range []query.Filter{
			{Slices: query.SliceRange{From: slice, To: slice + 1}},
			{Types: []string{"test.v1.Mine"}},
			{Tags: []string{"mine"}},
		} {
			page, err := s.Events(s.ctx, 0, filter, query.Limits{Events: 10})
			require.NoError(t, err)
			require.Equal(t, []string{"mine/1"}, ids(page.Events), "%+v", filter)
			require.False(t, page.More)
			require.GreaterOrEqual(t, page.Next, head.Offset, "Next passes what was filtered out: %+v", filter)

			page, err = s.Events(s.ctx, page.Events[0].Offset, filter, query.Limits{Events: 10})
			require.NoError(t, err)
			require.Empty(t, page.Events)
			require.GreaterOrEqual(t, page.Next, head.Offset, "also over an empty page: %+v", filter)
		}
	}},
	{"misses nothing that is appended after Next was read", anything, func(t *testing.T, s *subject) {
		filter := query.Filter{Tags: []string{"mine"}}
		var after query.Offset
		for round := int64(1); round <= 10; round++ {
			if round%3 == 0 {
				s.write(t, "other", round/3, round/3)
			}
			e := newEvent("mine", round)
			e.Tags = filter.Tags
			require.NoError(t, s.AppendEvent(s.ctx, e))
			page, err := s.Events(s.ctx, after, filter, query.Limits{Events: 10})
			require.NoError(t, err)
			require.Equal(t, []string{e.ID()}, ids(page.Events))
			after = page.Next
			if round%2 == 0 { // now and then, what comes next matches
				s.write(t, "third", round/2, round/2)
			}
		}
	}},
	{"matches types and tags as a whole", anything, func(t *testing.T, s *subject) {
		for i, text := range similarTexts {
			e := newEvent("x", int64(i+1))
			e.Type, e.Tags = text, []string{text}
			require.NoError(t, s.AppendEvent(s.ctx, e))
		}
		for i, text := range similarTexts {
			want := []string{fmt.Sprintf("x/%d", i+1)}
			require.Equal(t, want, ids(s.feed(t, query.Filter{Types: []string{text}}, query.Limits{Events: 10})), "type %q", text)
			require.Equal(t, want, ids(s.feed(t, query.Filter{Tags: []string{text}}, query.Limits{Events: 10})), "tag %q", text)
		}
	}},
	{"takes long lists", anything, func(t *testing.T, s *subject) {
		s.writeVaried(t)
		whole := s.all(t)
		unknown := make([]string, 5000)
		for i := range unknown {
			unknown[i] = fmt.Sprintf("unknown-%d", i)
		}
		for _, filter := range []query.Filter{
			{Types: slices.Concat(unknown, []string{"test.v1.Type1"})},
			{Tags: slices.Concat(unknown, []string{"tag1"})},
		} {
			require.Equal(t, ids(selected(whole, filter)), ids(s.feed(t, filter, query.Limits{Events: 1000})))
		}
	}},
	{"that names no text is refused, or selects nothing", anything, func(t *testing.T, s *subject) {
		e := newEvent("a", 1)
		e.Type, e.Tags = "test\uFFFDtype", []string{"\uFFFD", "half \uFFFD"} // what a careless conversion makes of it
		require.NoError(t, s.AppendEvent(s.ctx, e))
		for _, text := range noTexts {
			for _, filter := range []query.Filter{{Types: []string{text}}, {Tags: []string{text}}} {
				if page, err := s.Events(s.ctx, 0, filter, query.Limits{Events: 10}); err == nil {
					require.Empty(t, page.Events, "%+q", filter)
				}
			}
		}
	}},
}

// interleave appends events of several ids in turns, as they are in the feed then.
func (s *subject) interleave(t *testing.T) (written []query.Event) {
	t.Helper()
	for seq := int64(1); seq <= 6; seq++ {
		for _, id := range []string{"c", "a", "b", "order/17", "é"} {
			e := newEvent(id, seq)
			require.NoError(t, s.AppendEvent(s.ctx, e))
			written = append(written, e)
		}
	}
	return written
}

// writeVaried appends events of many ids, of three types and with up to two of three tags.
func (s *subject) writeVaried(t *testing.T) {
	t.Helper()
	for i := range 60 {
		e := newEvent(fmt.Sprintf("entity-%d", i%20), int64(i/20+1))
		e.Type = fmt.Sprintf("test.v1.Type%d", i%3)
		switch i % 5 {
		case 0, 1:
			e.Tags = []string{fmt.Sprintf("tag%d", i%3)}
		case 2:
			e.Tags = []string{"tag0", "tag2"}
		}
		require.NoError(t, s.AppendEvent(s.ctx, e))
	}
}

func variedFilters(events []query.Event) map[string]query.Filter {
	slice := events[0].Slice
	return map[string]query.Filter{
		"all slices":      {Slices: query.SliceRange{From: 0, To: query.NumSlices}},
		"lower half":      {Slices: query.SliceRange{From: 0, To: query.NumSlices / 2}},
		"upper half":      {Slices: query.SliceRange{From: query.NumSlices / 2, To: query.NumSlices}},
		"one slice":       {Slices: query.SliceRange{From: slice, To: slice + 1}},
		"one type":        {Types: []string{"test.v1.Type1"}},
		"two types":       {Types: []string{"test.v1.Type1", "test.v1.Type2", "unknown"}},
		"unknown type":    {Types: []string{"unknown"}},
		"one tag":         {Tags: []string{"tag1"}},
		"two tags":        {Tags: []string{"tag0", "tag2"}},
		"unknown tag":     {Tags: []string{"unknown"}},
		"type and tag":    {Types: []string{"test.v1.Type0"}, Tags: []string{"tag0"}},
		"slice and tag":   {Slices: query.SliceRange{From: 0, To: 700}, Tags: []string{"tag2"}},
		"slice and type":  {Slices: query.SliceRange{From: 100, To: 900}, Types: []string{"test.v1.Type2"}},
		"no slice":        {Slices: query.SliceRange{From: slice, To: slice}},
		"slices reversed": {Slices: query.SliceRange{From: query.NumSlices, To: 1}},
		"too many slices": {Slices: query.SliceRange{From: 100, To: 2 * query.NumSlices}},
		"type twice":      {Types: []string{"test.v1.Type1", "test.v1.Type1"}, Tags: []string{"tag1", "tag1"}},
		"all three":       {Slices: query.SliceRange{From: 0, To: 700}, Types: []string{"test.v1.Type0", "test.v1.Type2"}, Tags: []string{"tag0", "tag2"}},
	}
}
