package memory_test

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

// counter is a persistent actor that counts what it is told.
type counter struct {
	persistence.Mixin
	sum int64
}

func (a *counter) Receive(c actor.Context) {
	switch msg := c.Message().(type) {
	case int64: // a command
		a.PersistReceive(wrapperspb.Int64(msg))
		a.sum += msg
		c.Respond(a.sum)
	case *wrapperspb.Int64Value: // an event that is replayed
		a.sum += msg.Value
	}
}

// What actors persist in the journal is there to be read.
func ExampleNew() {
	j := memory.New()
	defer j.Close()

	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))
	defer system.Shutdown()
	pid, err := system.Root.SpawnNamed(actor.PropsFromProducer(func() actor.Actor { return new(counter) },
		actor.WithReceiverMiddleware(journal.Using(j))), "counter")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, n := range []int64{3, 4} {
		sum, err := system.Root.RequestFuture(pid, n, 5*time.Second).Result()
		fmt.Println(sum, err)
	}
	_ = system.Root.StopFuture(pid).Wait()

	page, err := j.Events(context.Background(), 0, query.Filter{}, query.Limits{Events: 100})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range page.Events {
		fmt.Println(e.Offset, e.ID(), e.Type)
	}
	// Output:
	// 3 <nil>
	// 7 <nil>
	// 1 counter/1 google.protobuf.Int64Value
	// 2 counter/2 google.protobuf.Int64Value
}
