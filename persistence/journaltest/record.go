package journaltest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// recordCases are for journals that take records.
var recordCases = []testCase{
	{"are numbered, in order", appender, func(t *testing.T, s *subject) {
		a := s.appender()
		for round := range int64(3) {
			pointers, err := a.Append(s.ctx, newRecord("a", 1), newRecord("b", 1), newRecord("a", 2))
			require.NoError(t, err)
			require.Equal(t, []query.Pointer{
				{PersistenceID: "a", SequenceNumber: 2*round + 1}, {PersistenceID: "b", SequenceNumber: round + 1}, {PersistenceID: "a", SequenceNumber: 2*round + 2},
			}, pointers)
		}
		require.Equal(t, []string{"a/1", "b/1", "a/2", "a/3", "b/2", "a/4", "a/5", "b/3", "a/6"}, ids(s.all(t)))
	}},
	{"are read as they were written", appender, func(t *testing.T, s *subject) {
		a := s.appender()
		record := newRecord("order-17", 1)
		record.Tags, record.Metadata = []string{"b", "a", "b"}, map[string]string{"traceparent": "00-1", "": "é"}
		_, err := a.Append(s.ctx, record, newRecord("order-17", 2))
		require.NoError(t, err)
		record.Data[0], record.Tags[0], record.Metadata["traceparent"] = 'X', "changed", "changed"

		read := s.all(t)
		require.Len(t, read, 2)
		want := query.Event{
			PersistenceID: "order-17", SequenceNumber: 1, UID: read[0].UID, Type: "shop.v1.Changed", ContentType: "application/json",
			Data: []byte(`{"change":1}`), Tags: []string{"a", "b"}, Metadata: map[string]string{"traceparent": "00-1", "": "é"},
		}
		requireStored(t, want, read[0])
		require.NotZero(t, read[0].UID)
		require.NotEqual(t, read[0].UID, read[1].UID)
		require.Equal(t, read, s.stream(t, "order-17"))
		require.Equal(t, read, s.replayed(t, "order-17", 1, 0))
	}},
	{"follow an actor's events, and make its next one conflict", appender, func(t *testing.T, s *subject) {
		a := s.appender()
		s.write(t, "a", 1, 2)
		pointers, err := a.Append(s.ctx, newRecord("a", 1))
		require.NoError(t, err)
		require.Equal(t, []query.Pointer{{PersistenceID: "a", SequenceNumber: 3}}, pointers)
		s.refuses(t, newEvent("a", 3))
		s.write(t, "a", 4, 4)
	}},
	{"may be none", appender, func(t *testing.T, s *subject) {
		pointers, err := s.appender().Append(s.ctx)
		require.NoError(t, err)
		require.Empty(t, pointers)
		require.Empty(t, s.all(t))
	}},
	{"are refused all, and named, if one of them is not valid", appender, func(t *testing.T, s *subject) {
		a := s.appender()
		for field, c := range map[string]struct {
			spoil func(*journal.Record)
			err   error
		}{
			"persistence id": {func(r *journal.Record) { r.PersistenceID = "" }, query.ErrInvalidID},
			"its type":       {func(r *journal.Record) { r.Type = "" }, journal.ErrNotEncodable},
			"type":           {func(r *journal.Record) { r.Type = "a\xff" }, journal.ErrNotEncodable},
			"content type":   {func(r *journal.Record) { r.ContentType = "a\xff" }, journal.ErrNotEncodable},
			"tag":            {func(r *journal.Record) { r.Tags = []string{"fine", "a\xff"} }, journal.ErrNotEncodable},
			"metadata":       {func(r *journal.Record) { r.Metadata = map[string]string{"k": "a\xff"} }, journal.ErrNotEncodable},
		} {
			bad := newRecord("b", 1)
			c.spoil(&bad)
			pointers, err := a.Append(s.ctx, newRecord("a", 1), bad, newRecord("a", 2))
			require.ErrorIs(t, err, c.err, field)
			require.ErrorContains(t, err, "record 2", field)
			require.ErrorContains(t, err, field)
			require.True(t, journal.IsFinal(err), "%s: %v", field, err)
			require.Nil(t, pointers)
			require.Empty(t, s.all(t), field)
		}
	}},
	{"of one call are next to each other, whoever appends", appender, manyRecorders},
	{"end with their context", appender, func(t *testing.T, s *subject) {
		a := s.appender()
		ctx, cancel := context.WithCancel(s.ctx)
		cancel()
		_, err := a.Append(ctx, newRecord("a", 1))
		require.ErrorIs(t, err, context.Canceled)
		require.Empty(t, s.all(t))
	}},
	{"are refused by a closed journal", appender, func(t *testing.T, s *subject) {
		s.skipUnless(t, closer)
		a := s.appender()
		require.NoError(t, s.close())
		_, err := a.Append(s.ctx, newRecord("a", 1))
		require.ErrorIs(t, err, query.ErrClosed)
	}},
	{"wake subscribers", appender, func(t *testing.T, s *subject) {
		s.skipUnless(t, notifier)
		a, sub := s.appender(), s.subscribe(t)
		for range 3 {
			_, err := a.Append(s.ctx, newRecord("a", 1))
			require.NoError(t, err)
			sub.wait(t)
		}
	}},
}

// manyRecorders append records to ids that they share, while actors append to theirs.
func manyRecorders(t *testing.T, s *subject) {
	const recorders, each = 8, 15
	a := s.appender()
	var (
		wg     sync.WaitGroup
		stored [recorders][]query.Pointer
	)
	for w := range recorders {
		wg.Go(func() {
			for i := range each {
				own := fmt.Sprintf("own-%d", w)
				pointers, err := a.Append(s.ctx, newRecord("shared", w), newRecord(own, i), newRecord("shared", w))
				if !assert.NoError(t, err) {
					return
				}
				stored[w] = append(stored[w], pointers...)
			}
		})
		wg.Go(func() {
			for seq := int64(1); seq <= each; seq++ {
				assert.NoError(t, s.AppendEvent(s.ctx, newEvent(fmt.Sprintf("actor-%d", w), seq)))
			}
		})
	}
	wg.Wait()

	all := s.all(t)
	require.Len(t, all, recorders*each*4)
	at, last := map[query.Pointer]int{}, map[string]int64{}
	for i, e := range all {
		require.Equal(t, last[e.PersistenceID]+1, e.SequenceNumber, "%s comes in order", e.PersistenceID)
		last[e.PersistenceID]++
		at[query.Pointer{PersistenceID: e.PersistenceID, SequenceNumber: e.SequenceNumber}] = i
	}
	for w := range recorders {
		require.Len(t, stored[w], 3*each)
		for i, p := range stored[w] {
			position, there := at[p]
			require.True(t, there, "%v was said to be stored", p)
			if p.PersistenceID == "shared" {
				require.Equal(t, newRecord("shared", w).Data, all[position].Data, "%v is another's", p)
			}
			if i%3 > 0 {
				require.Equal(t, at[stored[w][i-1]]+1, position, "%v follows what it was appended with", p)
			}
		}
	}
}

func newRecord(id string, n int) journal.Record {
	return journal.Record{
		PersistenceID: id, Type: "shop.v1.Changed", ContentType: "application/json", Data: fmt.Appendf(nil, `{"change":%d}`, n),
	}
}

// skipUnless is for cases that need more than one thing.
func (s *subject) skipUnless(t *testing.T, n need) {
	t.Helper()
	if why := s.h.lacks(n); why != "" {
		t.Skip(why)
	}
}

func (s *subject) appender() journal.Appender { return s.Journal.(journal.Appender) }
