package journaltest

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// retentionCases are for journals that remove what nobody needs any more. Nobody else uses the journal meanwhile; for those
// who do see trimRaceCases.
var retentionCases = append([]testCase{
	{"removes what its actor has deleted, and every outbox has published", trimmer, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 3)
		s.write(t, "b", 1, 2)
		s.write(t, "a", 4, 5)
		require.NoError(t, s.HideEvents(s.ctx, "a", 3))
		s.saveKeep(t, outboxKey, query.Keep{Watermark: s.head(t)})

		trimmed := s.trim(t)
		require.Equal(t, journal.Trimmed{Events: 3, Watermark: s.head(t), Slowest: outboxKey}, trimmed)
		require.Equal(t, []string{"b/1", "b/2", "a/4", "a/5"}, ids(s.all(t)))
		require.Equal(t, []string{"b/1", "b/2", "a/4", "a/5"}, ids(s.feed(t, query.Filter{}, query.Limits{Events: 1})))
		slice := query.SliceOf("a")
		require.Equal(t, []string{"a/4", "a/5"}, ids(s.feed(t, query.Filter{Slices: query.SliceRange{From: slice, To: slice + 1}}, query.Limits{Events: 10})))
		require.Equal(t, []string{"a/4", "a/5"}, ids(s.stream(t, "a")))
		require.Equal(t, []string{"a/4", "a/5"}, ids(s.replayed(t, "a", 1, 0)))
		events, more, err := s.EventsByPersistenceID(s.ctx, "a", 2, query.Limits{Events: 1})
		require.NoError(t, err)
		require.True(t, more)
		require.Equal(t, []string{"a/4"}, ids(events))
		s.removes(t, 0)
	}},
	{"keeps what its actor has not deleted", trimmer, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 5)
		require.NoError(t, s.HideEvents(s.ctx, "a", 2))
		s.saveKeep(t, outboxKey, query.Keep{Watermark: s.head(t)})
		s.removes(t, 2)
		require.Equal(t, []string{"a/3", "a/4", "a/5"}, ids(s.all(t)))
		require.Equal(t, []string{"a/3", "a/4", "a/5"}, ids(s.replayed(t, "a", 3, 0)))
	}},
	{"removes what was written without an actor", trimmer, func(t *testing.T, s *subject) {
		s.skipUnless(t, appender)
		s.record(t, "a", "b", "a", "a")
		s.record(t, "b", "c")
		s.saveKeep(t, outboxKey, query.Keep{Watermark: s.head(t)})
		s.removes(t, 3)
		require.Equal(t, []string{"a/3", "b/2", "c/1"}, ids(s.all(t)))
		s.record(t, "a", "a")
		s.saveKeep(t, outboxKey, query.Keep{Watermark: s.head(t)})
		s.removes(t, 2) // among them the one that was the last
		require.Equal(t, []string{"b/2", "c/1", "a/5"}, ids(s.all(t)))
	}},
	{"keeps the last event of each id, and with it the number and the offset that come next", trimmer, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 3)
		require.NoError(t, s.HideEvents(s.ctx, "a", 3))
		s.write(t, "b", 1, 1)
		require.NoError(t, s.HideEvents(s.ctx, "b", 1))
		head := s.head(t)
		s.saveKeep(t, outboxKey, query.Keep{Watermark: head})
		s.removes(t, 2)
		require.Equal(t, []string{"a/3", "b/1"}, ids(s.all(t)))
		require.Equal(t, head, s.head(t))
		last, err := s.LastSequenceNumber(s.ctx, "a")
		require.NoError(t, err)
		require.EqualValues(t, 3, last)
		require.Empty(t, s.replayed(t, "a", 1, 0), "it is hidden as before")
		s.refuses(t, otherUID(newEvent("a", 2)))
		s.write(t, "a", 3, 4) // the last one again
		all := s.all(t)
		require.Equal(t, []string{"a/3", "b/1", "a/4"}, ids(all))
		require.Greater(t, all[2].Offset, head)
	}},
	{"keeps records of an id that has an actor", trimmer, func(t *testing.T, s *subject) {
		s.skipUnless(t, appender)
		s.write(t, "a", 1, 2)
		s.record(t, "a", "b")
		s.write(t, "a", 4, 4)
		s.write(t, "b", 2, 2)
		s.record(t, "b", "b")
		s.saveKeep(t, outboxKey, query.Keep{Watermark: s.head(t)})
		s.removes(t, 0) // their actors could not replay any more
		require.NoError(t, s.HideEvents(s.ctx, "a", 3))
		require.NoError(t, s.HideEvents(s.ctx, "b", 3))
		s.removes(t, 6)
		require.Equal(t, []string{"a/4", "b/4"}, ids(s.all(t)))
	}},
	{"keeps what some outbox has yet to save past", trimmer, func(t *testing.T, s *subject) {
		s.deleted(t, "a", 6)
		s.saveKeep(t, "outbox/fast", query.Keep{Watermark: s.offsetOfA(t, 5)})
		s.saveKeep(t, "outbox/slow", query.Keep{Watermark: s.offsetOfA(t, 2)})
		slow := s.offsetOfA(t, 2)
		require.Equal(t, journal.Trimmed{Events: 2, Watermark: slow, Slowest: "outbox/slow"}, s.trim(t))
		require.Equal(t, []string{"a/3", "a/4", "a/5", "a/6"}, ids(s.all(t)))
		fast := s.offsetOfA(t, 5)
		s.saveKeep(t, "outbox/slow", query.Keep{Watermark: s.head(t)})
		require.Equal(t, journal.Trimmed{Events: 3, Watermark: fast, Slowest: "outbox/fast"}, s.trim(t))
		require.Equal(t, []string{"a/6"}, ids(s.all(t)))
	}},
	{"keeps everything for an outbox that has not saved yet", trimmer, func(t *testing.T, s *subject) {
		s.deleted(t, "a", 3)
		s.saveKeep(t, outboxKey, query.Keep{Watermark: s.head(t)})
		s.acquire(t, "outbox/unsaved")
		require.Equal(t, journal.Trimmed{Slowest: "outbox/unsaved"}, s.trim(t))
		require.Len(t, s.all(t), 3)
	}},
	{"goes by no outbox that was refused", trimmer, func(t *testing.T, s *subject) {
		s.deleted(t, "a", 3)
		saved, err := s.store().Acquire(s.ctx, outboxKey, 0, 1)
		s.isTaken(t, saved, err)
		_, err = s.trimmer().Trim(s.ctx, journal.Retention{})
		require.ErrorIs(t, err, journal.ErrNoOutbox, "it registers nothing")
	}},
	{"is refused while no outbox is registered", trimmer, func(t *testing.T, s *subject) {
		s.deleted(t, "a", 3)
		refused := func() {
			t.Helper()
			trimmed, err := s.trimmer().Trim(s.ctx, journal.Retention{})
			require.ErrorIs(t, err, journal.ErrNoOutbox)
			require.False(t, journal.IsFinal(err), "one may be registered later")
			require.Zero(t, trimmed)
			require.Len(t, s.all(t), 3)
		}
		refused()
		s.saveKeep(t, outboxKey, query.Keep{Watermark: s.head(t)})
		require.NoError(t, s.store().Unregister(s.ctx, outboxKey))
		refused()
	}},
	{"goes by no outbox that was unregistered", trimmer, func(t *testing.T, s *subject) {
		s.deleted(t, "a", 3)
		s.saveKeep(t, outboxKey, query.Keep{Watermark: s.head(t)})
		s.saveKeep(t, "outbox/gone", query.Keep{Watermark: s.offsetOfA(t, 1)})
		require.NoError(t, s.store().Unregister(s.ctx, "outbox/gone"))
		s.removes(t, 2)
	}},
	{"keeps what a held id has yet to publish, whatever it is called", trimmer, func(t *testing.T, s *subject) {
		held := map[string]int64{}
		s.deletedOfEach(t, similarIDs, 4)
		for _, id := range similarIDs {
			held[id] = 3
		}
		s.saveKeep(t, "outbox/other", query.Keep{Watermark: s.head(t), Held: map[string]int64{similarIDs[0]: 2}})
		s.saveKeep(t, outboxKey, query.Keep{Watermark: s.head(t), Held: held})
		s.removes(t, 2*len(similarIDs)-1)
		for i, id := range similarIDs {
			want := []string{newID(id, 2), newID(id, 3), newID(id, 4)}
			require.Equal(t, want[min(i, 1):], ids(s.stream(t, id)))
		}
	}},
	{"keeps what is parked", trimmer, func(t *testing.T, s *subject) {
		var parked []query.Pointer
		s.deletedOfEach(t, similarIDs, 4)
		for _, id := range similarIDs {
			parked = append(parked, query.Pointer{PersistenceID: id, SequenceNumber: 1}, query.Pointer{PersistenceID: id, SequenceNumber: 3})
		}
		s.saveKeep(t, outboxKey, query.Keep{Watermark: s.head(t), Parked: parked})
		s.removes(t, len(similarIDs))
		for _, id := range similarIDs {
			require.Equal(t, []string{newID(id, 1), newID(id, 3), newID(id, 4)}, ids(s.stream(t, id)))
		}
	}},
	{"keeps each outbox's anchor", trimmer, func(t *testing.T, s *subject) {
		s.deleted(t, "a", 5)
		s.saveKeep(t, outboxKey, query.Keep{Watermark: s.head(t), Anchor: query.Pointer{PersistenceID: "a", SequenceNumber: 2}})
		s.saveKeep(t, "outbox/other", query.Keep{Watermark: s.head(t), Anchor: query.Pointer{PersistenceID: "a", SequenceNumber: 4}})
		s.removes(t, 2)
		require.Equal(t, []string{"a/2", "a/4", "a/5"}, ids(s.all(t)))
	}},
	{"spares what is younger", trimmer, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 2)
		var all []query.Event
		eventually(t, "time passes", func() bool {
			s.write(t, "a", int64(len(all))+1, int64(len(all))+1)
			all = s.all(t)
			return all[len(all)-1].Time.After(all[0].Time)
		})
		require.NoError(t, s.HideEvents(s.ctx, "a", int64(len(all))))
		s.write(t, "a", int64(len(all))+1, int64(len(all))+1)
		s.saveKeep(t, outboxKey, query.Keep{Watermark: s.head(t)})
		trim := func(r journal.Retention) int64 {
			trimmed, err := s.trimmer().Trim(s.ctx, r)
			require.NoError(t, err)
			return trimmed.Events
		}
		require.Zero(t, trim(journal.Retention{Before: all[0].Time}), "none is before the first")
		require.EqualValues(t, len(all)-1, trim(journal.Retention{Before: all[len(all)-1].Time}), "all before the last, and it alone has its time")
		require.EqualValues(t, 1, trim(journal.Retention{}), "the last")
	}},
	{"removes many, behind many that stay", trimmer, func(t *testing.T, s *subject) {
		s.skipUnless(t, appender)
		ofID := func(id string, n int) (all []string) {
			for range n {
				all = append(all, id)
			}
			return all
		}
		s.record(t, ofID("held", 1200)...)
		for i := range 6 {
			s.record(t, ofID(fmt.Sprintf("id-%d", i), 250)...)
		}
		s.saveKeep(t, outboxKey, query.Keep{Watermark: s.head(t), Held: map[string]int64{"held": 1}})
		s.removes(t, 6*249)
		require.Len(t, s.all(t), 1200+6)
	}},
	{"removes large events", trimmer, func(t *testing.T, s *subject) {
		for seq := int64(1); seq <= 6; seq++ {
			require.NoError(t, s.AppendEvent(s.ctx, largeEvent("a", seq, mebibyte*2/3)))
		}
		require.NoError(t, s.HideEvents(s.ctx, "a", 6))
		s.saveKeep(t, outboxKey, query.Keep{Watermark: s.head(t)})
		s.removes(t, 5)
		require.Equal(t, []string{"a/6"}, ids(s.all(t)))
	}},
	{"removes for good", trimmer, func(t *testing.T, s *subject) {
		s.skipUnless(t, reopening)
		s.deleted(t, "a", 4)
		s.saveKeep(t, outboxKey, query.Keep{Watermark: s.head(t)})
		s.removes(t, 3)
		head := s.head(t)
		s.reopen(t)
		require.Equal(t, []string{"a/4"}, ids(s.all(t)))
		require.Equal(t, head, s.head(t))
		s.write(t, "a", 5, 5)
	}},
}, trimRaceCases...)

