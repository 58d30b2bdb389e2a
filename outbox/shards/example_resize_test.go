package shards_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/cluster"
	clustertest "github.com/asynkron/protoactor-go/cluster/clusterproviders/test"
	"github.com/asynkron/protoactor-go/cluster/identitylookup/disthash"
	"github.com/asynkron/protoactor-go/remote"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/shards"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// placed appends an event.
func placed(j *memory.Journal, order string) {
	_, err := j.Append(context.Background(), journal.Record{PersistenceID: order, Type: "placed", ContentType: "text/plain", Data: []byte("x")})
	if err != nil {
		fmt.Println(err)
	}
}

func silent(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }

// exampleMember starts a cluster of one, as in the package's example.
func exampleMember(s *shards.Shards) (c *cluster.Cluster, stop func()) {
	system := actor.NewActorSystem(actor.WithLoggerFactory(silent))
	c = cluster.New(system, cluster.Configure("shop", clustertest.NewTestProvider(clustertest.NewInMemAgent()), disthash.New(),
		remote.Configure("127.0.0.1", 0), cluster.WithKinds(s.Kind())))
	c.StartMember()
	keeper := system.Root.Spawn(s.Keeper(c))
	return c, func() {
		_ = s.Leave(context.Background(), time.Second)
		_ = system.Root.StopFuture(keeper).Wait()
		c.Shutdown(true)
	}
}

// An outbox without shards becomes one of four, and then of two.
func ExampleResize() {
	j := memory.New()
	defer func() { _ = j.Close() }()
	placed(j, "order/1")
	sink := publisher.Props(publisher.Func(func(_ context.Context, e publisher.Event) error {
		fmt.Println("published", e.ID())
		return nil
	}))
	system := actor.NewActorSystem(actor.WithLoggerFactory(silent))
	defer system.Shutdown()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()

	// No member runs meanwhile.
	fmt.Println("to 4:", shards.Resize(ctx, system.Root, "shop", 0, 4, j, sink))
	fmt.Println("again:", shards.Resize(ctx, system.Root, "shop", 0, 4, j, sink))
	placed(j, "order/2")
	fmt.Println("to 2:", shards.Resize(ctx, system.Root, "shop", 4, 2, j, sink))
	err := shards.Resize(ctx, system.Root, "shop", 8, 4, j, sink)
	fmt.Println("from a wrong number:", errors.Is(err, shards.ErrLayout))
	// Output:
	// published order/1/1
	// to 4: <nil>
	// again: <nil>
	// published order/2/1
	// to 2: <nil>
	// from a wrong number: true
}

// The sink is down, so that a change cannot be completed. Members are to go on with the old number.
func ExampleAbort() {
	j := memory.New()
	defer func() { _ = j.Close() }()
	down := publisher.Props(publisher.Func(func(context.Context, publisher.Event) error { return errors.New("the sink is down") }))
	system := actor.NewActorSystem(actor.WithLoggerFactory(silent))
	defer system.Shutdown()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	fmt.Println("to 2:", shards.Resize(ctx, system.Root, "shop", 0, 2, j, down)) // there is nothing to publish
	placed(j, "order/1")

	brief, stop := context.WithTimeout(ctx, 300*time.Millisecond)
	defer stop()
	err := shards.Resize(brief, system.Root, "shop", 2, 4, j, down)
	fmt.Println("to 4, in time:", !errors.Is(err, context.DeadlineExceeded))
	fmt.Println("taken back:", shards.Abort(ctx, "shop", 2, 4, j, down))
	fmt.Println("to 8 instead of 4 is possible:", shards.Abort(ctx, "shop", 2, 8, j, down))
	// Output:
	// to 2: <nil>
	// to 4, in time: false
	// taken back: <nil>
	// to 8 instead of 4 is possible: <nil>
}

// A client needs no more than the cluster, the name and the number of shards.
func ExampleNewClient() {
	j := memory.New()
	defer func() { _ = j.Close() }()
	placed(j, "order/1")
	sink := publisher.Props(publisher.Func(func(context.Context, publisher.Event) error { return nil }))
	s, err := shards.New("shop", 4, j, sink)
	if err != nil {
		fmt.Println(err)
		return
	}
	c, stop := exampleMember(s)
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()

	client, err := shards.NewClient(c, "shop", 4)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("waited:", client.WaitPublished(ctx, "order/1", 1))
	one, err := client.Shard(ctx, client.ShardOf("order/1")) // for what is asked of one shard at a time
	if err != nil {
		fmt.Println(err)
		return
	}
	status, err := one.Status(ctx)
	fmt.Println("published by the shard of order/1:", status.GetPublished(), err)

	other, err := shards.NewClient(c, "shop", 2)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("two shards of four are not all:", errors.Is(other.Flush(ctx), shards.ErrLayout))
	// Output:
	// waited: <nil>
	// published by the shard of order/1: 1 <nil>
	// two shards of four are not all: true
}

// Whoever reaches the cluster may look and wait. What changes something is for those who share a process with the shard, or
// whom the application knows by the sender, or by a header of the message.
func ExampleWithAuthorize() {
	allow := func(c actor.Context) error {
		switch c.Message().(type) {
		case *outboxv1.PingShard, *outboxv1.GetShard, *outboxv1.GetStatus, *outboxv1.WaitPublished, *outboxv1.Flush:
			return nil
		}
		return errors.New("this is for operators")
	}
	j := memory.New()
	defer func() { _ = j.Close() }()
	placed(j, "order/1")
	sink := publisher.Props(publisher.Func(func(context.Context, publisher.Event) error { return nil }))
	s, err := shards.New("shop", 1, j, sink, shards.WithAuthorize(allow))
	if err != nil {
		fmt.Println(err)
		return
	}
	c, stop := exampleMember(s)
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err = s.Client(c).Flush(ctx); err != nil { // in the shard's own process, which needs no leave
		fmt.Println(err)
		return
	}

	// A bare message is what comes from another process.
	answer, err := c.Request("shop-0", "outbox-shop", &outboxv1.WaitPublished{PersistenceId: "order/1", SequenceNumber: 1})
	fmt.Println("wait:", answer.(*outboxv1.Reply).GetCode(), err)
	answer, err = c.Request("shop-0", "outbox-shop", &outboxv1.Pause{})
	fmt.Println("pause:", answer.(*outboxv1.Reply).GetCode(), answer.(*outboxv1.Reply).GetError(), err)
	// Output:
	// wait: CODE_OK <nil>
	// pause: CODE_UNAUTHORIZED this is for operators <nil>
}
