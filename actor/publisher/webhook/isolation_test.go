package webhook_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher/webhook"
)

// town is a number of customers, c0 to c<n-1>, each at a host of its own, in virtual time.
type town struct {
	answers time.Duration   // how long a healthy one takes
	hanging map[string]bool // those that do not answer

	mu       sync.Mutex
	last     map[string]time.Time // when each answered last
	requests map[string]int
	now, max int // requests at the same time
}

func newTown() *town {
	return &town{answers: 50 * time.Millisecond, hanging: map[string]bool{}, last: map[string]time.Time{}, requests: map[string]int{}}
}

func (c *town) RoundTrip(r *http.Request) (*http.Response, error) {
	customer := r.URL.Host
	c.mu.Lock()
	c.requests[customer]++
	c.now++
	c.max = max(c.max, c.now)
	hangs := c.hanging[customer]
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.now--
	}()
	answer := time.After(c.answers)
	if hangs {
		answer = nil
	}
	select {
	case <-answer:
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last[customer] = time.Now()
	return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody}, nil
}

// latest is when the last of the healthy customers answered last.
func (c *town) latest(start time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	var d time.Duration
	for _, at := range c.last {
		d = max(d, at.Sub(start))
	}
	return d
}

func (c *town) router(t *testing.T, opts ...webhook.Option) *webhook.Webhook {
	t.Helper()
	return newRouter(t, func(_ context.Context, name string) (webhook.Destination, error) {
		return webhook.Destination{URL: "https://" + name}, nil
	}, append(opts, webhook.WithTransport(c))...)
}

// eventsFor makes the first events of so many ids of each customer, dealt in turn.
func eventsFor(customers, ids int) []publisher.Event {
	var all strings.Builder
	for id := range ids {
		for customer := range customers {
			fmt.Fprintf(&all, "c%d-%d/1 ", customer, id)
		}
	}
	return batchOf(all.String())
}

// publishing publishes a batch and returns how long that took, and what failed, by customer.
func publishing(t *testing.T, hook *webhook.Webhook, events []publisher.Event) (time.Duration, map[string][]publisher.Failure) {
	t.Helper()
	start := time.Now()
	failed := map[string][]publisher.Failure{}
	for id, f := range failures(t, hook.Publish(t.Context(), events), events) {
		customer, _, _ := strings.Cut(id, "-")
		failed[customer] = append(failed[customer], f)
	}
	return time.Since(start), failed
}

func TestACustomerThatHangsSlowsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTown()
		hook := c.router(t)
		events := eventsFor(20, 20)
		start := time.Now()
		took, failed := publishing(t, hook, events)
		alone := c.latest(start)
		require.Equal(t, alone, took)
		require.Empty(t, failed)

		// The first batch finds out. The others are not slower by a millisecond.
		c.hanging["c7"] = true
		delete(c.last, "c7")
		start = time.Now()
		took, failed = publishing(t, hook, events)
		assert.Equal(t, alone, c.latest(start))
		assert.Equal(t, 10*time.Second, took, "but the batch is answered only when the last of its events is")
		require.Len(t, failed, 1)
		assert.Len(t, failed["c7"], 20)
		sent := 0
		for _, f := range failed["c7"] {
			if f.Outcome == publisher.OutcomeUnknown {
				sent++
				continue
			}
			assert.Equal(t, publisher.OutcomeRetry, f.Outcome)
			assert.Positive(t, f.RetryAfter)
			assert.ErrorContains(t, f.Err, `destination "c7" has not answered`)
		}
		assert.Equal(t, webhook.DefaultDestinationConcurrency, sent, "the rest was not sent")

		// From now on it costs a request now and then, which waits no longer than nothing was sent before it.
		for _, step := range []struct{ pause, cost time.Duration }{
			{0, alone},
			{time.Second, time.Second},
			{0, alone},
			{2 * time.Second, 2 * time.Second},
			{4 * time.Second, 4 * time.Second},
			{8 * time.Second, 8 * time.Second},
			{16 * time.Second, 10 * time.Second},
			{32 * time.Second, 10 * time.Second},
			{time.Minute, 10 * time.Second},
			{50 * time.Second, alone},
			{10 * time.Second, 10 * time.Second},
		} {
			time.Sleep(step.pause) //nolint:forbidigo // virtual time
			before := c.requests["c7"]
			start = time.Now()
			took, failed = publishing(t, hook, events)
			assert.Equal(t, step.cost, took, "after %v", step.pause)
			assert.Equal(t, alone, c.latest(start))
			assert.Len(t, failed["c7"], 20)
			assert.LessOrEqual(t, c.requests["c7"]-before, 1)
		}

		// It is back, and the first answer lets all go again.
		c.mu.Lock()
		c.hanging["c7"] = false
		c.mu.Unlock()
		time.Sleep(time.Minute) //nolint:forbidigo // virtual time
		_, failed = publishing(t, hook, events)
		assert.Len(t, failed["c7"], 19)
		took, failed = publishing(t, hook, events)
		assert.Empty(t, failed)
		assert.Equal(t, alone, took)
	})
}

// What remains: those that begin to hang in the same moment, and are more than have a share each, make the others wait
// until they are found out, once.
func TestManyThatBeginToHangAtOnceCostOneTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTown()
		hook := c.router(t)
		for i := range 60 { // 60 × 8 > 256
			c.hanging[fmt.Sprintf("c%d", i)] = true
		}
		events := eventsFor(80, 10)
		start := time.Now()
		_, failed := publishing(t, hook, events)
		assert.Len(t, failed, 60)
		assert.Less(t, c.latest(start), 21*time.Second, "two rounds of timeouts: of the first 32, and of the other 28")
		assert.Equal(t, webhook.DefaultRouterConcurrency, c.max)

		// Found out, they may have a quarter of the requests, for their probes.
		time.Sleep(2 * time.Minute) //nolint:forbidigo // virtual time
		start = time.Now()
		_, failed = publishing(t, hook, events)
		assert.Len(t, failed, 60)
		assert.Equal(t, 100*time.Millisecond, c.latest(start), "10 ids of a customer, 8 at a time")
	})
}

