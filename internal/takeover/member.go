package takeover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
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

const outboxName = "takeover"

// Member is a member of the cluster. It runs until leaving ends, then leaves in good order.
func Member(leaving context.Context, job Job, out io.Writer) (err error) {
	ctx := context.Background()
	storage, _, err := Open(ctx, job.Journal)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, storage.Close()) }()
	hook, err := webhook.New(job.URL)
	if err != nil {
		return err
	}
	defer hook.Close()
	r := &reporter{out: out}
	s, err := shards.New(outboxName, job.Shards, watched{storage, storage, r}, publisher.Props(hook),
		shards.WithOutboxOptions(outbox.WithMaxUnsaved(job.MaxUnsaved)))
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return logger }))
	provider := automanaged.NewWithConfig(job.ProviderInterval, job.HealthPort, job.HealthHosts...)
	c := cluster.New(system, cluster.Configure("takeover", provider, disthash.New(),
		remote.Configure(job.Host, job.Port), cluster.WithKinds(s.Kind())))
	c.StartMember()
	keeper := system.Root.Spawn(s.Keeper(c))

	<-leaving.Done()
	began := time.Now()
	if err := s.Leave(ctx, job.DrainWithin); err != nil {
		return fmt.Errorf("leave: %w", err)
	}
	system.Root.Stop(keeper)
	c.Shutdown(true)
	return r.report(Report{What: Left, Began: began, Ended: time.Now()})
}
