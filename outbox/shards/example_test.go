package shards_test

import (
	"context"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/cluster"
	clustertest "github.com/asynkron/protoactor-go/cluster/clusterproviders/test"
	"github.com/asynkron/protoactor-go/cluster/identitylookup/disthash"
	"github.com/asynkron/protoactor-go/persistence"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/shards"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
)

// order is an aggregate: a persistent actor, of which the cluster runs one for each identity.
type order struct{ persistence.Mixin }

func (o *order) Receive(c actor.Context) {
	if m, ok := c.Message().(*wrapperspb.StringValue); ok && !o.Recovering() {
		o.PersistReceive(m)
		c.Respond(&wrapperspb.Int64Value{Value: journal.LastSequence(c)})
	}
}

// A cluster of one member, whose orders are virtual actors and whose outbox runs in four shards.
func Example() {
	j := memory.New()
	defer func() { _ = j.Close() }()

	// A virtual actor has another PID at every activation: its identity is what it is stored under.
	stable := journal.WithID(func(c actor.Context) string {
		id := cluster.GetClusterIdentity(c)
		return id.GetKind() + "/" + id.GetIdentity()
	})
	orders := cluster.NewKind("order", actor.PropsFromProducer(func() actor.Actor { return new(order) },
		actor.WithReceiverMiddleware(journal.Using(j, stable))))

	sink := publisher.Func(func(_ context.Context, e publisher.Event) error {
		fmt.Println("published", e.ID())
		return nil
	})
	s, err := shards.New("shop", 4, j, publisher.Props(sink),
		shards.WithAuthorize(func(actor.Context) error { return nil })) // whoever reaches the cluster's port may
	if err != nil {
		fmt.Println(err)
		return
	}

	system := actor.NewActorSystem(actor.WithLoggerFactory(silent))
	provider := clustertest.NewTestProvider(clustertest.NewInMemAgent()) // Kubernetes, Consul, etcd …
	c := cluster.New(system, cluster.Configure("shop", provider, disthash.New(), remote.Configure("127.0.0.1", 0),
		cluster.WithKinds(orders, s.Kind())))
	c.StartMember()
	keeper := system.Root.Spawn(s.Keeper(c))

	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	last, err := c.Request("17", "order", wrapperspb.String("placed"))
	fmt.Println("stored", last.(*wrapperspb.Int64Value).GetValue(), err)
	err = s.Client(c).WaitPublished(ctx, "order/17", 0)
	fmt.Println("waited:", err)

	// The member leaves: what it has published is saved before others take its shards over.
	fmt.Println("left:", s.Leave(ctx, 10*time.Second))
	_ = system.Root.StopFuture(keeper).Wait()
	c.Shutdown(true)
	// Unordered output:
	// stored 1 <nil>
	// published order/17/1
	// waited: <nil>
	// left: <nil>
}
