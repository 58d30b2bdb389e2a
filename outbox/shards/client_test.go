package shards

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/outbox"
)

// A client that is made for fewer shards than there are would ask some of them, and say that all have done it. One that is made
// for more would wait for some that there are not.
func TestAClientForAnotherNumberOfShardsIsRefused(t *testing.T) {
	for _, wrong := range []int{2, 8} {
		simulated(t, func(t *testing.T, w *world) {
			n := w.node(4)
			c, l := n.inCluster()
			for number := range max(4, wrong) { // the cluster activates whatever it is asked for
				l.where[names{"shop", 8}.identity(number)] = n.activate(number)
			}
			client, err := NewClient(c, "shop", wrong)
			require.NoError(t, err)
			began := time.Now()
			for name, call := range map[string]func(context.Context) error{
				"Flush": client.Flush, "Pause": client.Pause, "Resume": client.Resume,
				"WaitPublished": func(ctx context.Context) error { return client.WaitPublished(ctx, "order-1", 0) },
				"Skip":          func(ctx context.Context) error { return client.Skip(ctx, "order-1", 1) },
				"Retry":         func(ctx context.Context) error { _, err := client.Retry(ctx, ""); return err },
			} {
				err := call(t.Context())
				require.ErrorIs(t, err, ErrLayout, name)
				require.Regexp(t, `for \d shards of outbox "shop", the member that runs shop-\d is configured for 4`, err.Error())
			}
			for _, a := range client.Status(t.Context()) {
				require.ErrorIs(t, a.Err, ErrLayout)
				require.EqualValues(t, 4, a.Shard.GetShards())
			}
			require.Less(t, time.Since(began), 5*time.Second, "it is not asked again")
			for _, a := range n.Client(c).Status(t.Context()) {
				require.NoError(t, a.Err)
				require.False(t, a.Shard.GetOutbox().GetPaused())
			}
		})
	}
}

func TestAClientKnowsTheShardOfAnID(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		n := w.node(4)
		c, l := n.inCluster()
		for number := range 4 {
			l.where[n.identity(number)] = n.activate(number)
		}
		client := n.Client(c)
		w.write()
		number := client.ShardOf("order-1")
		require.NoError(t, client.WaitPublished(t.Context(), "order-1", 1))
		for i := range 4 {
			o, err := client.Shard(t.Context(), i)
			require.NoError(t, err)
			err = o.WaitPublished(t.Context(), "order-1", 1)
			if i == number {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, outbox.ErrFiltered, "shard %d", i)
			}
		}
	})
}
