package main

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	shopv1 "github.com/protoactor-contrib/protoactor-outbox/examples/quickstart/shop/v1"
)

func TestTheRulesOfAnOrder(t *testing.T) {
	place := &command{Command: "place", Customer: "Ada"}
	add := &command{Command: "add", Item: "tea", Quantity: 2, PriceCents: 350}
	pay := &command{Command: "pay", AmountCents: 700}
	ship := &command{Command: "ship", Carrier: "rail"}
	cancel := &command{Command: "cancel", Reason: "too late"}
	for _, c := range []struct {
		before []*command
		next   *command
		want   string // the refusal's reason, or the event's name
	}{
		{nil, place, "OrderPlaced"},
		{nil, ship, "the order was not placed"},
		{[]*command{place}, place, "the order was placed before"},
		{[]*command{place}, add, "ItemAdded"},
		{[]*command{place}, pay, "the order is empty"},
		{[]*command{place}, ship, "the order is open, not paid"},
		{[]*command{place}, cancel, "OrderCancelled"},
		{[]*command{place, add}, pay, "OrderPaid"},
		{[]*command{place, add, add}, pay, "the amount is 700 cents, the total 1400"},
		{[]*command{place, add, pay}, add, "the order is paid, not open"},
		{[]*command{place, add, pay}, pay, "the order is paid, not open"},
		{[]*command{place, add, pay}, ship, "OrderShipped"},
		{[]*command{place, add, pay}, cancel, "OrderCancelled"},
		{[]*command{place, add, pay, ship}, cancel, "the order is shipped"},
		{[]*command{place, cancel}, add, "the order is cancelled, not open"},
	} {
		o := &order{state: &shopv1.Order{}}
		for _, b := range c.before {
			o.apply(decide(o.state, b))
		}
		state := proto.Clone(o.state)
		e := decide(o.state, c.next)
		if no, ok := e.(*shopv1.CommandRefused); ok {
			require.Equal(t, c.want, no.GetReason())
		} else {
			require.Equal(t, c.want, string(e.ProtoReflect().Descriptor().Name()))
		}
		require.True(t, proto.Equal(state, o.state), "deciding changes nothing")
	}
}
