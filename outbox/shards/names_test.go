package shards

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// Every slice belongs to exactly one shard, whatever their number, and no shard has two more than another.
func TestShardsDivideTheSlicesEvenly(t *testing.T) {
	for shards := range query.NumSlices + 1 { // 0: an outbox without shards
		n, next := names{"shop", shards}, uint16(0)
		least := uint16(query.NumSlices / n.count())
		for number := range n.count() {
			r := n.slices(number)
			require.Equal(t, next, r.From, "shard %d of %d", number, shards)
			require.Contains(t, []uint16{least, least + 1}, r.To-r.From, "shard %d of %d", number, shards)
			for slice := r.From; slice < r.To; slice++ {
				if n.ofSlice(slice) != number || !r.Contains(slice) {
					require.Failf(t, "not its slice", "shard %d of %d, slice %d", number, shards, slice)
				}
			}
			next = r.To
		}
		require.EqualValues(t, query.NumSlices, next, "%d shards", shards)
	}
}

func TestIdentities(t *testing.T) {
	n := names{"my-shop-2", 12}
	for i := range 12 {
		number, ok := n.number(n.identity(i))
		require.True(t, ok)
		require.Equal(t, i, number)
	}
	for _, other := range []string{"", "my-shop-2", "my-shop-2-", "my-shop-2-12", "my-shop-2--1", "my-shop-2-01", "my-shop-2-+1", "my-shop-2-1x", "shop-1"} {
		_, ok := n.number(other)
		require.False(t, ok, other)
	}
	require.Equal(t, "outbox/my-shop-2-3/12", n.key(3))
	require.NotEqual(t, n.key(3), names{"my-shop-2", 13}.key(3), "two layouts never share offsets")
	require.Equal(t, n.layoutKey(), names{"my-shop-2", 0}.key(0), "a layout is where an outbox without shards has its offsets")
}

func TestNames(t *testing.T) {
	require.NoError(t, names{"Shop_1.orders-eu", 1}.check())
	for _, n := range []names{{"", 1}, {"a/b", 1}, {"a b", 1}, {"ä", 1}, {fmt.Sprintf("%151s", "x"), 1}, {"a", 0}, {"a", 1025}, {"a", -1}} {
		var wrong *outbox.OptionError
		require.ErrorAs(t, n.check(), &wrong, "%q %d", n.name, n.shards)
	}
}
