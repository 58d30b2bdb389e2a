package journaltest

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

const outboxKey = "outbox/orders"

var outboxSnapshotCases = []testCase{
	{"do not exist for an unknown key", snapshotStore, func(t *testing.T, s *subject) {
		for range 2 { // loading leaves nothing behind
			require.Equal(t, query.Saved{}, s.load(t, outboxKey))
		}
		require.Equal(t, query.Saved{Epoch: 1}, s.acquire(t, outboxKey))
	}},
	{"raise the epoch with every owner", snapshotStore, func(t *testing.T, s *subject) {
		for epoch := int64(1); epoch <= 5; epoch++ {
			require.Equal(t, epoch, s.acquire(t, outboxKey).Epoch)
			require.Equal(t, epoch, s.load(t, outboxKey).Epoch)
		}
		require.Equal(t, int64(1), s.acquire(t, "outbox/other").Epoch, "another key has epochs of its own")
	}},
	{"are handed to the next owner", snapshotStore, func(t *testing.T, s *subject) {
		epoch := s.acquire(t, outboxKey).Epoch
		require.NoError(t, s.save(epoch, 1, "one"))
		require.NoError(t, s.save(epoch, 2, "two"))
		requireSaved(t, 1, 2, "two", s.load(t, outboxKey))
		requireSaved(t, 2, 2, "two", s.acquire(t, outboxKey))
		requireSaved(t, 2, 2, "two", s.load(t, outboxKey))
	}},
	{"let an owner prove that it still is", snapshotStore, func(t *testing.T, s *subject) {
		epoch := s.acquire(t, outboxKey).Epoch
		require.NoError(t, s.save(epoch, 1, "one"))
		again, err := s.store().Acquire(s.ctx, outboxKey, epoch, 0)
		require.NoError(t, err)
		requireSaved(t, epoch, 1, "one", again)
		require.NoError(t, s.save(epoch, 2, "two"))
	}},
	{"are taken over only from the epoch that was seen", snapshotStore, func(t *testing.T, s *subject) {
		refuses := func(wrong ...int64) {
			t.Helper()
			before := s.load(t, outboxKey)
			for _, seen := range wrong {
				saved, err := s.store().Acquire(s.ctx, outboxKey, 0, seen)
				s.isTaken(t, saved, err)
				require.Equal(t, before, s.load(t, outboxKey), "after epoch %d was seen", seen)
			}
		}
		refuses(-1, 1, 2, math.MaxInt64) // nothing is stored
		for epoch := range int64(3) {
			s.isFenced(t, s.save(epoch, 1, "never acquired"))
		}
		for epoch := int64(1); epoch <= 3; epoch++ {
			saved, err := s.store().Acquire(s.ctx, outboxKey, 0, epoch-1)
			require.NoError(t, err)
			require.Equal(t, epoch, saved.Epoch)
			require.Equal(t, epoch-1, saved.Index)
			require.NoError(t, s.save(epoch, epoch, "x"))
			refuses(-1, 0, epoch-1, epoch+1, epoch+1<<32, math.MaxInt64)
		}
		require.NoError(t, s.save(3, 9, "nine"), "the owner still is one")

		require.NoError(t, s.store().Unregister(s.ctx, outboxKey))
		freed := s.load(t, outboxKey).Epoch
		refuses(0, 3, freed-1, freed+1)
		s.isFenced(t, s.save(freed, 1, "without an owner"))
		saved, err := s.store().Acquire(s.ctx, outboxKey, 0, freed)
		require.NoError(t, err)
		require.Equal(t, query.Saved{Epoch: freed + 1}, saved)
		require.NoError(t, s.save(freed+1, 1, "one"))
	}},
	{"are proven whichever epoch was seen", snapshotStore, func(t *testing.T, s *subject) {
		old := s.acquire(t, outboxKey).Epoch
		epoch := s.acquire(t, outboxKey).Epoch
		require.NoError(t, s.save(epoch, 1, "one"))
		for _, seen := range []int64{-1, 0, old, epoch, epoch + 1, math.MaxInt64} {
			saved, err := s.store().Acquire(s.ctx, outboxKey, epoch, seen)
			require.NoError(t, err, "seen %d", seen)
			requireSaved(t, epoch, 1, "one", saved)
			_, err = s.store().Acquire(s.ctx, outboxKey, old, seen)
			s.isFenced(t, err)
		}
		requireSaved(t, epoch, 1, "one", s.load(t, outboxKey))
		require.NoError(t, s.save(epoch, 2, "two"))
	}},
	{"refuse an owner that lost ownership", snapshotStore, func(t *testing.T, s *subject) {
		old := s.acquire(t, outboxKey).Epoch
		require.NoError(t, s.save(old, 1, "old"))
		current := s.acquire(t, outboxKey).Epoch

		s.isFenced(t, s.save(old, 2, "old"))
		s.isFenced(t, s.save(old, 1_000_000, "old"))
		_, err := s.store().Acquire(s.ctx, outboxKey, old, 0)
		s.isFenced(t, err)
		requireSaved(t, current, 1, "old", s.load(t, outboxKey))

		require.NoError(t, s.save(current, 2, "current"))
		s.isFenced(t, s.save(old, 3, "old"))
		requireSaved(t, current, 2, "current", s.load(t, outboxKey))
	}},
	{"refuse epochs that nobody was given", snapshotStore, func(t *testing.T, s *subject) {
		for _, epoch := range []int64{-1, 0, 1, 2} {
			s.isFenced(t, s.save(epoch, 1, "never acquired"))
		}
		_, err := s.store().Acquire(s.ctx, outboxKey, 1, 0)
		s.isFenced(t, err)
		require.Equal(t, query.Saved{}, s.load(t, outboxKey))

		epoch := s.acquire(t, outboxKey).Epoch
		s.isFenced(t, s.save(epoch+1, 1, "from the future"))
		_, err = s.store().Acquire(s.ctx, outboxKey, epoch+1, epoch)
		s.isFenced(t, err)
		require.Equal(t, query.Saved{Epoch: epoch}, s.load(t, outboxKey))
	}},
	{"refuse an index that is not greater", snapshotStore, func(t *testing.T, s *subject) {
		epoch := s.acquire(t, outboxKey).Epoch
		require.ErrorIs(t, s.save(epoch, 0, "zero"), query.ErrStaleIndex)
		require.NoError(t, s.save(epoch, 5, "five"))
		for _, index := range []int64{-1, 0, 1, 4, 5} {
			err := s.save(epoch, index, "stale")
			require.ErrorIs(t, err, query.ErrStaleIndex, "index %d", index)
			require.NotErrorIs(t, err, query.ErrFenced)
			require.ErrorContains(t, err, outboxKey)
		}
		requireSaved(t, epoch, 5, "five", s.load(t, outboxKey))
		require.NoError(t, s.save(epoch, 6, "six"))

		next := s.acquire(t, outboxKey).Epoch
		require.ErrorIs(t, s.save(next, 6, "stale"), query.ErrStaleIndex, "indexes rise over epochs")
		require.NoError(t, s.save(next, 7, "seven"))
	}},
	{"are fenced before they are stale", snapshotStore, func(t *testing.T, s *subject) {
		old := s.acquire(t, outboxKey).Epoch
		require.NoError(t, s.save(old, 5, "five"))
		s.acquire(t, outboxKey)
		s.isFenced(t, s.save(old, 5, "both"))
	}},
	{"never give an epoch twice, not even after being unregistered", snapshotStore, func(t *testing.T, s *subject) {
		old := s.acquire(t, outboxKey).Epoch
		require.NoError(t, s.save(old, 1, "old"))
		require.NoError(t, s.store().Unregister(s.ctx, outboxKey))

		freed := s.load(t, outboxKey)
		require.Greater(t, freed.Epoch, old)
		require.Equal(t, query.Saved{Epoch: freed.Epoch}, freed, "its snapshot is gone")
		for epoch := range freed.Epoch + 2 {
			s.isFenced(t, s.save(epoch, 2, "without an owner"))
		}
		for held := int64(1); held <= freed.Epoch+1; held++ {
			_, err := s.store().Acquire(s.ctx, outboxKey, held, freed.Epoch)
			s.isFenced(t, err)
		}

		next := s.acquire(t, outboxKey)
		require.Greater(t, next.Epoch, freed.Epoch)
		require.Equal(t, query.Saved{Epoch: next.Epoch}, next)
		s.isFenced(t, s.save(old, 9, "old"))
		require.NoError(t, s.save(next.Epoch, 1, "next"))
	}},
	{"may be unregistered when unknown", snapshotStore, func(t *testing.T, s *subject) {
		require.NoError(t, s.store().Unregister(s.ctx, outboxKey))
		require.Equal(t, query.Saved{}, s.load(t, outboxKey))
		require.Equal(t, int64(1), s.acquire(t, outboxKey).Epoch)
		for range 2 {
			require.NoError(t, s.store().Unregister(s.ctx, outboxKey))
		}
	}},
	{"keep data exactly, and nothing of the caller's memory", snapshotStore, func(t *testing.T, s *subject) {
		epoch := s.acquire(t, outboxKey).Epoch
		for i, data := range [][]byte{nil, {}, {0, 0xff}, []byte("text"), largeEvent("x", 1, mebibyte).Data} {
			saved := query.Saved{Epoch: epoch, Index: int64(i + 1), Data: slices.Clone(data)}
			require.NoError(t, s.store().Save(s.ctx, outboxKey, saved))
			clear(saved.Data)
			loaded := s.load(t, outboxKey).Data
			require.True(t, bytes.Equal(data, loaded) && (data == nil) == (loaded == nil), "data %d, of %d bytes, differ", i, len(data))
			clear(loaded)
			proven, err := s.store().Acquire(s.ctx, outboxKey, epoch, 0)
			require.NoError(t, err)
			require.True(t, bytes.Equal(data, proven.Data), "data %d, of %d bytes, are the journal's own memory", i, len(data))
		}
	}},
	{"take what is to be kept", snapshotStore, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 5)
		last := s.all(t)[4]
		epoch := s.acquire(t, outboxKey).Epoch
		keep := query.Keep{
			Watermark: last.Offset,
			Anchor:    query.Pointer{PersistenceID: "a", SequenceNumber: 5},
			Held:      map[string]int64{"it's \"held\"": 3},
			Parked:    []query.Pointer{{PersistenceID: "a", SequenceNumber: 2}, {PersistenceID: "é", SequenceNumber: 1}},
		}
		s.keepsOf(t, epoch, 1, keep)
		s.keepsOf(t, epoch, 2, query.Keep{Watermark: last.Offset}) // nothing is left of the one before
		requireSaved(t, epoch+1, 2, "x", s.acquire(t, outboxKey))
	}},
	{"take what is to be kept of many ids, whatever they are called", snapshotStore, func(t *testing.T, s *subject) {
		epoch := s.acquire(t, outboxKey).Epoch
		keep := query.Keep{Watermark: math.MaxInt64, Held: map[string]int64{}, Anchor: query.Pointer{PersistenceID: similarIDs[len(similarIDs)-1], SequenceNumber: math.MaxInt64}}
		for i, id := range similarIDs {
			keep.Held[id] = int64(i + 1)
			keep.Parked = append(keep.Parked, query.Pointer{PersistenceID: id, SequenceNumber: int64(i + 1)})
		}
		for i := range int64(5000) {
			keep.Held[fmt.Sprintf("order-%d", i)] = math.MaxInt64 - i
			keep.Parked = append(keep.Parked, query.Pointer{PersistenceID: "many", SequenceNumber: 2*i + 1})
		}
		s.keepsOf(t, epoch, 1, keep)
	}},
	{"are apart from those of actors", snapshotStore, func(t *testing.T, s *subject) {
		require.NoError(t, s.SaveActorSnapshot(s.ctx, outboxKey, snapshotAt(7)))
		require.Equal(t, query.Saved{Epoch: 1}, s.acquire(t, outboxKey))
		require.NoError(t, s.save(1, 9, "outbox"))
		require.NoError(t, s.DeleteActorSnapshots(s.ctx, outboxKey, 100))
		requireSaved(t, 1, 9, "outbox", s.load(t, outboxKey))
		require.Empty(t, s.all(t))
	}},
}

