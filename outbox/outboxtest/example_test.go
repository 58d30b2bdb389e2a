package outboxtest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/outboxtest"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// A broker that is down for two calls, and a disk that takes no offsets for a while, cost time, but no event.
func ExampleFaults() {
	ctx := context.Background()
	faults := outboxtest.NewFaults(1)
	j := faults.Journal(memory.New())
	broker := faults.Publisher(publisher.Func(func(_ context.Context, e publisher.Event) error {
		fmt.Println("published", e.ID())
		return nil
	}))
	faults.Inject(outboxtest.Publish, outboxtest.Fault{Times: 2, Err: errors.New("connection refused")})
	faults.Inject(outboxtest.Save, outboxtest.Fault{Times: 3, Err: errors.New("disk full")})

	props, err := outbox.Props("orders", j, publisher.Props(broker), outbox.WithBackoff(time.Millisecond, 10*time.Millisecond))
	if err != nil {
		panic(err)
	}
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
	client := outbox.NewClient(system.Root, system.Root.Spawn(props))
	for seq := int64(1); seq <= 3; seq++ {
		if err := j.AppendEvent(ctx, query.Event{PersistenceID: "order-17", SequenceNumber: seq, UID: [16]byte{byte(seq)}, Type: "shop.v1.OrderPaid"}); err != nil {
			panic(err)
		}
	}
	if err := client.Flush(ctx); err != nil { // published and saved
		panic(err)
	}
	fmt.Println(faults.Struck(outboxtest.Publish), "publishes and", faults.Struck(outboxtest.Save), "saves have failed")
	_ = client.Drain(ctx, time.Second)
	// Output:
	// published order-17/1
	// published order-17/2
	// published order-17/3
	// 2 publishes and 3 saves have failed
}
