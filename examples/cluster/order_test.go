package main

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	shopv1 "github.com/protoactor-contrib/protoactor-outbox/examples/cluster/shop/v1"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/outboxtest"
)

// A customer who hears nothing sends a command again; meanwhile the order may have moved.
func TestAnOrderCarriesOutACommandOnce(t *testing.T) {
	kit := outboxtest.New(t)
	o := kit.Spawn("order/1", newOrder)
	add := func(command string) *shopv1.AddItem {
		return &shopv1.AddItem{CommandId: command, Item: "tea", Quantity: 2}
	}
	for n, command := range []string{"c-1", "c-2", "c-3"} {
		for range 2 {
			answer, ok := kit.Request(o, add(command)).(*shopv1.Added)
			require.True(t, ok)
			require.Equal(t, int64(n+1), answer.GetSequenceNumber())
			o = kit.Respawn(o)
		}
	}
	kit.Flush()
	require.Equal(t, []string{"order/1/1", "order/1/2", "order/1/3"}, outboxtest.EventIDs(kit.Published()))
	require.True(t, proto.Equal(&shopv1.ItemAdded{CommandId: "c-2", Item: "tea", Quantity: 2},
		outboxtest.Decode[*shopv1.ItemAdded](t, kit.Published()[1])))
}
