package journaltest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// Several owners of one key at once: what an outbox's fence is for.
var ownershipCases = []testCase{
	{"gives each of several new owners another epoch", snapshotStore, func(t *testing.T, s *subject) {
		s.takeOver(t, s.Journal)
	}},
	{"goes to one of several that have seen the same epoch", snapshotStore, func(t *testing.T, s *subject) {
		s.oneTakesOver(t, s.Journal)
	}},
	{"lets one of several saves of an index win", snapshotStore, func(t *testing.T, s *subject) {
		epoch := s.acquire(t, outboxKey).Epoch
		for index := int64(1); index <= 5; index++ {
			var (
				wg   sync.WaitGroup
				errs [8]error
			)
			for i := range errs {
				wg.Go(func() { errs[i] = s.save(epoch, index, fmt.Sprint(i)) })
			}
			wg.Wait()
			winner := slices.Index(errs[:], nil)
			require.NotEqual(t, -1, winner, "nobody saved index %d: %v", index, errs)
			for i, err := range errs {
				if i != winner {
					require.ErrorIs(t, err, query.ErrStaleIndex)
				}
			}
			requireSaved(t, epoch, index, fmt.Sprint(winner), s.load(t, outboxKey))
		}
	}},
	{"that moves during a save hands it on, or fences it", snapshotStore, func(t *testing.T, s *subject) {
		s.saveWhileMoving(t, s.Journal, s.Journal)
	}},
	{"that ends during a save fences the next one", snapshotStore, func(t *testing.T, s *subject) {
		for round := range 20 {
			epoch := s.acquire(t, outboxKey).Epoch
			var saved, removed error
			atOnce(round,
				func() { saved = s.save(epoch, 1, "saved") },
				func() { removed = s.store().Unregister(s.ctx, outboxKey) })
			require.NoError(t, removed)
			if saved != nil {
				s.isFenced(t, saved)
			}
			left := s.load(t, outboxKey)
			require.Equal(t, query.Saved{Epoch: left.Epoch}, left, "what was unregistered has no snapshot")
			require.Greater(t, left.Epoch, epoch)
			s.isFenced(t, s.save(epoch, 2, "late"))
		}
	}},
	{"is not proven to one who takes over at the same time", snapshotStore, func(t *testing.T, s *subject) {
		for round := range 20 {
			old := s.acquire(t, outboxKey).Epoch
			var (
				proven   query.Saved
				proofErr error
				taken    query.Saved
				takeErr  error
			)
			atOnce(round,
				func() { proven, proofErr = s.store().Acquire(s.ctx, outboxKey, old, old) },
				func() { taken, takeErr = s.store().Acquire(s.ctx, outboxKey, 0, old) })
			require.NoError(t, takeErr)
			require.Equal(t, old+1, taken.Epoch, "a proof takes nothing")
			if proofErr == nil {
				require.Equal(t, old, proven.Epoch)
			} else {
				s.isFenced(t, proofErr)
			}
			require.Equal(t, old+1, s.load(t, outboxKey).Epoch)
		}
	}},
	{"of a key is not taken for that of a similar one", snapshotStore, func(t *testing.T, s *subject) {
		for i, key := range similarIDs {
			for epoch := int64(1); epoch <= int64(1+i%3); epoch++ {
				require.Equal(t, epoch, s.acquire(t, key).Epoch, "epoch of %q", key)
			}
			require.NoError(t, s.store().Save(s.ctx, key, query.Saved{Epoch: int64(1 + i%3), Index: int64(i + 1), Data: []byte(key)}))
		}
		for i, key := range similarIDs {
			requireSaved(t, int64(1+i%3), int64(i+1), key, s.load(t, key))
			if i%2 == 0 {
				require.NoError(t, s.store().Unregister(s.ctx, key))
			}
		}
		for i, key := range similarIDs {
			require.Equal(t, i%2 == 0, s.load(t, key).Data == nil, "whether %q was unregistered", key)
		}
	}},
	{"of a key that is none is kept exactly, or refused", snapshotStore, func(t *testing.T, s *subject) {
		for name, key := range invalidIDs {
			saved, err := s.store().Acquire(s.ctx, key, 0, 0)
			if err != nil {
				require.NotErrorIs(t, err, query.ErrFenced, "a key that is %s has no owner", name)
				require.NotErrorIs(t, err, query.ErrTakenMeanwhile, "nobody has a key that is %s", name)
				require.Error(t, s.store().Save(s.ctx, key, query.Saved{Epoch: 1, Index: 1}), "a key that is %s", name)
				require.Less(t, len(err.Error()), 1000, "Acquire repeats a key that is %s in full", name)
				continue
			}
			require.Equal(t, query.Saved{Epoch: 1}, saved, "a key that is %s", name)
			require.NoError(t, s.store().Save(s.ctx, key, query.Saved{Epoch: 1, Index: 1, Data: []byte(name)}))
			requireSaved(t, 1, 1, name, s.load(t, key))
			require.NoError(t, s.store().Unregister(s.ctx, key))
		}
	}},
	{"has epochs and indexes of 64 bits", snapshotStore, func(t *testing.T, s *subject) {
		epoch := s.acquire(t, outboxKey).Epoch
		for _, index := range []int64{math.MaxInt32, math.MaxInt32 + 1, 1 << 53, 1<<53 + 1, math.MaxInt64 - 1, math.MaxInt64} {
			require.NoError(t, s.save(epoch, index, "x"))
			requireSaved(t, epoch, index, "x", s.load(t, outboxKey))
		}
		for _, wrong := range []int64{math.MaxInt64, math.MinInt64, -1, epoch + 1<<32} {
			s.isFenced(t, s.save(wrong, math.MaxInt64, "x"))
			_, err := s.store().Acquire(s.ctx, outboxKey, wrong, epoch)
			s.isFenced(t, err)
			saved, err := s.store().Acquire(s.ctx, outboxKey, 0, wrong)
			s.isTaken(t, saved, err)
		}
	}},
}

