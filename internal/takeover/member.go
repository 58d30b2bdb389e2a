package takeover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
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
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

const outboxName = "takeover"

// Member is a member of the cluster. It takes orders, and runs until leaving ends, then leaves in good order.
func Member(leaving context.Context, job Job, orders io.Reader, out io.Writer) (err error) {
	storage, statements, err := Open(context.Background(), job.Journal)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, storage.Close()) }()
	r := &reporter{out: out}
	props, closeSink, err := newSink(leaving, job, r, statements)
	if err != nil {
		return err
	}
	defer closeSink()
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return logger }))
	j := watched{storage, storage, r}
	opts := []outbox.Option{outbox.WithMaxUnsaved(job.MaxUnsaved), outbox.WithLanes(job.Lanes)}
	began := time.Now()
	if err := r.report(Report{What: Started, Began: began, Ended: began}); err != nil {
		return err
	}
	if job.Shards == 0 {
		err = single(leaving, job, system, j, props, opts)
	} else {
		err = clustered(leaving, job, system, j, props, opts, func(c *shards.Client) { obey(leaving, c, orders, r) })
	}
	if err != nil {
		return err
	}
	return r.report(Report{What: Left, Began: began, Ended: time.Now()})
}

func newSink(ctx context.Context, job Job, r *reporter, statements *atomic.Int64) (props *actor.Props, closeSink func(), err error) {
	if job.URL == "" {
		s := &sink{work: job.Work}
		go s.tell(ctx, r, statements)
		return publisher.Props(publisher.Func(s.publish)), func() {}, nil
	}
	hook, err := webhook.New(job.URL)
	if err != nil {
		return nil, nil, err
	}
	return publisher.Props(hook), hook.Close, nil
}

// single is an outbox without shards.
func single(leaving context.Context, job Job, system *actor.ActorSystem, j query.Journal, sink *actor.Props, opts []outbox.Option) error {
	defer system.Shutdown() // which a cluster does itself
	props, err := outbox.Props(outboxName, j, sink, opts...)
	if err != nil {
		return err
	}
	client := outbox.NewClient(system.Root, system.Root.Spawn(props))
	<-leaving.Done()
	return client.Drain(context.Background(), job.DrainWithin)
}

func clustered(leaving context.Context, job Job, system *actor.ActorSystem, j query.Journal, sink *actor.Props, opts []outbox.Option,
	serve func(*shards.Client),
) error {
	options := []shards.Option{shards.WithOutboxOptions(opts...)}
	if job.Commanded {
		options = append(options, shards.WithAuthorize(func(actor.Context) error { return nil }))
	}
	s, err := shards.New(outboxName, job.Shards, j, sink, options...)
	if err != nil {
		return err
	}
	provider := automanaged.NewWithConfig(job.ProviderInterval, job.HealthPort, job.HealthHosts...)
	c := cluster.New(system, cluster.Configure("takeover", provider, disthash.New(),
		remote.Configure(job.Host, job.Port), cluster.WithKinds(s.Kind())))
	c.StartMember()
	keeper := system.Root.Spawn(s.Keeper(c))
	go serve(s.Client(c)) // until its orders end, or the process does
	<-leaving.Done()
	if err := s.Leave(context.Background(), job.DrainWithin); err != nil {
		return fmt.Errorf("leave: %w", err)
	}
	system.Root.Stop(keeper)
	c.Shutdown(true)
	return nil
}
