package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/cluster"
	"github.com/asynkron/protoactor-go/cluster/clusterproviders/automanaged"
	"github.com/asynkron/protoactor-go/cluster/identitylookup/disthash"
	"github.com/asynkron/protoactor-go/remote"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher/webhook"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/shards"
)

const (
	clusterName = "shop"
	outboxName  = "shop"
	// maxUnsaved is how many events one takeover of one shard may cause to be received twice.
	maxUnsaved = 64
	// drainWithin is how long a member that leaves waits for what is in flight.
	drainWithin = 5 * time.Second
	host        = "127.0.0.1"
)

// memberEnv has the settings of a member, as JSON: not in its arguments, which everybody can read.
const memberEnv = "OUTBOX_CLUSTER_MEMBER"

// memberSettings are what a member is started with.
type memberSettings struct {
	Journal string
	Shards  int
	// URL is where events are published to.
	URL string
	// Port is the cluster's, Health the provider's, Front that of the customers.
	Port, Health, Front int
	// Seats are the providers of all members that there may be, host:port: how they find each other.
	Seats []string
}

// runMember is "cluster member": one member, until its stdin ends, or a signal says so. Then it leaves in good order.
func runMember() error {
	var s memberSettings
	if err := json.Unmarshal([]byte(os.Getenv(memberEnv)), &s); err != nil {
		return &usageError{fmt.Errorf("a member is started by cluster, not by hand: %s: %w", memberEnv, err)}
	}
	signal.Ignore(os.Interrupt) // a Ctrl-C reaches all processes; the one that has started this decides
	leaving, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, os.Stdin) // an error is an end, too
	}()
	return member(leaving, s)
}

func member(leaving context.Context, s memberSettings) (err error) {
	ctx := context.Background()
	j, err := openStorage(ctx, s.Journal)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.close()) }()
	hook, err := webhook.New(s.URL)
	if err != nil {
		return err
	}
	defer hook.Close()

	// The outbox in shards is a kind of the cluster's, as the orders are.
	box, err := shards.New(outboxName, s.Shards, j.outbox, publisher.Props(hook),
		shards.WithOutboxOptions(outbox.WithMaxUnsaved(maxUnsaved)))
	if err != nil {
		return err
	}
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}))
	// Nothing but the members themselves is needed to find one another. See docs/cluster.md for Kubernetes, Consul and etcd.
	provider := automanaged.NewWithConfig(300*time.Millisecond, s.Health, s.Seats...)
	c := cluster.New(system, cluster.Configure(clusterName, provider, disthash.New(), remote.Configure(host, s.Port),
		cluster.WithKinds(orders(j.orders), box.Kind())))
	c.StartMember()
	keeper := system.Root.Spawn(box.Keeper(c))

	f, err := openFront(ctx, net.JoinHostPort(host, fmt.Sprint(s.Front)), c, box.Client(c))
	if err != nil {
		return err
	}
	<-leaving.Done()
	err = f.close() // customers go elsewhere
	// First the outbox: what it has published is saved. Then the cluster, which tells the others.
	if left := box.Leave(ctx, drainWithin); left != nil {
		err = errors.Join(err, fmt.Errorf("leave: %w", left))
	}
	system.Root.Stop(keeper)
	shutDown(c)
	return err
}

// shutDown leaves the cluster. That takes two seconds, and longer while the remote tries to reach a member that has died,
// which is nothing to wait for: by then the others know that this one goes.
func shutDown(c *cluster.Cluster) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Shutdown(true) // it shuts down the actor system, too
	}()
	select {
	case <-done:
	case <-time.After(3 * time.Second):
	}
}
