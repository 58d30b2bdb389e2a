package journal_test

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/persistence"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// deposit and getBalance are commands.
type (
	deposit    struct{ amount int64 }
	getBalance struct{}
)

// account is a persistent actor: its balance is the sum of its events.
type account struct {
	persistence.Mixin
	balance int64
}

func (a *account) Receive(c actor.Context) {
	switch msg := c.Message().(type) {
	case deposit:
		event := wrapperspb.Int64(msg.amount)
		if msg.amount >= 1000 {
			a.PersistReceive(journal.Tag(event, "large"))
		} else {
			a.PersistReceive(event)
		}
		a.balance += event.Value
		c.Respond(fmt.Sprintf("%s/%d", journal.PersistenceID(c), journal.LastSequence(c)))
	case *wrapperspb.Int64Value: // an event that is replayed
		a.balance += msg.Value
	case getBalance:
		c.Respond(a.balance)
	}
}

func newSystem() *actor.ActorSystem {
	return actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))
}

// An actor that is stopped and spawned again finds itself as it was, under whatever PID.
func ExampleUsing() {
	j := memory.New()
	defer j.Close()
	system := newSystem()
	defer system.Shutdown()

	accounts := actor.PropsFromProducer(func() actor.Actor { return new(account) },
		actor.WithReceiverMiddleware(journal.Using(j, journal.WithID(func(actor.Context) string { return "account-7" }))))
	ask := func(pid *actor.PID, message any) {
		answer, err := system.Root.RequestFuture(pid, message, 5*time.Second).Result()
		fmt.Println(answer, err)
	}

	pid := system.Root.Spawn(accounts)
	ask(pid, deposit{amount: 30})
	ask(pid, deposit{amount: 12})
	_ = system.Root.StopFuture(pid).Wait()

	pid = system.Root.Spawn(accounts)
	ask(pid, getBalance{})
	_ = system.Root.StopFuture(pid).Wait()
	// Output:
	// account-7/1 <nil>
	// account-7/2 <nil>
	// 42 <nil>
}

// A feed can be restricted to events with a tag.
func ExampleTag() {
	ctx := context.Background()
	j := memory.New()
	defer j.Close()
	system := newSystem()
	defer system.Shutdown()

	pid, err := system.Root.SpawnNamed(actor.PropsFromProducer(func() actor.Actor { return new(account) },
		actor.WithReceiverMiddleware(journal.Using(j))), "account-7")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, amount := range []int64{30, 5000, 12} {
		_ = system.Root.RequestFuture(pid, deposit{amount: amount}, 5*time.Second).Wait()
	}
	_ = system.Root.StopFuture(pid).Wait()

	page, err := j.Events(ctx, 0, query.Filter{Tags: []string{"large"}}, query.Limits{Events: 100})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range page.Events {
		fmt.Println(e.ID(), e.Type, e.Tags)
	}
	// Output:
	// account-7/2 google.protobuf.Int64Value [large]
}

// A journal's author offers the provider's methods as the journal's own.
func ExampleNewProvider() {
	type myJournal struct {
		journal.Store
		persistence.Provider
	}
	store := memory.New() // what the author has written
	j := myJournal{Store: store, Provider: journal.NewProvider(store, journal.WithSnapshotInterval(100))}
	fmt.Println(j.GetState().GetSnapshotInterval())
	// Output: 100
}
