package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/postgres"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// A transaction that was open when an outbox was first started at the journal's end commits later, with a smaller offset than
// others that were there before. It is of the time after the start.
func TestAnOutboxThatStartsAtTheEndPublishesWhatWasNotCommitted(t *testing.T) {
	ctx := context.Background()
	pool := migrated(t)
	j, err := postgres.Open(ctx, pool)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, j.Close()) })
	tx, err := pool.Begin(ctx)
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback(ctx) })
	_, err = j.AppendTx(ctx, tx, record("late"))
	require.NoError(t, err)
	_, err = j.Append(ctx, record("early"))
	require.NoError(t, err)

	published := make(chan string, 10)
	system := testkit.NewActorSystem(t)
	props, err := outbox.Props("start", j, publisher.Props(publisher.Func(func(_ context.Context, e publisher.Event) error {
		published <- e.ID()
		return nil
	})), outbox.WithStartNow())
	require.NoError(t, err)
	pid := system.Root.Spawn(props)
	t.Cleanup(func() { require.NoError(t, system.Root.StopFuture(pid).Wait()) })
	client := outbox.NewClient(system.Root, pid)
	require.Eventually(t, func() bool {
		status, err := client.Status(ctx)
		return err == nil && status.GetState() == outboxv1.State_STATE_RUNNING
	}, 20*time.Second, 10*time.Millisecond, "it has chosen its place")
	require.NoError(t, tx.Commit(ctx))
	require.NoError(t, client.Flush(ctx))
	close(published)
	var all []string
	for id := range published {
		all = append(all, id)
	}
	require.Contains(t, all, "late/1")
}