// atOnce runs the functions at the same time. Which of them begins changes with the round, where that makes a difference.
func atOnce(round int, fns ...func()) {
	var wg sync.WaitGroup
	for i := range fns {
		wg.Go(fns[(round+i)%len(fns)])
	}
	wg.Wait()
}

// takeOver has owners acquire a key at once, by turns through each of the journals, which are the same one. Each tries until
// it has the key.
func (s *subject) takeOver(t *testing.T, journals ...Journal) {
	t.Helper()
	const owners, rounds = 8, 5
	var all []int64
	for range rounds {
		var (
			wg     sync.WaitGroup
			epochs [owners]int64
			errs   [owners]error
		)
		for i := range owners {
			store := journals[i%len(journals)].(query.SnapshotStore)
			wg.Go(func() {
				errs[i] = query.ErrTakenMeanwhile
				for errors.Is(errs[i], query.ErrTakenMeanwhile) {
					var saved query.Saved
					if saved, errs[i] = store.Load(s.ctx, outboxKey); errs[i] == nil {
						saved, errs[i] = store.Acquire(s.ctx, outboxKey, 0, saved.Epoch)
					}
					epochs[i] = saved.Epoch
				}
			})
		}
		wg.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
		all = append(all, epochs[:]...)
	}
	slices.Sort(all)
	for i, epoch := range all {
		require.Equal(t, int64(i+1), epoch, "epochs that were given: %v", all)
	}
	require.Equal(t, int64(len(all)), s.load(t, outboxKey).Epoch)
}

// oneTakesOver has owners that have seen the same epoch acquire a key at once, by turns through each of the journals, which are
// the same one.
func (s *subject) oneTakesOver(t *testing.T, journals ...Journal) {
	t.Helper()
	const owners, rounds = 8, 5
	seen := s.load(t, outboxKey).Epoch
	for range rounds {
		var (
			wg    sync.WaitGroup
			saved [owners]query.Saved
			errs  [owners]error
		)
		for i := range owners {
			store := journals[i%len(journals)].(query.SnapshotStore)
			wg.Go(func() { saved[i], errs[i] = store.Acquire(s.ctx, outboxKey, 0, seen) })
		}
		wg.Wait()
		winner := slices.Index(errs[:], nil)
		require.NotEqual(t, -1, winner, "nobody has taken over from epoch %d: %v", seen, errs)
		for i, err := range errs {
			if i != winner {
				s.isTaken(t, saved[i], err)
			}
		}
		seen++
		require.Equal(t, seen, saved[winner].Epoch)
		require.Equal(t, seen, s.load(t, outboxKey).Epoch)
	}
}

// saveWhileMoving has the owner of a key save through one journal while somebody takes the key over through another,
// which is the same one. A save that succeeded and that the next owner did not see would be lost.
func (s *subject) saveWhileMoving(t *testing.T, owner, next Journal) {
	t.Helper()
	var last int64
	for index := int64(1); index <= 30; index++ {
		epoch := s.acquire(t, outboxKey).Epoch
		var (
			saveErr   error
			moved     query.Saved
			movingErr error
		)
		data := fmt.Sprint(index)
		atOnce(int(index),
			func() {
				saveErr = owner.(query.SnapshotStore).Save(s.ctx, outboxKey, query.Saved{Epoch: epoch, Index: index, Data: []byte(data)})
			},
			func() { moved, movingErr = next.(query.SnapshotStore).Acquire(s.ctx, outboxKey, 0, epoch) })
		require.NoError(t, movingErr)
		require.Equal(t, epoch+1, moved.Epoch)
		if saveErr == nil {
			requireSaved(t, epoch+1, index, data, moved)
			last = index
		} else {
			s.isFenced(t, saveErr)
			require.Equal(t, last, moved.Index, "what the next owner begins with after the save of index %d was fenced", index)
		}
		require.Equal(t, moved, s.load(t, outboxKey), "nothing changes after the next owner has begun")
	}
}
