package main

import (
	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/cluster"
	"github.com/asynkron/protoactor-go/persistence"

	shopv1 "github.com/protoactor-contrib/protoactor-outbox/examples/cluster/shop/v1"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
)

// orderKind is the kind of the orders in the cluster.
const orderKind = "order"

// orders is the kind for the cluster: virtual actors, which any member may run. One has another PID at every activation, so
// that it is stored under its identity.
func orders(j journal.Store) *cluster.Kind {
	return cluster.NewKind(orderKind, actor.PropsFromProducer(newOrder,
		actor.WithReceiverMiddleware(journal.Using(j, journal.WithID(func(c actor.Context) string {
			return orderID(cluster.GetClusterIdentity(c).GetIdentity())
		})))))
}

// orderID is the persistence id of an order.
func orderID(order string) string { return orderKind + "/" + order }

// order is an ordinary persistent actor. It knows nothing of an outbox or its shards: what it persists is published.
//
// While the cluster changes, there may be two of one order. The journal then takes the events of one; the other fails, is
// restarted by its supervisor, and reads what it had missed. Its sender gets no answer, and sends the command again.
type order struct {
	persistence.Mixin
	had  map[string]int64 // the commands that were carried out, and their events' sequence numbers
	last int64
}

func newOrder() actor.Actor { return &order{had: map[string]int64{}} }

// Receive implements actor.Actor.
func (o *order) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *shopv1.AddItem:
		number, again := o.had[m.GetCommandId()]
		if !again {
			e := &shopv1.ItemAdded{CommandId: m.GetCommandId(), Item: m.GetItem(), Quantity: m.GetQuantity()}
			o.PersistReceive(e)
			number = o.apply(e)
		}
		c.Respond(&shopv1.Added{SequenceNumber: number})
	case *shopv1.ItemAdded: // it was persisted before
		o.apply(m)
	}
}

func (o *order) apply(e *shopv1.ItemAdded) int64 {
	o.last++
	o.had[e.GetCommandId()] = o.last
	return o.last
}
