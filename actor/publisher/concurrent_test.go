package publisher

import (
	"context"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestConcurrentDeliversIDsAtTheSameTimeUpToTheLimit(t *testing.T) {
	const limit = 3
	var running, most atomic.Int32
	full := make(chan struct{})
	var once sync.Once
	p := Concurrent(limit, func(ctx context.Context, e Event) error {
		n := running.Add(1)
		defer running.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		if n >= limit {
			once.Do(func() { close(full) })
		}
		select {
		case <-full: // nobody leaves before the limit was reached
		case <-ctx.Done():
		}
		return nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()

	var batches sync.WaitGroup
	for _, batch := range []string{"a/1 b/1 c/1 a/2", "d/1 e/1 f/1 g/1"} {
		batches.Go(func() { assert.NoError(t, p.Publish(ctx, batchOf(batch))) })
	}
	batches.Wait()
	require.NoError(t, ctx.Err())
	assert.EqualValues(t, limit, most.Load(), "the limit holds over all batches")
}

func TestConcurrentKeepsTheOrderOfEachIDAndStopsItAtItsFailure(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 50 {
		// A batch over 8 ids in which some events fail, chosen in advance.
		var batch []Event
		last := map[string]int64{}
		errs := map[string]error{}
		for range 60 {
			id := string(rune('a' + random.IntN(8)))
			last[id]++
			batch = append(batch, batchOf(id+"/"+strconv.FormatInt(last[id], 10))...)
			if random.IntN(15) == 0 {
				errs[batch[len(batch)-1].ID()] = errNo
			}
		}

		var mu sync.Mutex
		called := map[string][]int64{}
		p := Concurrent(4, func(_ context.Context, e Event) error {
			mu.Lock()
			defer mu.Unlock()
			called[e.PersistenceID] = append(called[e.PersistenceID], e.SequenceNumber)
			runtime.Gosched()
			return errs[e.ID()]
		})
		failures := map[int]Failure{}
		for _, f := range deliver(t.Context(), p, batch) {
			failures[f.Index] = f
		}

		// The obviously right version: each id by itself, in order, up to its first failure.
		want := map[string][]int64{}
		failed := map[string]bool{}
		for i, e := range batch {
			switch {
			case failed[e.PersistenceID]:
				require.ErrorIs(t, failures[i].Err, ErrNotTried)
				require.Equal(t, OutcomeUnknown, failures[i].Outcome)
				continue
			case errs[e.ID()] != nil:
				failed[e.PersistenceID] = true
				require.Equal(t, OutcomeRetry, failures[i].Outcome)
			default:
				require.NotContains(t, failures, i)
			}
			want[e.PersistenceID] = append(want[e.PersistenceID], e.SequenceNumber)
		}
		require.Equal(t, want, called)
	}
}

func TestConcurrentDoesNotWaitForASlotAfterItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := Concurrent(1, func(ctx context.Context, _ Event) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	})
	failures := deliver(ctx, p, batchOf("a/1 b/1 b/2"))
	assert.Equal(t, "0:unknown 1:unknown 2:unknown", outcomesOf(failures))
	require.ErrorIs(t, failures[2].Err, ErrNotTried)
}

func TestConcurrentPanicsInTheCallerOnceAllHaveReturned(t *testing.T) {
	var running atomic.Int32
	p := Concurrent(2, func(ctx context.Context, e Event) error {
		running.Add(1)
		defer running.Add(-1)
		if e.PersistenceID == "b" {
			panic("boom")
		}
		<-ctx.Done()
		return ctx.Err()
	})
	defer func() {
		crash, ok := recover().(*PanicError)
		require.True(t, ok)
		assert.Equal(t, "boom", crash.Value)
		assert.Contains(t, string(crash.Stack), "TestConcurrentPanics", "the stack is that of the function")
		assert.Zero(t, running.Load())
	}()
	_ = p.Publish(t.Context(), batchOf("a/1 b/1"))
	t.Error("Publish returned")
}

func TestConcurrentRefusesALimitBelowOne(t *testing.T) {
	assert.PanicsWithValue(t, "publisher.Concurrent: the limit is 0, it must be at least 1",
		func() { Concurrent(0, func(context.Context, Event) error { return nil }) })
}
