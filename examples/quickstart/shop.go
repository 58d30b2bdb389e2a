package main

import (
	"strings"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
)

// snapshotInterval is the number of events after which an order is asked for a snapshot. So short lives as those of
// the sample's orders would not need any.
const snapshotInterval = 8

// shop is the parent of the order actors: it spawns an order when its first command comes, and passes commands on.
type shop struct {
	orderProps *actor.Props
	orders     map[string]*actor.PID
}

func shopProps(j journal.Store) *actor.Props {
	orderProps := actor.PropsFromProducer(newOrder,
		actor.WithReceiverMiddleware(journal.Using(j,
			journal.WithID(orderName),
			journal.WithSnapshotInterval(snapshotInterval))))
	return actor.PropsFromProducer(func() actor.Actor {
		return &shop{orderProps: orderProps, orders: map[string]*actor.PID{}}
	})
}

// orderName is the persistence id of an order actor: its own name, without its parent's.
func orderName(c actor.Context) string {
	return strings.TrimPrefix(c.Self().GetId(), c.Parent().GetId()+"/")
}

// Receive implements actor.Actor.
func (s *shop) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *command:
		order, ok := s.orders[m.Order]
		if !ok {
			var err error
			if order, err = c.SpawnNamed(s.orderProps, m.Order); err != nil {
				c.Respond(err)
				return
			}
			s.orders[m.Order] = order
		}
		c.Forward(order)
	case *actor.Terminated:
		// It failed too often. The next command spawns it again.
		delete(s.orders, strings.TrimPrefix(m.GetWho().GetId(), c.Self().GetId()+"/"))
	}
}
