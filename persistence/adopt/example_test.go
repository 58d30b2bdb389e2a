package adopt_test

import (
	"context"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/persistence"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/adopt"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// provider is what the application has: here, the framework's own, in memory.
type provider struct{ *persistence.InMemoryProvider }

func (p provider) GetState() persistence.ProviderState { return p }

// account is an actor that knows nothing of an outbox.
type account struct{ persistence.Mixin }

func (a *account) Receive(c actor.Context) {
	if deposit, ok := c.Message().(string); ok {
		a.PersistReceive(wrapperspb.String(deposit))
	}
}

func ExampleWrap() {
	existing := provider{persistence.NewInMemoryProvider(100)}
	ids := func(context.Context) ([]string, error) { return []string{"account-1"}, nil } // from a table, say

	j, err := adopt.Wrap(existing, ids)
	if err != nil {
		fmt.Println(err)
		return
	}
	system := actor.NewActorSystem()
	published := make(chan string)
	props, err := outbox.Props("bank", j, publisher.Props(publisher.Func(func(_ context.Context, e publisher.Event) error {
		published <- fmt.Sprint(e.ID(), " ", e.Type)
		return nil
	})))
	if err != nil {
		fmt.Println(err)
		return
	}
	bank := system.Root.Spawn(props)
	accounts := actor.PropsFromProducer(func() actor.Actor { return new(account) },
		actor.WithReceiverMiddleware(persistence.Using(j))) // it was persistence.Using(existing)
	pid, err := system.Root.SpawnNamed(accounts, "account-1")
	if err != nil {
		fmt.Println(err)
		return
	}
	system.Root.Send(pid, "100")
	system.Root.Send(pid, "50")
	fmt.Println(<-published)
	fmt.Println(<-published)

	_ = system.Root.StopFuture(pid).Wait()
	_ = system.Root.StopFuture(bank).Wait()
	_ = j.Close()
	system.Shutdown()
	// Output:
	// account-1/1 google.protobuf.StringValue
	// account-1/2 google.protobuf.StringValue
}

func ExampleImport() {
	existing := provider{persistence.NewInMemoryProvider(100)}
	existing.PersistEvent("account-1", 0, wrapperspb.String("100"))
	existing.PersistEvent("account-1", 1, wrapperspb.String("50"))

	to := memory.New() // or sqlite.Open
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ids := func(context.Context) ([]string, error) { return []string{"account-1"}, nil }
	report, err := adopt.Import(ctx, existing, ids, to)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.IDs, "id,", report.Events, "events")
	events, _, err := to.EventsByPersistenceID(ctx, "account-1", 1, query.Limits{Events: 10})
	for i := range events {
		fmt.Println(events[i].ID())
	}
	fmt.Println(err, to.Close())
	// Output:
	// 1 id, 2 events
	// account-1/1
	// account-1/2
	// <nil> <nil>
}
