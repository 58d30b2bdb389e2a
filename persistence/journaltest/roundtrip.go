package journaltest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

var roundTripCases = []testCase{
	{"keeps data exactly", anything, func(t *testing.T, s *subject) {
		for _, data := range [][]byte{nil, {}, {0}, {0, 0xff, 0}, []byte("text"), []byte("'); DROP TABLE events; --")} {
			s.keeps(t, func(e *query.Event) { e.Data = data })
		}
	}},
	{"keeps types", anything, func(t *testing.T, s *subject) {
		for _, typ := range similarTexts {
			s.keeps(t, func(e *query.Event) { e.Type, e.ContentType = typ, typ })
		}
		for _, typ := range []string{"shop.v1.OrderPlaced", "größe", `it's "quoted"`, strings.Repeat("long", 100)} {
			s.keeps(t, func(e *query.Event) { e.Type, e.ContentType = typ, "application/x-"+typ })
		}
	}},
	{"keeps metadata", anything, func(t *testing.T, s *subject) {
		s.keeps(t, func(e *query.Event) { e.Metadata = map[string]string{"traceparent": "00-4bf9-00f0-01"} })
		s.keeps(t, func(e *query.Event) { e.Metadata = map[string]string{"baggage": strings.Repeat("k=v,", 2500)} })
		s.keeps(t, func(e *query.Event) {
			e.Metadata = map[string]string{}
			for i, key := range similarTexts {
				e.Metadata[key] = fmt.Sprint(i)
			}
		})
		s.keeps(t, func(e *query.Event) {
			e.Metadata = map[string]string{"": "empty key", "empty value": "", `"quoted"`: `\"<&>\u2028`, "größe": "👍\n\t"}
		})
	}},
	{"keeps tags", anything, func(t *testing.T, s *subject) {
		s.keeps(t, func(e *query.Event) { e.Tags = slices.Clone(similarTexts) })
		s.keeps(t, func(e *query.Event) {
			for i := range 200 {
				e.Tags = append(e.Tags, fmt.Sprintf("customer-%d", i))
			}
		})
		s.keeps(t, func(e *query.Event) { e.Tags = []string{"one"} })
		s.keeps(t, func(e *query.Event) {
			e.Tags = []string{"", " ", `"quoted"`, "'", "<&>", "[\\]", "a,b", "größe", "👍"}
		})
	}},
	{"sorts tags and drops repetitions", anything, func(t *testing.T, s *subject) {
		e := newEvent("a", 1)
		e.Tags = []string{"c", "a", "b", "a"}
		require.NoError(t, s.AppendEvent(s.ctx, e))
		require.Equal(t, []string{"c", "a", "b", "a"}, e.Tags, "without changing the caller's")
		e.Tags = []string{"a", "b", "c"}
		for _, read := range s.everywhere(t, "a", 1) {
			requireStored(t, e, read)
		}
	}},
	{"gives nil for no tags and no metadata", anything, func(t *testing.T, s *subject) {
		e := newEvent("a", 1)
		e.Tags, e.Metadata = []string{}, map[string]string{}
		require.NoError(t, s.AppendEvent(s.ctx, e))
		e.Tags, e.Metadata = nil, nil
		for _, read := range s.everywhere(t, "a", 1) {
			requireStored(t, e, read)
		}
	}},
	{"keeps text that is none exactly, or refuses it", anything, func(t *testing.T, s *subject) {
		for _, text := range noTexts {
			s.keepsOrRefuses(t, func(e *query.Event) { e.Type = text })
			s.keepsOrRefuses(t, func(e *query.Event) { e.ContentType = text })
			s.keepsOrRefuses(t, func(e *query.Event) { e.Tags = []string{text} })
			s.keepsOrRefuses(t, func(e *query.Event) { e.Metadata = map[string]string{"key": text} })
			s.keepsOrRefuses(t, func(e *query.Event) { e.Metadata = map[string]string{text: "value"} })
		}
	}},
}

// next is the event that would follow in the stream "a", changed.
func (s *subject) next(t *testing.T, change func(*query.Event)) query.Event {
	t.Helper()
	last, err := s.LastSequenceNumber(s.ctx, "a")
	require.NoError(t, err)
	e := newEvent("a", last+1)
	change(&e)
	return e
}

func (s *subject) keeps(t *testing.T, change func(*query.Event)) {
	t.Helper()
	e := s.next(t, change)
	require.NoError(t, s.AppendEvent(s.ctx, e))
	for _, read := range s.everywhere(t, "a", e.SequenceNumber) {
		requireStored(t, sortedTags(e), read)
	}
}

func (s *subject) keepsOrRefuses(t *testing.T, change func(*query.Event)) {
	t.Helper()
	e := s.next(t, change)
	if err := s.AppendEvent(s.ctx, e); err != nil {
		require.ErrorContains(t, err, e.PersistenceID)
		require.True(t, journal.IsFinal(err), "repeating would not help: %v", err)
		last, err := s.LastSequenceNumber(s.ctx, "a")
		require.NoError(t, err)
		require.Equal(t, e.SequenceNumber-1, last, "what was refused is not stored")
		return
	}
	for _, read := range s.everywhere(t, "a", e.SequenceNumber) {
		requireStored(t, sortedTags(e), read)
	}
}

// everywhere is the event as each way of reading gives it, by the name of that way.
func (s *subject) everywhere(t *testing.T, id string, seq int64) map[string]query.Event {
	t.Helper()
	found := map[string]query.Event{}
	for _, e := range s.all(t) {
		if e.PersistenceID == id && e.SequenceNumber == seq {
			found["feed"] = e
		}
	}
	events, _, err := s.EventsByPersistenceID(s.ctx, id, seq, query.Limits{Events: 1})
	require.NoError(t, err)
	require.Equal(t, []string{newID(id, seq)}, ids(events), "read by id")
	found["id"] = events[0]
	replayed := s.replayed(t, id, seq, seq)
	require.Equal(t, []string{newID(id, seq)}, ids(replayed), "replayed")
	found["replay"] = replayed[0]
	require.Contains(t, found, "feed", "%s is not in the feed", newID(id, seq))
	return found
}
