package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/persistence"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// list is a persistent actor: it remembers the items that were added to it.
type list struct {
	persistence.Mixin
	items []string
}

func (l *list) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case string: // a command
		item := wrapperspb.String(m)
		l.PersistReceive(item)
		l.items = append(l.items, m)
		c.Respond(journal.LastSequence(c))
	case *wrapperspb.StringValue: // an event, replayed
		l.items = append(l.items, m.GetValue())
	}
}

// What a persistent actor has stored is published.
func Example() {
	ctx := context.Background()
	system := actor.NewActorSystem()
	j := memory.New() // or sqlite.Open(ctx, "shop.db")

	sink := publisher.Func(func(_ context.Context, e publisher.Event) error {
		item, err := publisher.Decode(e)
		if err != nil {
			return err
		}
		fmt.Println(e.ID(), item.(*wrapperspb.StringValue).GetValue())
		return nil
	})
	props, err := outbox.Props("lists", j, publisher.Props(sink))
	if err != nil {
		panic(err)
	}
	box := system.Root.Spawn(props)

	lists := actor.PropsFromProducer(func() actor.Actor { return &list{} }, actor.WithReceiverMiddleware(journal.Using(j)))
	pid, err := system.Root.SpawnNamed(lists, "groceries")
	if err != nil {
		panic(err)
	}
	for _, item := range []string{"apples", "bread", "cheese"} {
		if err := system.Root.RequestFuture(pid, item, time.Second).Wait(); err != nil {
			panic(err)
		}
	}

	client := outbox.NewClient(system.Root, box)
	if err := client.Flush(ctx); err != nil { // all that was persisted before is out
		panic(err)
	}
	if err := client.Drain(ctx, 10*time.Second); err != nil { // and the outbox stops
		panic(err)
	}
	// Output:
	// groceries/1 apples
	// groceries/2 bread
	// groceries/3 cheese
}

// A caller may wait until what it has caused is out.
func ExampleClient_WaitPublished() {
	ctx := context.Background()
	system := actor.NewActorSystem()
	j := memory.New()
	props, err := outbox.Props("lists", j, publisher.Props(publisher.Func(func(context.Context, publisher.Event) error { return nil })))
	if err != nil {
		panic(err)
	}
	client := outbox.NewClient(system.Root, system.Root.Spawn(props))

	lists := actor.PropsFromProducer(func() actor.Actor { return &list{} }, actor.WithReceiverMiddleware(journal.Using(j)))
	pid, err := system.Root.SpawnNamed(lists, "groceries")
	if err != nil {
		panic(err)
	}
	seq, err := system.Root.RequestFuture(pid, "apples", time.Second).Result()
	if err != nil {
		panic(err)
	}
	if err := client.WaitPublished(ctx, "groceries", seq.(int64)); err != nil {
		panic(err)
	}
	status, err := client.Status(ctx)
	if err != nil {
		panic(err)
	}
	fmt.Println(status.GetPublished(), "published,", status.GetHeldCount(), "held,", status.GetParkedCount(), "parked")

	_ = system.Root.StopFuture(pid).Wait()
	_ = client.Drain(ctx, time.Second)
	// Output: 1 published, 0 held, 0 parked
}

// An outbox that stops itself says why.
func ExampleClient_Wait() {
	ctx := context.Background()
	j := memory.New()
	sink := publisher.Props(publisher.Func(func(context.Context, publisher.Event) error { return nil }))
	props, err := outbox.Props("lists", j, sink)
	if err != nil {
		panic(err)
	}
	system := actor.NewActorSystem()
	pid := system.Root.Spawn(props)
	reason := make(chan error, 1)
	client := outbox.NewClient(system.Root, pid)
	go func() { reason <- client.Wait(ctx) }()

	_ = client.Drain(ctx, time.Second)
	if err := <-reason; err == nil || errors.Is(err, outbox.ErrStopped) {
		fmt.Println("stopped as told")
	}
	// Output: stopped as told
}

// The actors' journal was restored elsewhere: its identity is another one, and the outbox waits for word of an operator, who knows that
// nothing is missing up to offset 2.
func ExampleClient_AcceptJournal() {
	ctx := context.Background()
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
	show := publisher.Func(func(_ context.Context, e publisher.Event) error {
		fmt.Println("published", e.ID())
		return nil
	})
	before, restored := memory.New(), memory.New()
	for seq := int64(1); seq <= 3; seq++ {
		e := query.Event{PersistenceID: "order-17", SequenceNumber: seq, UID: [16]byte{byte(seq)}, Type: "shop.v1.OrderPaid"}
		if seq <= 2 {
			_ = before.AppendEvent(ctx, e)
		}
		_ = restored.AppendEvent(ctx, e)
	}
	offsets := outbox.WithSnapshots(before) // as if they were restored, too
	props, _ := outbox.Props("shop", before, publisher.Props(show), offsets)
	client := outbox.NewClient(system.Root, system.Root.Spawn(props))
	_ = client.Flush(ctx)
	_ = client.Drain(ctx, 10*time.Second)

	blocked := make(chan *outbox.Blocked, 1)
	subscription := system.EventStream.Subscribe(func(e any) {
		if b, ok := e.(*outbox.Blocked); ok {
			blocked <- b
		}
	})
	defer system.EventStream.Unsubscribe(subscription)
	props, _ = outbox.Props("shop", restored, publisher.Props(show), offsets)
	client = outbox.NewClient(system.Root, system.Root.Spawn(props))
	fmt.Println(errors.Is((<-blocked).Err, outbox.ErrJournalChanged))

	status, err := client.Status(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := client.AcceptJournal(ctx, status.GetJournalIdentity(), 2); err != nil {
		fmt.Println(err)
		return
	}
	_ = client.Flush(ctx)
	_ = client.Drain(ctx, 10*time.Second)
	// Output:
	// published order-17/1
	// published order-17/2
	// true
	// published order-17/3
}
