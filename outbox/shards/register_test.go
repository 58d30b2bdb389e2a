package shards

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// A journal removes what no registered outbox needs. Once a layout is stored, which needs nothing, each of its shards must be
// registered, or what they have yet to publish could be removed before they first run.
func TestEveryShardIsRegisteredBeforeTheLayoutIsStored(t *testing.T) {
	j, n := store(t), names{"shop", 8}
	looked := 0
	j.onCall(func(op, key string) (before, after error) {
		if op == "Save" && key == n.layoutKey() {
			looked++
			require.ElementsMatch(t, keysOf(n), registered(t, j, n))
		}
		return nil, nil
	})
	require.NoError(t, checkLayout(context.Background(), j, n, nil))
	require.Equal(t, 1, looked)
}

// The takeover of one key fails, and the next attempt goes on from there.
func TestRegisteringGoesOnAfterAFault(t *testing.T) {
	for _, late := range []bool{false, true} {
		j, n := store(t), names{"shop", 8}
		j.onCall(func(op, key string) (before, after error) {
			switch {
			case op != "Acquire" || key != n.key(5):
			case late:
				return nil, errInjected
			default:
				return errInjected, nil
			}
			return nil, nil
		})
		creating := newCreation()
		require.ErrorIs(t, checkLayout(context.Background(), j, n, creating), errInjected)
		saved, err := j.Load(context.Background(), n.layoutKey())
		require.NoError(t, err)
		require.Zero(t, saved.Index, "no layout without its shards")
		taken := 0
		j.onCall(func(op, _ string) (before, after error) {
			if op == "Acquire" {
				taken++
			}
			return nil, nil
		})
		require.NoError(t, checkLayout(context.Background(), j, n, creating))
		require.Equal(t, 3+1, taken, "three shards, and the layout")
		require.ElementsMatch(t, keysOf(n), registered(t, j, n))
	}
}

// Keys that were unregistered have an epoch, too.
func TestWhatWasUnregisteredIsRegisteredAnew(t *testing.T) {
	j, n := store(t), names{"shop", 8}
	require.NoError(t, checkLayout(context.Background(), j, n, nil))
	for _, key := range append(keysOf(n), n.layoutKey()) {
		require.NoError(t, j.Unregister(context.Background(), key))
	}
	require.Empty(t, registered(t, j, n))
	require.NoError(t, checkLayout(context.Background(), j, n, nil))
	require.ElementsMatch(t, keysOf(n), registered(t, j, n))
}

// A member that is configured for another number, and is beaten to it, leaves nothing registered that would never save.
func TestWhoIsBeatenToTheLayoutRegistersNothing(t *testing.T) {
	j, n, other := store(t), names{"shop", 8}, names{"shop", 3}
	var once sync.Once
	j.onCall(func(op, key string) (before, after error) {
		if op == "Acquire" && key == other.key(2) {
			once.Do(func() { require.NoError(t, checkLayout(context.Background(), j.Journal, n, nil)) })
		}
		return nil, nil
	})
	require.ErrorIs(t, checkLayout(context.Background(), j, other, nil), ErrLayout)
	require.Empty(t, registered(t, j, other))
	require.ElementsMatch(t, keysOf(n), registered(t, j, n))
}

// Who registers a key may be overtaken by a faster member whose shard is at work by then. That one goes on undisturbed.
func TestARegistrationFencesNoShardThatRuns(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		w.write()
		n, epoch := w.node(1), int64(0)
		late := &faulty{Journal: w.j}
		late.onCall(func(op, key string) (before, after error) {
			if op == "Acquire" && key == n.key(0) {
				late.call = nil
				n.activate(0)
				pass(3 * time.Second)
				require.Equal(t, 1, w.published())
				epoch = w.epoch()
			}
			return nil, nil
		})
		require.NoError(t, checkLayout(context.Background(), late, n.names, nil))
		require.NotZero(t, epoch, "it was overtaken")
		require.Equal(t, epoch, w.epoch())
		w.write()
		pass(5 * time.Second)
		require.Equal(t, epoch, w.epoch())
		require.Equal(t, 2, w.published())
	})
}

// All the shards of a member start at once, and one of them stores the layout for all.
func TestTheLayoutIsStoredOnceByAMember(t *testing.T) {
	j, n := store(t), names{"shop", 200}
	var mu sync.Mutex
	calls := 0
	j.onCall(func(string, string) (before, after error) {
		mu.Lock()
		defer mu.Unlock()
		calls++
		return nil, nil
	})
	creating := newCreation()
	var all sync.WaitGroup
	for range n.shards {
		all.Go(func() { require.NoError(t, checkLayout(context.Background(), j, n, creating)) })
	}
	all.Wait()
	require.LessOrEqual(t, calls, 5*n.shards+3, "two looks at the layout for each shard, three calls to register it, and three to store the layout")

	ctx, cancel := context.WithCancel(context.Background())
	leave, err := creating.enter(ctx)
	require.NoError(t, err)
	cancel()
	require.ErrorIs(t, checkLayout(ctx, j, names{"other", 2}, creating), context.Canceled, "it does not wait for longer than it may")
	leave()
}

func keysOf(n names) (keys []string) {
	for number := range n.shards {
		keys = append(keys, n.key(number))
	}
	return keys
}

// registered are those keys of a layout that hold back the journal's retention. The store has no list of them, but only a
// registered key has an owner.
func registered(t *testing.T, j *faulty, n names) (keys []string) {
	t.Helper()
	ctx := context.Background()
	for _, key := range keysOf(n) {
		saved, err := j.Journal.Load(ctx, key)
		require.NoError(t, err)
		if saved.Epoch == 0 {
			continue
		}
		if _, err = j.Journal.Acquire(ctx, key, saved.Epoch, 0); err == nil {
			keys = append(keys, key)
			continue
		}
		require.ErrorIs(t, err, query.ErrFenced)
	}
	return keys
}
