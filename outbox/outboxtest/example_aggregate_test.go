package outboxtest_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/persistence"
	"google.golang.org/protobuf/proto"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/outboxtest"
	ordersv1 "github.com/protoactor-contrib/protoactor-outbox/outbox/outboxtest/internal/orders/v1"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
)

// The commands of an order.
type (
	PlaceOrder struct{ Customer string }
	AddItem    struct {
		Item  string
		Cents int64
	}
	PayOrder struct{ Cents int64 }
)

// Order is an aggregate: a persistent actor that decides about commands. It knows nothing of an outbox.
type Order struct {
	persistence.Mixin
	state *ordersv1.Order
}

func NewOrder() actor.Actor { return &Order{state: &ordersv1.Order{}} }

func (o *Order) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case PlaceOrder, AddItem, PayOrder:
		event, err := o.decide(m)
		if err != nil {
			c.Respond(err)
			return
		}
		o.PersistReceive(event)
		o.apply(event)
		c.Respond(journal.LastSequence(c))
	case *persistence.RequestSnapshot:
		o.PersistSnapshot(proto.Clone(o.state))
	case *ordersv1.Order: // recovery: the snapshot, and then the events after it
		o.state = m
	case proto.Message:
		o.apply(m)
	}
}

func (o *Order) decide(command any) (event proto.Message, err error) {
	switch m := command.(type) {
	case PlaceOrder:
		return &ordersv1.OrderPlaced{Customer: m.Customer}, nil
	case AddItem:
		if o.state.GetPaid() {
			return nil, errors.New("the order is paid")
		}
		return &ordersv1.ItemAdded{Item: m.Item, PriceCents: m.Cents}, nil
	case PayOrder:
		if o.state.GetPaid() || m.Cents != o.state.GetTotalCents() {
			return nil, fmt.Errorf("%d cents are due, not %d", o.state.GetTotalCents(), m.Cents)
		}
		return &ordersv1.OrderPaid{AmountCents: m.Cents}, nil
	}
	return nil, errors.New("no such command")
}

func (o *Order) apply(event proto.Message) {
	switch e := event.(type) {
	case *ordersv1.OrderPlaced:
		o.state.Placed = true
	case *ordersv1.ItemAdded:
		o.state.TotalCents += e.GetPriceCents()
	case *ordersv1.OrderPaid:
		o.state.Paid = true
	}
}

// An aggregate, and what becomes of its events when the sink fails: without a sleep, and the same at every run.
func Example_aggregate() {
	t := newExampleTB() // in a test of your own: func TestOrder(t *testing.T)
	defer t.cleanUp()

	kit := outboxtest.New(t)
	order := kit.Spawn("order-17", NewOrder, journal.WithSnapshotInterval(2))
	show := func(events []publisher.Event) {
		for _, e := range events {
			fmt.Println(" ", e.ID(), e.Type)
		}
	}

	// What is persisted is published, once time passes.
	kit.Request(order, PlaceOrder{Customer: "Ada"})
	fmt.Println("published so far:", len(kit.Published()))
	kit.Tick()
	show(kit.Published())
	fmt.Println("  of", outboxtest.Decode[*ordersv1.OrderPlaced](t, kit.Published()[0]).GetCustomer())

	// A publish fails: the next one is 100 ms later, and nothing overtakes.
	kit.FailNext("order-17", errors.New("connection refused"))
	kit.Request(order, AddItem{Item: "tea", Cents: 350})
	kit.Request(order, AddItem{Item: "cup", Cents: 650})
	kit.Tick()
	fmt.Println("published after the failure:", len(kit.Published()))
	kit.Advance(100 * time.Millisecond)
	show(kit.Published()[1:])

	// An event that the sink refuses for good is parked, and the order goes on.
	kit.FailNext("order-17", publisher.Permanent(errors.New("no such currency")))
	kit.Request(order, PayOrder{Cents: 1000})
	kit.Flush()
	for _, p := range kit.Parked() {
		fmt.Println("parked:", p.GetEvent().GetSequenceNumber(), p.GetReason())
	}
	redriven, err := kit.Client().Redrive(t.Context(), "order-17", 0)
	fmt.Println("redriven:", redriven, err)

	// A new instance has the state of the old one, from its snapshot and the events after that.
	order = kit.Respawn(order)
	fmt.Println("another item:", kit.Request(order, AddItem{Item: "sugar", Cents: 99}))

	// The outbox crashes, and what it has saved does not come again.
	kit.Crash()
	kit.Flush()
	fmt.Println("all:")
	show(kit.Published())
	// Output:
	// published so far: 0
	//   order-17/1 orders.v1.OrderPlaced
	//   of Ada
	// published after the failure: 1
	//   order-17/2 orders.v1.ItemAdded
	//   order-17/3 orders.v1.ItemAdded
	// parked: 4 no such currency
	// redriven: 1 <nil>
	// another item: the order is paid
	// all:
	//   order-17/1 orders.v1.OrderPlaced
	//   order-17/2 orders.v1.ItemAdded
	//   order-17/3 orders.v1.ItemAdded
	//   order-17/4 orders.v1.OrderPaid
}
