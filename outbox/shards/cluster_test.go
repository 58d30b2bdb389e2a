package shards_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/shards"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

func TestEveryShardPublishesItsIDs(t *testing.T) {
	j, got := memory.New(), &sink{}
	for i := range 50 {
		write(t, j, fmt.Sprintf("order-%d", i), 1, 3)
	}
	s, err := shards.New("shop", 8, j, publisher.Props(publisher.Func(got.publish)), quick(), shards.WithPingInterval(50*time.Millisecond))
	require.NoError(t, err)
	m := start(t, s)
	require.NoError(t, m.client.Flush(within(t)))
	for i := range 50 {
		require.Equal(t, []int64{1, 2, 3}, got.received(fmt.Sprintf("order-%d", i)))
	}
	write(t, j, "late", 1, 1)
	require.NoError(t, m.client.WaitPublished(within(t), "late", 0))
	published := int64(0)
	for i, a := range m.client.Status(within(t)) {
		require.NoError(t, a.Err)
		require.Equal(t, i, a.Number)
		require.Equal(t, outboxv1.ShardState_SHARD_STATE_RUNNING, a.Shard.GetState())
		require.Equal(t, m.cluster.ActorSystem.Address(), a.Shard.GetAddress())
		require.EqualValues(t, 2, a.Shard.GetOutbox().GetEpoch(), "the first was when it was registered")
		published += a.Shard.GetOutbox().GetPublished()
	}
	require.EqualValues(t, 151, published)
	require.NoError(t, m.Leave(within(t), 5*time.Second))
	for _, a := range m.client.Status(within(t)) {
		require.NoError(t, a.Err)
		require.Equal(t, outboxv1.ShardState_SHARD_STATE_LEAVING, a.Shard.GetState())
	}
}
