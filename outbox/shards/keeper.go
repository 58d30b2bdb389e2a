package shards

import (
	"context"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/cluster"
	"github.com/asynkron/protoactor-go/eventstream"
	"github.com/asynkron/protoactor-go/scheduler"

	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// Keeper returns the actor that keeps the shards active: it asks for each of them every second or so, and at once when the
// cluster's topology has changed. Spawn it on every member, after cluster.StartMember, and stop it before
// cluster.Shutdown, or let Leave silence it. Nobody else asks for a shard that nobody needs an answer of.
//
// A question to a member that has just died may block for five seconds (in the cluster's lookup); the keeper does not wait
// for it, but asks again. Such a question may outlive the keeper by as much.
func (s *Shards) Keeper(c *cluster.Cluster) *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor {
		return &keeper{Shards: s, cluster: c, asked: make([]asked, s.shards)}
	})
}

type keeper struct {
	*Shards
	cluster  *cluster.Cluster
	log      *slog.Logger
	asked    []asked
	scope    context.Context //nolint:containedctx // it is the instance's lifetime, ended in Stopping and Restarting
	cancel   context.CancelFunc
	onEvents *eventstream.Subscription
	timer    scheduler.CancelFunc
	rounds   uint64 // that were armed; only the last one counts
}

// asked is what is known of one shard.
type asked struct {
	open   int       // questions without an answer
	since  time.Time // of the last answer, or of the first question
	silent bool      // and that was said
}

type (
	// round has the keeper ask for all shards.
	round struct{ number uint64 }
	// changed says that the topology has; left is true if somebody has gone.
	changed struct{ left bool }
	// answered is the end of a question.
	answered struct {
		number int
		err    error
	}
)

const (
	// maxOpen bounds the questions for one shard that are open at a time. Each that blocks does so for five seconds.
	maxOpen = 6
	// pingWait is how long an answer may take once the shard is found.
	pingWait = 2 * time.Second
	// joinWait is how long the keeper waits after others have joined: at a start they come one after another, and each
	// change moves shards.
	joinWait = 200 * time.Millisecond
	// silenceTold is how long a shard may be without an answer before that is told.
	silenceTold = 10 * time.Second
)

func (k *keeper) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		k.start(c)
	case *actor.Stopping, *actor.Restarting:
		k.stop(c)
	case round:
		if m.number == k.rounds {
			k.round(c)
		}
	case changed:
		if m.left {
			k.round(c)
		} else {
			k.arm(c, joinWait)
		}
	case answered:
		k.answered(m)
	}
}

func (k *keeper) start(c actor.Context) {
	k.log = c.Logger().With(slog.String("outbox", k.name))
	k.scope, k.cancel = context.WithCancel(context.Background())
	root, self := c.ActorSystem().Root, c.Self()
	k.onEvents = c.ActorSystem().EventStream.Subscribe(func(event any) {
		// It is published under the member list's lock.
		if e, ok := event.(*cluster.ClusterTopology); ok {
			k.topology.Store(e.TopologyHash)
			root.Send(self, changed{left: len(e.Left) > 0})
		}
	})
	k.round(c)
}

func (k *keeper) stop(c actor.Context) {
	k.cancel()
	c.ActorSystem().EventStream.Unsubscribe(k.onEvents)
	if k.timer != nil {
		k.timer()
	}
}

// arm schedules the next round.
func (k *keeper) arm(c actor.Context, d time.Duration) {
	if k.timer != nil {
		k.timer()
	}
	k.rounds++
	k.timer = scheduler.NewTimerScheduler(c.ActorSystem().Root).SendOnce(d, c.Self(), round{k.rounds})
}

// round asks for all shards.
func (k *keeper) round(c actor.Context) {
	k.arm(c, k.interval)
	if k.isLeaving() {
		return
	}
	now := time.Now()
	for number := range k.asked {
		a := &k.asked[number]
		if a.since.IsZero() {
			a.since = now
		}
		if now.Sub(a.since) >= silenceTold && !a.silent {
			a.silent = true
			k.log.Warn("a shard does not answer; will go on asking", slog.String("shard", k.identity(number)))
		}
		if a.open < maxOpen {
			a.open++
			k.ask(c, number)
		}
	}
}

// ask asks for one shard, off the mailbox.
func (k *keeper) ask(c actor.Context, number int) {
	root, self, scope := c.ActorSystem().Root, c.Self(), k.scope
	go func() {
		err := k.ping(root, number)
		if scope.Err() == nil {
			root.Send(self, answered{number, err})
		}
	}()
}

func (k *keeper) ping(root *actor.RootContext, number int) (err error) {
	defer caught(&err)
	pid := lookup(k.cluster, k.names, number)
	if pid == nil {
		return ErrNoShard
	}
	_, err = root.RequestFuture(pid, &outboxv1.PingShard{}, pingWait).Result()
	return err
}

func (k *keeper) answered(m answered) {
	a := &k.asked[m.number]
	a.open--
	if m.err != nil {
		return
	}
	a.since = time.Now()
	if a.silent {
		a.silent = false
		k.log.Info("a shard answers again", slog.String("shard", k.identity(m.number)))
	}
}
