package main

import (
	"fmt"
	"strings"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/persistence"
	"google.golang.org/protobuf/proto"

	shopv1 "github.com/protoactor-contrib/protoactor-outbox/examples/quickstart/shop/v1"
)

// order is an ordinary persistent actor of Proto.Actor. It knows nothing of an outbox: what it persists is published.
type order struct {
	persistence.Mixin
	state *shopv1.Order
}

func newOrder() actor.Actor {
	return &order{state: &shopv1.Order{}}
}

// event is any of the shop's events.
type event interface {
	proto.Message
	GetCommandId() string
}

// outcome is an order's answer to a command.
type outcome int

const (
	carriedOut outcome = iota
	refused            // by the order's rules
	hadBefore          // the order has had this command
)

// Receive implements actor.Actor.
func (o *order) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *command:
		c.Respond(o.handle(m))

	// At a start, and after a restart by the supervisor: first the snapshot, then the events after it.
	case *shopv1.Order:
		o.state = m
	case event:
		o.apply(m)

	case *persistence.RequestSnapshot:
		o.PersistSnapshot(proto.Clone(o.state))
	}
}

// handle persists what becomes of a command, once. It answers only after that: a sender that gets no answer, because
// the process was killed, sends the command again.
func (o *order) handle(c *command) outcome {
	if o.state.GetCommands()[c.ID] {
		return hadBefore
	}
	e := decide(o.state, c)
	o.PersistReceive(e) // before it is applied: a snapshot taken here does not cover e
	o.apply(e)
	if _, no := e.(*shopv1.CommandRefused); no {
		return refused
	}
	return carriedOut
}

// decide applies the rules of an order.
func decide(o *shopv1.Order, c *command) event {
	refuse := func(format string, args ...any) event {
		return &shopv1.CommandRefused{CommandId: c.ID, Command: c.Command, Reason: fmt.Sprintf(format, args...)}
	}
	var (
		status = o.GetStatus()
		is     = strings.ToLower(strings.TrimPrefix(status.String(), "STATUS_"))
	)
	if status == shopv1.Status_STATUS_UNSPECIFIED && c.Command != "place" {
		return refuse("the order was not placed")
	}
	switch c.Command {
	case "place":
		if status != shopv1.Status_STATUS_UNSPECIFIED {
			return refuse("the order was placed before")
		}
		return &shopv1.OrderPlaced{CommandId: c.ID, Customer: c.Customer}
	case "add":
		if status != shopv1.Status_STATUS_OPEN {
			return refuse("the order is %s, not open", is)
		}
		return &shopv1.ItemAdded{CommandId: c.ID, Item: c.Item, Quantity: c.Quantity, PriceCents: c.PriceCents}
	case "pay":
		switch {
		case status != shopv1.Status_STATUS_OPEN:
			return refuse("the order is %s, not open", is)
		case o.GetItems() == 0:
			return refuse("the order is empty")
		case c.AmountCents != o.GetTotalCents():
			return refuse("the amount is %d cents, the total %d", c.AmountCents, o.GetTotalCents())
		}
		return &shopv1.OrderPaid{CommandId: c.ID, AmountCents: c.AmountCents}
	case "ship":
		if status != shopv1.Status_STATUS_PAID {
			return refuse("the order is %s, not paid", is)
		}
		return &shopv1.OrderShipped{CommandId: c.ID, Carrier: c.Carrier}
	case "cancel":
		if status != shopv1.Status_STATUS_OPEN && status != shopv1.Status_STATUS_PAID {
			return refuse("the order is %s", is)
		}
		return &shopv1.OrderCancelled{CommandId: c.ID, Reason: c.Reason}
	default:
		return refuse("there is no such command")
	}
}

// apply changes the state. It must not fail: the event has happened.
func (o *order) apply(e event) {
	s := o.state
	if s.Commands == nil {
		s.Commands = map[string]bool{}
	}
	s.Commands[e.GetCommandId()] = true
	switch e := e.(type) {
	case *shopv1.OrderPlaced:
		s.Status = shopv1.Status_STATUS_OPEN
	case *shopv1.ItemAdded:
		s.Items += e.GetQuantity()
		s.TotalCents += e.GetQuantity() * e.GetPriceCents()
	case *shopv1.OrderPaid:
		s.Status = shopv1.Status_STATUS_PAID
	case *shopv1.OrderShipped:
		s.Status = shopv1.Status_STATUS_SHIPPED
	case *shopv1.OrderCancelled:
		s.Status = shopv1.Status_STATUS_CANCELLED
	}
}