func TestProbesTakeAQuarterOfTheRequestsAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTown()
		hook := c.router(t, webhook.WithConcurrency(16), webhook.WithDestinationConcurrency(4))
		for i := range 20 {
			c.hanging[fmt.Sprintf("c%d", i)] = true
		}
		events := eventsFor(20, 4)
		publishing(t, hook, events)
		publishing(t, hook, events) // all are found out
		time.Sleep(2 * time.Minute) //nolint:forbidigo // virtual time
		c.max = 0
		_, failed := publishing(t, hook, events)
		assert.Len(t, failed, 20)
		assert.Equal(t, 4, c.max)
		for _, all := range failed {
			for _, f := range all {
				if f.Outcome == publisher.OutcomeRetry { // not sent
					assert.GreaterOrEqual(t, f.RetryAfter, time.Second)
				}
			}
		}
	})
}

func TestWaitingForAPlaceEndsWithTheBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTown()
		c.hanging["c0"] = true
		hook := c.router(t, webhook.WithDestinationConcurrency(1))
		events := eventsFor(1, 3)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		f := failures(t, hook.Publish(ctx, events), events)
		assert.Equal(t, time.Second, time.Since(start))
		require.Len(t, f, 3)
		for id := range f {
			assert.Equal(t, publisher.OutcomeUnknown, f[id].Outcome)
		}
		assert.Equal(t, 1, c.requests["c0"])
	})
}

// A stop of the outbox says nothing about the customers.
func TestABatchThatIsCancelledBlamesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTown()
		c.answers = 5 * time.Second
		hook := c.router(t)
		for range 5 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			require.Error(t, hook.Publish(ctx, eventsFor(1, 3)))
		}
		took, failed := publishing(t, hook, eventsFor(1, 3))
		assert.Empty(t, failed)
		assert.Equal(t, 5*time.Second, took)
	})
}

// The same with sockets: whatever the dead customer holds, all that is for the others arrives.
func TestOneDeadCustomerOfTwenty(t *testing.T) {
	const customers, ids = 20, 30
	var arrived atomic.Int32
	all, leave := make(chan struct{}), make(chan struct{})
	to := directory{}
	for i := range customers {
		handle := func(http.ResponseWriter, *http.Request) {
			if arrived.Add(1) == (customers-1)*ids {
				close(all)
			}
		}
		if i == 7 {
			handle = func(_ http.ResponseWriter, r *http.Request) {
				select {
				case <-leave:
				case <-r.Context().Done():
				}
			}
		}
		to[fmt.Sprintf("c%d", i)] = webhook.Destination{URL: newReceiver(t, handle).url}
	}
	hook := newRouter(t, to.lookup, webhook.WithTimeout(time.Hour))
	events := eventsFor(customers, ids)
	// The dead one's come first: without a share of its own it would have all places.
	slices.SortStableFunc(events, func(a, b publisher.Event) int {
		return strings.Compare(strings.Replace(customerOf(a), "c7", "", 1), strings.Replace(customerOf(b), "c7", "", 1))
	})
	err := publishWhile(t, hook, events, func() {
		select {
		case <-all:
		case <-time.After(patience):
			t.Errorf("%d of %d arrived", arrived.Load(), (customers-1)*ids)
		}
		close(leave)
	})
	require.NoError(t, err)
}

// BenchmarkRouter shows what 19 healthy customers get while the 20th is healthy too, or hangs, or refuses connections.
func BenchmarkRouter(b *testing.B) {
	for _, name := range []string{"healthy", "hanging", "refusing"} {
		b.Run(name, func(b *testing.B) {
			to := directory{}
			stop := make(chan struct{})
			var servers []*httptest.Server
			for i := range 20 {
				server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					if i == 7 && name == "hanging" {
						select {
						case <-stop:
						case <-r.Context().Done():
						}
					}
				}))
				if i == 7 && name == "refusing" {
					server.Close()
				} else {
					servers = append(servers, server)
				}
				to[fmt.Sprintf("c%d", i)] = webhook.Destination{URL: server.URL}
			}
			hook, err := webhook.NewRouter(customerOf, to.lookup)
			require.NoError(b, err)
			var stopped sync.Once
			defer func() {
				stopped.Do(func() { close(stop) })
				hook.Close()
				for _, server := range servers {
					server.Close()
				}
			}()
			events := eventsFor(20, 12)
			others := slices.DeleteFunc(slices.Clone(events), func(e publisher.Event) bool { return customerOf(e) == "c7" })
			its := slices.DeleteFunc(slices.Clone(events), func(e publisher.Event) bool { return customerOf(e) != "c7" })
			// The 20th has batches of its own, as an outbox sends what has failed, one at a time.
			var running sync.WaitGroup
			idle := make(chan struct{}, 1)
			idle <- struct{}{}
			for b.Loop() {
				select {
				case <-idle:
					running.Go(func() {
						_ = hook.Publish(b.Context(), its) // dead or not
						idle <- struct{}{}
					})
				default:
				}
				require.NoError(b, hook.Publish(b.Context(), others))
			}
			b.ReportMetric(float64(b.N*len(others))/b.Elapsed().Seconds(), "events/s")
			stopped.Do(func() { close(stop) })
			running.Wait()
		})
	}
}