// keepsOf saves what is to be kept, and checks that it is what every way of reading gives, and nobody else's memory.
func (s *subject) keepsOf(t *testing.T, epoch, index int64, keep query.Keep) {
	t.Helper()
	given := keep
	given.Held, given.Parked = maps.Clone(keep.Held), slices.Clone(keep.Parked)
	require.NoError(t, s.store().Save(s.ctx, outboxKey, query.Saved{Epoch: epoch, Index: index, Data: []byte("x"), Keep: given}))
	clear(given.Held)
	clear(given.Parked)

	got := s.load(t, outboxKey)
	requireSaved(t, epoch, index, "x", got)
	require.Equal(t, keep, got.Keep, "retention goes by it")
	clear(got.Keep.Held)
	clear(got.Keep.Parked)
	proven, err := s.store().Acquire(s.ctx, outboxKey, epoch, 0)
	require.NoError(t, err)
	require.Equal(t, keep, proven.Keep, "what Acquire returns")
}

func (s *subject) store() query.SnapshotStore { return s.Journal.(query.SnapshotStore) }

func (s *subject) acquire(t *testing.T, key string) query.Saved {
	t.Helper()
	saved, err := s.store().Acquire(s.ctx, key, 0, s.load(t, key).Epoch)
	require.NoError(t, err)
	return saved
}

