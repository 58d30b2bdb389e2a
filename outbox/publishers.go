package outbox

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/eventstream"
	"github.com/asynkron/protoactor-go/scheduler"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/ledger"
)

// publishers are the outbox's children, one per lane.
type publishers struct {
	lanes   []laneChild
	timeout *durationpb.Duration
}

type laneChild struct {
	pid       *actor.PID // nil while there is none
	spawnedAt time.Time
	crashes   int // without a good while in between
	respawn   scheduler.CancelFunc
}

// goodWhile is how long a publisher must have lived for its crash to count as the first again.
const goodWhile = time.Minute

func (o *outbox) spawnPublishers(c actor.Context) {
	o.publishers.lanes = make([]laneChild, o.settings.ledger.Lanes)
	// A publisher gives up a little earlier than we do, so that it can still say how far it has come.
	patience := o.settings.ledger.PublishTimeout
	o.publishers.timeout = durationpb.New(patience - min(time.Second, patience/10))
	for i := range o.publishers.lanes {
		o.spawnPublisher(c, i)
	}
}

func (o *outbox) spawnPublisher(c actor.Context, lane int) {
	if o.stopping {
		return
	}
	l := lifeOf(c)
	l.children++
	// A name is not free until its last bearer is gone for good: never use one twice.
	name := fmt.Sprintf("lane-%d-%d", lane, l.children)
	var pid *actor.PID
	// The props' producer and options run in here: if one of them panics, that is the publisher's failure.
	err := guarded(o.background.scope, func(context.Context) (err error) {
		pid, err = c.SpawnNamed(o.publisher, name)
		return err
	})
	if err != nil {
		c.ActorSystem().ProcessRegistry.Remove(c.ActorSystem().NewLocalPID(c.Self().Id + "/" + name)) // it may have come so far
		o.log.Error("cannot spawn a publisher", slog.Int("lane", lane), slog.Any("error", err))
		o.respawnLater(c, lane)
		return
	}
	child := &o.publishers.lanes[lane]
	child.pid, child.spawnedAt = pid, o.now()
	o.step(c, ledger.LaneUp{Lane: lane})
}

// alive reports whether some child has not stopped.
func (p *publishers) alive() bool {
	return slices.ContainsFunc(p.lanes, func(child laneChild) bool { return child.pid != nil })
}

// HandleFailure implements actor.SupervisorStrategy: a publisher that crashes is stopped, and replaced after a while
// that grows with its crashes. What it had not answered is sent again, in order.
func (o *outbox) HandleFailure(system *actor.ActorSystem, supervisor actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, reason, message any) {
	o.log.Error("a publisher crashed and will be replaced", slog.String("publisher", child.String()), slog.Any("reason", reason))
	supervisor.StopChildren(child)
	seeOff(system, supervisor, child, message)
	o.protect("failure of a publisher", func() {
		system.EventStream.Publish(&actor.SupervisorEvent{Child: child, Reason: reason, Directive: actor.StopDirective})
	})
}

// seeOff makes sure that a publisher which was told to stop will be gone, whatever message it panicked at. If that was
// its stop, the framework would neither go on with it nor say that it is over.
func seeOff(system *actor.ActorSystem, supervisor actor.Supervisor, child *actor.PID, message any) {
	send := func(message any) {
		process, _ := system.ProcessRegistry.Get(child)
		process.SendSystemMessage(child, message)
	}
	goOn := &actor.Terminated{Who: child} // has it look whether it can end
	switch m := message.(type) {
	case *actor.Stop:
		send(goOn)
	case *actor.Terminated:
		if m.Who.Equal(child) {
			system.ProcessRegistry.Remove(child) // it panics at that, too
		} else {
			send(goOn)
		}
	}
	if parent, ok := supervisor.(actor.SpawnerContext); ok {
		send(&actor.Watch{Watcher: parent.Self()}) // which the dead letters answer for one who is gone
	}
}

// publisherGone is told of every child that has stopped, for whatever reason.
func (o *outbox) publisherGone(c actor.Context, who *actor.PID) {
	if o.stopping {
		return
	}
	for i := range o.publishers.lanes {
		if child := &o.publishers.lanes[i]; child.pid != nil && child.pid.Equal(who) {
			if o.now().Sub(child.spawnedAt) > goodWhile {
				child.crashes = 0
			}
			child.pid = nil
			if o.ledger == nil {
				return // it is suspended, and spawns them anew when it goes on
			}
			o.step(c, ledger.LaneDown{Lane: i})
			o.respawnLater(c, i)
			return
		}
	}
}

func (o *outbox) respawnLater(c actor.Context, lane int) {
	if o.stopping {
		return
	}
	child := &o.publishers.lanes[lane]
	child.crashes++
	wait := o.settings.ledger.Backoff(child.crashes)
	child.respawn = o.scheduler.SendOnce(wait, c.Self(), respawn{o.incarnation, lane})
}

// abandoned collects the publishers that leave something behind while the outbox stops.
type abandoned struct {
	mu           sync.Mutex
	pids         []*actor.PID
	subscription *eventstream.Subscription
}

func (o *outbox) watchAbandoned(c actor.Context) {
	a := &abandoned{}
	mine := c.Self().Id + "/"
	a.subscription = c.ActorSystem().EventStream.Subscribe(func(event any) {
		if e, ok := event.(*publisher.Abandoned); ok && len(e.PID.Id) > len(mine) && e.PID.Id[:len(mine)] == mine {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.pids = append(a.pids, e.PID)
		}
	})
	o.abandoned = a
}
