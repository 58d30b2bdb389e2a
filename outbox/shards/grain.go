package shards

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/cluster"
	"github.com/asynkron/protoactor-go/eventstream"
	"github.com/asynkron/protoactor-go/scheduler"
	"google.golang.org/protobuf/proto"

	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/local"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// grain is a shard's actor: it runs the shard's outbox as its child, or says why it does not.
type grain struct {
	*Shards
	log        *slog.Logger
	identity   string
	number     int
	past       *past
	activation *activation
	scope      context.Context //nolint:containedctx // it is the instance's lifetime, ended in Stopping and Restarting
	cancel     context.CancelFunc

	state  outboxv1.ShardState
	reason string
	since  time.Time

	child     *actor.PID                     // the outbox, nil if there is none
	fence     *fence                         // of the child
	spawnedAt time.Time                      // when that was last tried
	ended     atomic.Pointer[outbox.Stopped] // what the child's end was, told by the event stream
	failures  int                            // of the outbox, in a row
	stopping  bool

	timer    scheduler.CancelFunc // of the next look, nil if there is none
	looks    uint64               // that were armed; only the last one counts
	onEvents *eventstream.Subscription
}

// Messages to itself.
type (
	// look has it try again, or look whether it may.
	look struct{ number uint64 }
	// topologyChanged says that the cluster has.
	topologyChanged struct{}
	// leave has it drain its outbox.
	leave struct{ deadline time.Duration }
)

// settleTime is how long a shard waits, after the cluster has changed, for word that it is somebody else's now.
const settleTime = 500 * time.Millisecond

func (g *grain) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		g.log = c.Logger()
		g.state, g.since = outboxv1.ShardState_SHARD_STATE_STARTING, time.Now()
	case *cluster.ClusterInit:
		g.begin(c, m.Identity)
	case *actor.Restarting, *actor.Stopping:
		g.silence(c)
	case *actor.Stopped:
		g.silence(c)
		g.exited()
	case *actor.Terminated:
		if g.child != nil && m.Who.Equal(g.child) {
			g.childGone(c)
		}
	case look:
		if m.number == g.looks {
			g.timer = nil
			g.lookAgain(c)
		}
	case looked:
		if m.number == g.looks {
			g.looked(c, m)
		}
	case topologyChanged:
		g.heedTopology(c)
	case leave:
		g.leave(c, m.deadline)
	case *outboxv1.PingShard:
		g.pong(c, m.GetWanted())
	case *outboxv1.GetShard:
		g.tell(c)
	case *outboxv1.GetStatus, *outboxv1.Flush, *outboxv1.WaitPublished, *outboxv1.Drain, *outboxv1.Skip, *outboxv1.Retry,
		*outboxv1.Redrive, *outboxv1.Rewind, *outboxv1.Pause, *outboxv1.Resume, *outboxv1.AcceptJournal:
		g.command(c, m.(proto.Message))
	}
}

// begin is told which shard it is.
func (g *grain) begin(c actor.Context, identity *cluster.ClusterIdentity) {
	if g.activation != nil {
		return
	}
	g.identity = identity.GetIdentity()
	g.log = c.Logger().With(slog.String("shard", g.identity))
	g.activation = &activation{pid: c.Self(), system: c.ActorSystem(), idle: make(chan struct{})}
	g.scope, g.cancel = context.WithCancel(context.Background())
	leaving := g.enter(g.activation)
	number, ok := g.names.number(g.identity)
	if !ok {
		g.become(outboxv1.ShardState_SHARD_STATE_REFUSED, fmt.Sprintf("outbox %q has no such shard: it has %d by this member's configuration", g.name, g.shards))
		return
	}
	g.number, g.past = number, g.remember(number)
	g.subscribe(c)
	g.past.mu.Lock()
	g.past.activations++
	standing := g.past.standby
	g.past.mu.Unlock()
	switch {
	case leaving:
		g.left(nil)
	case standing != nil && standing.topology == g.topology.Load():
		g.standBy(c, standing)
	default:
		g.run(c)
	}
}

// subscribe has the actor told of what it needs to know: of changes of the cluster, and how its outbox has ended. The
// handler is called in whatever goroutine publishes, and must not wait.
func (g *grain) subscribe(c actor.Context) {
	root, self := c.ActorSystem().Root, c.Self()
	outboxName := g.outboxName(g.number)
	g.onEvents = c.ActorSystem().EventStream.Subscribe(func(event any) {
		switch e := event.(type) {
		case *cluster.ClusterTopology:
			g.topology.Store(e.TopologyHash)
			root.Send(self, topologyChanged{})
		case *outbox.Stopped:
			if e.Name == outboxName {
				g.ended.Store(e)
			}
		}
	})
}

// become notes what the shard does now, and why.
func (g *grain) become(state outboxv1.ShardState, reason string) {
	g.state, g.reason, g.since = state, reason, time.Now()
}

// run spawns the outbox.
func (g *grain) run(c actor.Context) {
	g.forget()
	g.past.mu.Lock()
	g.past.standby = nil
	g.past.children++
	child := g.past.children
	g.past.mu.Unlock()
	g.spawnedAt = time.Now()
	g.fence = &fence{SnapshotStore: g.snapshots, names: g.names, key: g.key(g.number), creating: g.creating}
	props, err := g.props(g.number, g.journal, g.fence)
	if err != nil { // New has tried
		g.fail(c, err)
		return
	}
	g.ended.Store(nil)
	// A name is not free until its last bearer is gone for good: never use one twice.
	g.child, err = c.SpawnNamed(props, fmt.Sprintf("outbox-%d", child))
	if err != nil {
		g.child = nil
		g.fail(c, fmt.Errorf("spawn the outbox: %w", err))
		return
	}
	g.become(outboxv1.ShardState_SHARD_STATE_RUNNING, "")
}