// isTaken checks that a takeover was refused because of the epoch that was seen.
func (s *subject) isTaken(t *testing.T, saved query.Saved, err error) {
	t.Helper()
	require.ErrorIs(t, err, query.ErrTakenMeanwhile)
	require.NotErrorIs(t, err, query.ErrFenced, "it may try again")
	require.ErrorContains(t, err, outboxKey)
	require.Equal(t, query.Saved{}, saved)
}

func (s *subject) load(t *testing.T, key string) query.Saved {
	t.Helper()
	saved, err := s.store().Load(s.ctx, key)
	require.NoError(t, err)
	return saved
}

func (s *subject) save(epoch, index int64, data string) error {
	return s.store().Save(s.ctx, outboxKey, query.Saved{Epoch: epoch, Index: index, Data: []byte(data)})
}

func (s *subject) isFenced(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, query.ErrFenced)
	require.NotErrorIs(t, err, query.ErrStaleIndex)
	require.NotErrorIs(t, err, query.ErrTakenMeanwhile)
	require.ErrorContains(t, err, outboxKey)
}

func requireSaved(t *testing.T, epoch, index int64, data string, got query.Saved) {
	t.Helper()
	got.Keep = query.Keep{} // the journal's to read, not the owner's
	require.Equal(t, query.Saved{Epoch: epoch, Index: index, Data: []byte(data)}, got)
}
