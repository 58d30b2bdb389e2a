package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher/webhook"
)

// Requests that come late in a batch are cut short by its end. That tells nothing about a receiver that takes its time.
func TestASlowReceiverIsNotDown(t *testing.T) {
	for _, answers := range []time.Duration{3 * time.Second, 7 * time.Second, 8900 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			c := newTown()
			c.answers = answers
			hook := c.router(t)
			events := eventsFor(1, 200)
			ctx, cancel := context.WithTimeout(t.Context(), 29500*time.Millisecond)
			defer cancel()
			f := failures(t, hook.Publish(ctx, events), events)
			require.NotEmpty(t, f)

			took, failed := publishing(t, hook, eventsFor(1, 8))
			assert.Empty(t, failed)
			assert.Equal(t, answers, took)
		})
	}
}

// Where batches are given less time than a request, the end of a batch is all that can be seen of a receiver that hangs.
func TestAReceiverThatHangsIsFoundOutByShortBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTown()
		c.hanging["c0"] = true
		hook := c.router(t)
		events := eventsFor(1, 3)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		assert.Len(t, failures(t, hook.Publish(ctx, events), events), 3)

		took, failed := publishing(t, hook, events)
		assert.Zero(t, took)
		assert.Len(t, failed["c0"], 3)
	})
}

// A customer who is gone, and was down before, holds none of his events back, though the lookup takes its time.
func TestADestinationThatIsNoneAnyMoreIsNotDown(t *testing.T) {
	for _, says := range []error{webhook.ErrIgnore, publisher.Permanent(errors.New("no such customer"))} {
		synctest.Test(t, func(t *testing.T) {
			c := newTown()
			c.hanging["c0"] = true
			var mu sync.Mutex
			var gone error
			hook := newRouter(t, func(_ context.Context, name string) (webhook.Destination, error) {
				time.Sleep(time.Millisecond) //nolint:forbidigo // virtual time
				mu.Lock()
				defer mu.Unlock()
				return webhook.Destination{URL: "https://" + name}, gone
			}, webhook.WithTransport(c))
			publishing(t, hook, eventsFor(1, 8))

			mu.Lock()
			gone = says
			mu.Unlock()
			time.Sleep(time.Second) //nolint:forbidigo // virtual time
			publishing(t, hook, eventsFor(1, 1))
			_, failed := publishing(t, hook, eventsFor(1, 100))
			if errors.Is(says, webhook.ErrIgnore) {
				assert.Empty(t, failed)
				return
			}
			require.Len(t, failed["c0"], 100)
			for _, f := range failed["c0"] {
				assert.Equal(t, publisher.OutcomePermanent, f.Outcome, "%v", f.Err)
			}
		})
	}
}

// A transport that traces requests logs their URLs.
func TestNoTransportIsGivenAPasswordInAURL(t *testing.T) {
	seen := ""
	hook, err := webhook.New("https://user:hunter2@example.com/x", webhook.WithTransport(roundTrip(func(r *http.Request) (*http.Response, error) {
		seen = fmt.Sprint(r.URL, r.Header.Get("Authorization"))
		return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody}, nil
	})))
	require.NoError(t, err)
	require.NoError(t, hook.Publish(t.Context(), batchOf("a/1")))
	assert.Equal(t, "https://example.com/xBasic dXNlcjpodW50ZXIy", seen)
}