// childGone is the end of the outbox. Its reason came before, unless another subscriber of the event stream has panicked.
func (g *grain) childGone(c actor.Context) {
	g.child = nil
	var (
		err    error
		layout *layoutError
	)
	if s := g.ended.Load(); s != nil {
		err = s.Err
	} else {
		err = outbox.ErrCrashed
	}
	switch {
	case g.stopping: // which is why
		protect(g.log, g.release)
		g.exited()
	case g.state == outboxv1.ShardState_SHARD_STATE_LEAVING:
		g.release()
		g.left(err)
	case errors.As(err, &layout):
		err = layout.err
		g.release()
		g.refuse(c, err)
	case errors.Is(err, outbox.ErrFenced):
		g.fenced(c)
	default:
		g.release()
		if err == nil {
			err = errors.New("its outbox was told to stop")
		}
		g.fail(c, err)
	}
}

// goodWhile is how long an outbox must have run for its end to count as the first again.
const goodWhile = time.Minute

// fail tries again after a while.
func (g *grain) fail(c actor.Context, err error) {
	if time.Since(g.spawnedAt) > goodWhile {
		g.failures = 0
	}
	g.failures++
	wait := jittered(min(time.Second<<min(g.failures-1, 8), 2*time.Minute))
	g.become(outboxv1.ShardState_SHARD_STATE_FAILED, err.Error())
	g.log.Error("the outbox of a shard has stopped, and is started again", slog.Any("reason", err), slog.Duration("in", wait))
	g.arm(c, wait)
}

// layoutLook is how often a shard that was refused looks whether its layout is right now.
const layoutLook = 5 * time.Second

// refuse waits for the right layout.
func (g *grain) refuse(c actor.Context, err error) {
	g.become(outboxv1.ShardState_SHARD_STATE_REFUSED, err.Error())
	if g.refused(err) {
		g.log.Error("this member does not run the shards of the outbox", slog.String("outbox", g.name), slog.Any("reason", err))
		protect(g.log, func() { c.ActorSystem().EventStream.Publish(&Refused{Name: g.name, Err: err}) })
	}
	g.arm(c, jittered(layoutLook))
}

// lookAgain is due.
func (g *grain) lookAgain(c actor.Context) {
	switch g.state {
	case outboxv1.ShardState_SHARD_STATE_FAILED, outboxv1.ShardState_SHARD_STATE_STARTING:
		g.run(c)
	case outboxv1.ShardState_SHARD_STATE_REFUSED, outboxv1.ShardState_SHARD_STATE_STANDBY:
		g.inspect(c)
	}
}

// arm has the actor look again after a while.
func (g *grain) arm(c actor.Context, d time.Duration) {
	g.forget()
	g.timer = scheduler.NewTimerScheduler(c.ActorSystem().Root).SendOnce(d, c.Self(), look{g.looks})
}

// forget takes back what was armed, and what is being looked at.
func (g *grain) forget() {
	g.looks++
	if g.timer != nil {
		g.timer()
		g.timer = nil
	}
}

// heedTopology has a shard that stands by take over soon, if the cluster has changed in a way that is a reason to.
func (g *grain) heedTopology(c actor.Context) bool {
	if g.state != outboxv1.ShardState_SHARD_STATE_STANDBY {
		return false
	}
	g.past.mu.Lock()
	changed := g.past.standby != nil && g.past.standby.minds(g.topology.Load(), time.Now())
	g.past.mu.Unlock()
	if changed {
		// If the shard is another member's now, this actor is about to be stopped.
		g.become(outboxv1.ShardState_SHARD_STATE_STARTING, "the cluster has changed")
		g.arm(c, settleTime)
	}
	return changed
}

// leave drains the outbox, if there is one.
func (g *grain) leave(c actor.Context, deadline time.Duration) {
	g.forget()
	if g.child == nil {
		g.left(nil)
		return
	}
	g.become(outboxv1.ShardState_SHARD_STATE_LEAVING, "its member is about to leave the cluster")
	c.Send(g.child, local.Command{Message: drain(deadline)})
}

// left is when nothing runs, and nothing will.
func (g *grain) left(err error) {
	g.become(outboxv1.ShardState_SHARD_STATE_LEAVING, "its member is about to leave the cluster")
	g.activation.settle(err)
}

// silence ends what could still cause a message. The framework stops the child after it, and only then tells that this actor
// has stopped.
func (g *grain) silence(c actor.Context) {
	g.stopping = true
	g.forget()
	if g.cancel != nil {
		g.cancel()
	}
	if g.onEvents != nil {
		c.ActorSystem().EventStream.Unsubscribe(g.onEvents)
		g.onEvents = nil
	}
	if g.child == nil {
		g.exited()
	}
}

// exited is when this instance runs no outbox, and will run none.
func (g *grain) exited() {
	if g.activation != nil {
		g.exit(g.activation)
	}
}

// release gives back what the outbox of this activation owned.
func (g *grain) release() {
	if g.fence == nil {
		return
	}
	if err := g.fence.release(); err != nil {
		g.log.Warn("cannot note that a shard was given up: who stands by for it takes longer", slog.Any("error", err))
	}
	g.fence = nil
}

// protect keeps a panic, of the application's journal or of a subscriber of the event stream, from the framework, which
// would hang.
func protect(log *slog.Logger, fn func()) {
	defer func() {
		if v := recover(); v != nil {
			log.Error("a panic was caught", slog.Any("panic", v))
		}
	}()
	fn()
}
