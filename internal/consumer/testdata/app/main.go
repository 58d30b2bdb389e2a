// Command app is what an application with an outbox looks like, outside the repository.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/persistence"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher/webhook"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/sqlite"
)

// order is a persistent actor: each text that it is sent becomes an event, and is answered once that is stored.
type order struct{ persistence.Mixin }

func (o *order) Receive(c actor.Context) {
	if text, ok := c.Message().(string); ok {
		o.PersistReceive(wrapperspb.String(text))
		c.Respond(journal.LastSequence(c))
	}
}

func main() {
	if err := run(context.Background(), os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, path, url string) error {
	j, err := sqlite.Open(ctx, path)
	if err != nil {
		return err
	}
	defer j.Close()

	system := actor.NewActorSystem()
	hook, err := webhook.New(url)
	if err != nil {
		return err
	}
	props, err := outbox.Props("shop", j, publisher.Props(hook), outbox.WithPollInterval(50*time.Millisecond))
	if err != nil {
		return err
	}
	client := outbox.NewClient(system.Root, system.Root.Spawn(props))

	orders := actor.PropsFromProducer(func() actor.Actor { return &order{} },
		actor.WithReceiverMiddleware(journal.Using(j)))
	pid, err := system.Root.SpawnNamed(orders, "order-1")
	if err != nil {
		return err
	}
	if err := system.Root.RequestFuture(pid, "placed", 5*time.Second).Wait(); err != nil {
		return err
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	return client.Drain(ctx, 10*time.Second)
}
