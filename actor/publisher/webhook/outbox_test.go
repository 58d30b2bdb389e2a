package webhook_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher/webhook"
	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
)

// Through a real outbox: one customer's receiver takes connections and never answers, the others have their events all the
// same; and when it answers again, it gets what it has missed, in order.
func TestAnOutboxWithOneDeadCustomer(t *testing.T) {
	const customers, ids, events = 8, 12, 4
	var (
		hangs   atomic.Bool
		release = make(chan struct{})
		mu      sync.Mutex
		got     = map[string][]string{} // by persistence id
	)
	hangs.Store(true)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/customer-0" && hangs.Load() {
			select {
			case <-r.Context().Done():
			case <-release:
			}
			return
		}
		id, number, _ := strings.Cut(r.Header.Get("Ce-Id"), "/")
		mu.Lock()
		defer mu.Unlock()
		got[id] = append(got[id], number)
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(release) })

	hook, err := webhook.NewRouter(
		func(e publisher.Event) string { name, _, _ := strings.Cut(e.PersistenceID, ":"); return name },
		func(_ context.Context, name string) (webhook.Destination, error) {
			return webhook.Destination{URL: server.URL + "/" + name}, nil
		},
		webhook.WithTimeout(200*time.Millisecond), webhook.WithMode(webhook.Binary),
	)
	require.NoError(t, err)
	t.Cleanup(hook.Close)

	j := memory.New()
	for n := range events {
		for c := range customers {
			for i := range ids {
				_, err := j.Append(t.Context(), journal.Record{
					PersistenceID: fmt.Sprintf("customer-%d:%d", c, i), Type: "t", ContentType: "text/plain", Data: fmt.Append(nil, n),
				})
				require.NoError(t, err)
			}
		}
	}
	props, err := outbox.Props("hooks", j, publisher.Props(hook), outbox.WithPublishTimeout(5*time.Second), outbox.WithMaxAttempts(3))
	require.NoError(t, err)
	system := testkit.NewActorSystem(t)
	pid := system.Root.Spawn(props)
	client := outbox.NewClient(system.Root, pid)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)

	for c := 1; c < customers; c++ {
		for i := range ids {
			require.NoError(t, client.WaitPublished(ctx, fmt.Sprintf("customer-%d:%d", c, i), events))
		}
	}
	require.NoError(t, testkit.AwaitCondition(ctx, func() bool {
		status, err := client.Status(ctx)
		return err == nil && len(status.GetDestinationsOut()) == 1 && status.GetDestinationsOut()[0].GetDestination() == "customer-0"
	}, 30*time.Second))
	status, err := client.Status(ctx)
	require.NoError(t, err)
	assert.Zero(t, status.GetParkedCount(), "the customer is down, its events are not to blame")

	hangs.Store(false)
	require.NoError(t, client.Flush(ctx))
	for c := range customers {
		for i := range ids {
			mu.Lock()
			assert.Equal(t, []string{"1", "2", "3", "4"}, got[fmt.Sprintf("customer-%d:%d", c, i)])
			mu.Unlock()
		}
	}
	require.NoError(t, client.Drain(ctx, 10*time.Second))
}
