package adopt_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/adopt"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

func TestASaveThatWasSwallowedIsAnError(t *testing.T) {
	p := newStrange()
	swallow := false
	p.persistSnapshot = func(id string, index int, m proto.Message) {
		if !swallow {
			p.table.PersistSnapshot(id, index, m)
		}
	}
	j := open(t, p, nil)
	acquire(t, j)
	save(t, j, 1, 1, 0)
	swallow = true
	err := j.Save(t.Context(), key, query.Saved{Epoch: 1, Index: 2, Data: []byte("two")})
	require.Error(t, err)
	require.NotErrorIs(t, err, query.ErrFenced, "nobody else has saved")
	saved, err := j.Load(t.Context(), key)
	require.NoError(t, err)
	require.Equal(t, int64(1), saved.Index)
	swallow = false
	save(t, j, 1, 2, 0)
}

// No index of the provider's is ever used twice: some refuse that without a word, and a write that was lost may come late.
func TestEverySaveHasAnIndexOfItsOwn(t *testing.T) {
	p := newStrange()
	tried := map[string][]int{}
	lose := false
	p.persistSnapshot = func(id string, index int, m proto.Message) {
		tried[id] = append(tried[id], index)
		if id == adopt.ReservedPrefix+key {
			lose = !lose
		}
		if !lose || id != adopt.ReservedPrefix+key {
			p.table.PersistSnapshot(id, index, m)
		}
	}
	j := open(t, p, nil)
	ctx := t.Context()
	_, err := j.Acquire(ctx, key, 0, 0)
	require.Error(t, err, "it was lost")
	acquire(t, j)
	for i := int64(1); i < 100; i++ {
		saved, err := j.Load(ctx, key)
		require.NoError(t, err)
		if err := j.Save(ctx, key, query.Saved{Epoch: saved.Epoch, Index: i, Data: []byte("x")}); err != nil {
			require.NotErrorIs(t, err, query.ErrFenced)
		}
	}
	indexes := tried[adopt.ReservedPrefix+key]
	require.Greater(t, len(indexes), 90)
	for i := range indexes[1:] {
		require.Greater(t, indexes[i+1], indexes[i])
	}
	require.Less(t, len(p.snapshots[adopt.ReservedPrefix+key]), 20, "older ones are removed")
}

func TestWhoeverLostTheNameCannotSave(t *testing.T) {
	p := newTable()
	first, second := open(t, p, nil), open(t, p, nil)
	acquire(t, first)
	save(t, first, 1, 1, 0)
	acquire(t, second)
	require.ErrorIs(t, first.Save(t.Context(), key, query.Saved{Epoch: 1, Index: 2}), query.ErrFenced)
	_, err := first.Acquire(t.Context(), key, 1, 1)
	require.ErrorIs(t, err, query.ErrFenced)
	save(t, second, 2, 2, 0)
}

// One process sees what another has stored. Who is refused leaves nothing behind.
func TestWhoHasSeenAnOlderEpochDoesNotTakeOver(t *testing.T) {
	p := newStrange()
	var stored []string
	p.persistSnapshot = func(id string, index int, m proto.Message) {
		stored = append(stored, id)
		p.table.PersistSnapshot(id, index, m)
	}
	first, second := open(t, p, nil), open(t, p, nil)
	acquire(t, first)
	before := len(stored)
	_, err := second.Acquire(t.Context(), key, 0, 0)
	require.ErrorIs(t, err, query.ErrTakenMeanwhile)
	_, err = second.NewFeed().Acquire(t.Context(), "outbox/billing", 0, 1)
	require.ErrorIs(t, err, query.ErrTakenMeanwhile)
	require.Empty(t, stored[before:], "neither an owner nor a name in the registry")
	save(t, first, 1, 1, 0)
}

// A provider's call goes on when nobody waits for it any more. What it finds then, nobody takes over.
func TestATakeoverThatIsOverGoesNoFurther(t *testing.T) {
	p := newStrange()
	j := open(t, p, nil)
	_, err := j.Head(t.Context()) // so that the registry is there
	require.NoError(t, err)
	var stored []string
	p.persistSnapshot = func(id string, index int, m proto.Message) {
		stored = append(stored, id)
		p.table.PersistSnapshot(id, index, m)
	}
	begun, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	p.getSnapshot = func(id string) (any, int, bool) {
		if id == adopt.ReservedPrefix+key {
			once.Do(func() { close(begun); <-goOn })
		}
		return p.table.GetSnapshot(id)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := j.Acquire(ctx, key, 0, 0)
		done <- err
	}()
	<-begun
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	close(goOn)
	saved, err := j.Load(t.Context(), key) // which waits for the call before
	require.NoError(t, err)
	require.Zero(t, saved.Epoch)
	require.Empty(t, stored)
}