func (s *subject) trimmer() journal.Trimmer { return s.Journal.(journal.Trimmer) }

// trim removes what may be removed, however young.
func (s *subject) trim(t *testing.T) journal.Trimmed {
	t.Helper()
	trimmed, err := s.trimmer().Trim(s.ctx, journal.Retention{})
	require.NoError(t, err)
	return trimmed
}

// removes trims, which has to remove so many events.
func (s *subject) removes(t *testing.T, n int) {
	t.Helper()
	before := ids(s.all(t))
	removed := int(s.trim(t).Events)
	left := map[string]bool{}
	for _, id := range ids(s.all(t)) {
		left[id] = true
	}
	gone := slices.DeleteFunc(before, func(id string) bool { return left[id] })
	require.Equal(t, n, removed, "events removed: %.200q", gone)
	require.Len(t, gone, n, "events that are not there any more")
}

// deleted appends events 1..last, which their actor has then deleted.
func (s *subject) deleted(t *testing.T, id string, last int64) {
	t.Helper()
	s.write(t, id, 1, last)
	require.NoError(t, s.HideEvents(s.ctx, id, last))
}

// deletedOfEach does so for many ids at once.
func (s *subject) deletedOfEach(t *testing.T, ids []string, last int64) {
	t.Helper()
	var wg sync.WaitGroup
	for _, id := range ids {
		wg.Go(func() {
			for seq := int64(1); seq <= last; seq++ {
				assert.NoError(t, s.AppendEvent(s.ctx, newEvent(id, seq)))
			}
			assert.NoError(t, s.HideEvents(s.ctx, id, last))
		})
	}
	wg.Wait()
}

