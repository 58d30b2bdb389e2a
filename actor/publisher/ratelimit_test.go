package publisher

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// stamped notes the calls with the time since it was made.
func stamped() (p Publisher, log func() string) {
	start := time.Now()
	var mu sync.Mutex
	var calls []string
	p = around(func(_ context.Context, _ Publisher, events []Event) error {
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, fmt.Sprintf("%v: %s", time.Since(start), idsOf(events)))
		return nil
	})(answering{})
	return p, func() string { return strings.Join(calls, "\n") }
}

func TestRateLimitCountsEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink, log := stamped()
		p := Chain(sink, RateLimit(2, 4))
		for _, batch := range []string{"a/1 b/1 c/1", "a/2", "a/3 b/2", "a/4"} {
			require.NoError(t, p.Publish(t.Context(), batchOf(batch)))
		}
		assert.Equal(t, "0s: a/1 b/1 c/1\n0s: a/2\n1s: a/3 b/2\n1.5s: a/4", log())
	})
}

func TestRateLimitSplitsWhatIsLargerThanItsBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink, log := stamped()
		p := Chain(sink, RateLimit(1, 2))
		require.NoError(t, p.Publish(t.Context(), batchOf("a/1 a/2 b/1 b/2 a/3")))
		assert.Equal(t, "0s: a/1 a/2\n2s: b/1 b/2\n3s: a/3", log())
	})
}

func TestRateLimitLeavesAnIDOutThatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls []Event
		p := Chain(Func(failing(&calls, map[string]error{"a/2": errNo})), RateLimit(1, 2))
		start := time.Now()
		failures := Deliver(t.Context(), p, batchOf("a/1 a/2 b/1 a/3 b/2 a/4"))
		assert.Equal(t, "1:retry 3:unknown 5:unknown", outcomesOf(failures))
		assert.Equal(t, "a/1 a/2 b/1 b/2", idsOf(calls))
		assert.Equal(t, 2*time.Second, time.Since(start), "what was not sent has not been waited for")
	})
}

func TestRateLimitWaitsNoLongerThanItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls []Event
		p := Chain(Func(failing(&calls, nil)), RateLimit(1, 2))
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		failures := Deliver(ctx, p, batchOf("a/1 b/1 a/2 b/2 a/3 b/3"))
		assert.Equal(t, "4:unknown 5:unknown", outcomesOf(failures))
		require.ErrorIs(t, failures[0].Err, ErrNotTried)
		require.ErrorIs(t, failures[0].Err, context.DeadlineExceeded)
		assert.Equal(t, 3*time.Second, time.Since(start))

		// Nothing was taken for what was given up: the next two have waited for their own second and no more.
		require.NoError(t, p.Publish(t.Context(), batchOf("a/3 b/3")))
		assert.Equal(t, 4*time.Second, time.Since(start))
	})
}

func TestRateLimitServesInOrderOfArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink, log := stamped()
		p := Chain(sink, RateLimit(1, 3))
		require.NoError(t, p.Publish(t.Context(), batchOf("a/1 a/2 a/3")))

		ctx, cancel := context.WithCancel(t.Context())
		var waiting sync.WaitGroup
		for _, batch := range []string{"b/1 b/2 b/3", "c/1", "d/1 d/2", "e/1"} {
			waiting.Go(func() {
				if batch == "c/1" {
					assert.ErrorIs(t, p.Publish(ctx, batchOf(batch)), context.Canceled)
					return
				}
				assert.NoError(t, p.Publish(t.Context(), batchOf(batch)))
			})
			synctest.Wait()
		}
		cancel() // in the queue
		waiting.Wait()
		assert.Equal(t, "0s: a/1 a/2 a/3\n3s: b/1 b/2 b/3\n5s: d/1 d/2\n6s: e/1", log())
	})
}

func TestRateLimitAfterItsContextEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	sink, log := stamped()
	p := Chain(sink, RateLimit(1e6, 10))
	for range 100 { // a select that could choose would choose wrong
		require.Len(t, Deliver(ctx, p, batchOf("a/1")), 1)
	}
	assert.Empty(t, log())
}

// In no stretch of time do more events pass than a full burst and what flows in meanwhile, and nobody waits longer than
// that asks for.
func TestABucketIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := bucket{
			perSecond: rapid.Float64Range(0.01, 1e6).Draw(t, "per second"),
			burst:     rapid.IntRange(1, 50).Draw(t, "burst"),
		}
		now := time.Unix(0, 0)
		type taken struct {
			at time.Time
			n  int
		}
		var log []taken
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 3_000_000_000).Draw(t, "pause")))
			n := rapid.IntRange(1, b.burst).Draw(t, "n")
			if wait := b.take(now, n); wait > 0 {
				// A moment before, it is too early, and after the wait it is not.
				require.Positive(t, b.take(now.Add(wait-1), n))
				now = now.Add(wait)
				require.Zero(t, b.take(now, n))

				// It has not waited in vain: a little earlier, some stretch would have had too many.
				least := false
				sum := n
				for i := len(log) - 1; i >= 0 && !least; i-- {
					sum += log[i].n
					stretch := now.Add(-time.Microsecond).Sub(log[i].at)
					least = float64(sum) > float64(b.burst)+stretch.Seconds()*b.perSecond-1e-3
				}
				require.True(t, least)
			}
			log = append(log, taken{now, n})
			sum := 0
			for _, earlier := range slices.Backward(log) {
				sum += earlier.n
				most := float64(b.burst) + now.Sub(earlier.at).Seconds()*b.perSecond
				require.LessOrEqual(t, float64(sum), most+b.perSecond*2e-9+1e-6)
			}
		}
	})
}