// Two processes that take over at the same time find the same epoch. One of them learns that it has lost, at its next save.
func TestOfTwoOwnersOfOneEpochOneIsFenced(t *testing.T) {
	p := newTable()
	var started, written sync.WaitGroup
	started.Add(2)
	written.Add(2)
	owner := func() *adopt.Journal {
		s := &strange{table: p, persistEvent: p.PersistEvent, getEvents: p.GetEvents}
		var once, onceMore sync.Once
		s.getSnapshot = func(id string) (any, int, bool) {
			found, index, ok := p.GetSnapshot(id)
			if id == adopt.ReservedPrefix+key {
				once.Do(func() { started.Done(); started.Wait() }) // both have read the same
			}
			return found, index, ok
		}
		s.persistSnapshot = func(id string, index int, m proto.Message) {
			p.PersistSnapshot(id, index, m)
			if id == adopt.ReservedPrefix+key {
				onceMore.Do(func() { written.Done(); written.Wait() })
			}
		}
		return open(t, s, nil)
	}
	var (
		wg     sync.WaitGroup
		owners = []*adopt.Journal{owner(), owner()}
		errs   [2]error
	)
	for _, j := range owners { // so that the registry is there
		_, err := j.Head(t.Context())
		require.NoError(t, err)
	}
	for i, j := range owners {
		wg.Go(func() {
			saved, err := j.Acquire(t.Context(), key, 0, 0)
			if err == nil {
				err = j.Save(t.Context(), key, query.Saved{Epoch: saved.Epoch, Index: 1})
			}
			errs[i] = err
		})
	}
	wg.Wait()
	if errs[0] == nil {
		errs[0], errs[1] = errs[1], errs[0]
	}
	require.ErrorIs(t, errs[0], query.ErrFenced)
	require.NoError(t, errs[1])
}

// The same, where each has seen its own take-over: only the nonce tells them apart.
func TestAnOwnerWhoseTakeOverWasOverwrittenIsFenced(t *testing.T) {
	p := newTable()
	first := open(t, p, nil)
	acquire(t, first)
	stale, once := &strange{table: p, persistEvent: p.PersistEvent, getEvents: p.GetEvents, persistSnapshot: p.PersistSnapshot}, false
	stale.getSnapshot = func(id string) (any, int, bool) {
		if id == adopt.ReservedPrefix+key && !once {
			once = true
			return nil, 0, false
		}
		return p.GetSnapshot(id)
	}
	second := open(t, stale, nil)
	taken, err := second.Acquire(t.Context(), key, 0, 0)
	require.NoError(t, err)
	require.Equal(t, int64(1), taken.Epoch)
	require.ErrorIs(t, first.Save(t.Context(), key, query.Saved{Epoch: 1, Index: 1}), query.ErrFenced)
	_, err = first.Acquire(t.Context(), key, 1, 1)
	require.ErrorIs(t, err, query.ErrFenced)
	save(t, second, 1, 1, 0)
}

// An owner that comes back has to go on with the offsets of whoever saved in between.
func TestOffsetsAreThoseOfWhoeverSavedLast(t *testing.T) {
	p := newTable()
	first := open(t, p, []string{"a", "b"})
	acquire(t, first)
	persist(p, "a", 0, "a")
	persist(p, "b", 0, "b")
	second := open(t, p, []string{"a", "b"})
	persist(first, "a", 1, "a") // which first finds before anything else of b
	require.Len(t, read(t, first, 0), 3)
	save(t, first, 1, 1, 0)

	acquire(t, second)
	require.Len(t, read(t, second, 0), 3)
	persist(second, "b", 1, "b")
	read(t, second, 3)
	persist(second, "a", 2, "a")
	known := read(t, second, 0)
	save(t, second, 2, 2, 2)
	persist(first, "a", 3, "a")
	persist(first, "b", 2, "b")
	read(t, first, 3) // numbered otherwise

	acquire(t, first)
	require.Equal(t, known[2:], read(t, first, 2)[:len(known)-2])
}

func TestOffsetsMayBeKeptInAnotherProvider(t *testing.T) {
	events, offsets := newTable(), newTable()
	j := open(t, events, nil, adopt.WithSnapshots(offsets))
	acquire(t, j)
	persist(j, "a", 0, "a")
	read(t, j, 0)
	save(t, j, 1, 1, 1)
	require.Len(t, offsets.snapshots, 1)
	before, err := j.Head(t.Context())
	require.NoError(t, err)

	again := open(t, events, []string{"a"}, adopt.WithSnapshots(offsets))
	require.Equal(t, int64(1), acquire(t, again).Index)
	require.Empty(t, read(t, again, 1))

	// The events are gone, and the offsets are not: an outbox must not go on as if nothing had happened.
	other := open(t, newTable(), nil, adopt.WithSnapshots(offsets))
	acquire(t, other)
	after, err := other.Head(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, before.Identity, after.Identity)
}

func TestWhatIsNotOursIsDamaged(t *testing.T) {
	p := newTable()
	j := open(t, p, nil)
	acquire(t, j)
	p.PersistSnapshot(adopt.ReservedPrefix+key, 1000, wrapperspb.String("of somebody else"))
	_, err := j.Load(t.Context(), key)
	require.ErrorContains(t, err, "damaged")
}

// The framework's provider keeps pointers: what was stored must not change with what is stored next.
func TestSnapshotsInTheFrameworksProvider(t *testing.T) {
	p := newFramework()
	j := open(t, p, []string{"a"})
	acquire(t, j)
	persist(j, "a", 0, "a")
	read(t, j, 0)
	save(t, j, 1, 1, 1)
	kept, _, ok := p.GetSnapshot(adopt.ReservedPrefix + key)
	require.True(t, ok)
	before := proto.Clone(kept.(proto.Message))
	persist(j, "a", 1, "a")
	read(t, j, 1)
	save(t, j, 1, 2, 2)
	require.True(t, proto.Equal(before, kept.(proto.Message)))
}