// record appends records of these ids, all together.
func (s *subject) record(t *testing.T, ids ...string) {
	t.Helper()
	records := make([]journal.Record, len(ids))
	for i, id := range ids {
		records[i] = newRecord(id, i)
	}
	_, err := s.appender().Append(s.ctx, records...)
	require.NoError(t, err)
}

// saveKeep has an outbox of that key say what is to be kept.
func (s *subject) saveKeep(t *testing.T, key string, keep query.Keep) {
	t.Helper()
	saved := s.acquire(t, key)
	require.NoError(t, s.store().Save(s.ctx, key, query.Saved{Epoch: saved.Epoch, Index: saved.Index + 1, Data: []byte("x"), Keep: keep}))
}

func (s *subject) head(t *testing.T) query.Offset {
	t.Helper()
	head, err := s.Head(s.ctx)
	require.NoError(t, err)
	return head.Offset
}

// offsetOfA is where event seq of the id "a" is.
func (s *subject) offsetOfA(t *testing.T, seq int64) query.Offset {
	t.Helper()
	events, _, err := s.EventsByPersistenceID(s.ctx, "a", seq, query.Limits{Events: 1})
	require.NoError(t, err)
	require.Equal(t, []string{newID("a", seq)}, ids(events))
	return events[0].Offset
}
