package main

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	shopv1 "github.com/protoactor-contrib/protoactor-outbox/examples/quickstart/shop/v1"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/outboxtest"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/sqlite"
)

// An order in its file, and a consumer of its events, with an outbox between them whose time is the test's.
func TestAnOrdersEventsReachTheirConsumerInOrder(t *testing.T) {
	j, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), journalFile))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, j.Close()) })

	var told []string
	mux := publisher.NewMux(publisher.Ignore)
	publisher.On(mux, func(_ context.Context, _ publisher.Meta, e *shopv1.ItemAdded) error {
		told = append(told, "pack "+e.GetItem())
		return nil
	})
	publisher.On(mux, func(_ context.Context, _ publisher.Meta, e *shopv1.OrderShipped) error {
		told = append(told, "follow "+e.GetCarrier())
		return nil
	})

	kit := outboxtest.New(t, outboxtest.WithJournal(j), outboxtest.WithPublisher(mux))
	o := kit.Spawn("o-1", newOrder, journal.WithSnapshotInterval(2))
	kit.FailNext("o-1", errors.New("connection refused"))
	for i, c := range []*command{
		{Command: "place", Customer: "Ada"},
		{Command: "add", Item: "tea", Quantity: 2, PriceCents: 350},
		{Command: "ship", Carrier: "rail"}, // before it is paid
		{Command: "pay", AmountCents: 700},
		{Command: "ship", Carrier: "rail"},
	} {
		c.ID, c.Order = string(rune('a'+i)), "o-1"
		want := carriedOut
		if i == 2 {
			want = refused
		}
		require.Equal(t, want, kit.Request(o, c))
		o = kit.Respawn(o)
		require.Equal(t, hadBefore, kit.Request(o, c), "it remembers its commands")
	}
	require.Empty(t, told)
	kit.Tick()
	require.Empty(t, told, "the connection was refused")
	kit.Advance(100 * time.Millisecond)
	require.Equal(t, []string{"pack tea", "follow rail"}, told)
	require.Equal(t, []string{"o-1/1", "o-1/2", "o-1/3", "o-1/4", "o-1/5"}, outboxtest.EventIDs(kit.PublishedOf("o-1")))
	require.Equal(t, "the order is open, not paid", outboxtest.Decode[*shopv1.CommandRefused](t, kit.Published()[2]).GetReason())

	kit.Flush()
	kit.Restart()
	kit.Flush()
	require.Len(t, kit.Published(), 5, "nothing comes again")
}
