package publisher

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/asynkron/protoactor-go/actor"

	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// Abandoned is published on the actor system's event stream when a child stops although Publish calls of it have
// not returned, so that their goroutines stay behind. Each of them has had its context ended and the stop grace
// to return in; see [WithStopGrace].
type Abandoned struct {
	// PID is the child.
	PID *actor.PID
	// Batches is the number of calls that have not returned.
	Batches int
}

// child is the publisher actor. It runs each Publish in a goroutine of its own, so that neither a restart nor
// another batch waits for it.
type child struct {
	publisher Publisher
	settings  settings
}

// crash brings a panic of a Publish call to the child, where the supervisor can see it.
type crash struct {
	call  *call
	panic *PanicError
}

func (a *child) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *outboxv1.PublishRequest:
		a.publish(c, m)
	case *crash:
		if callsOf(c).current(m.call) {
			panic(m.panic)
		}
		// One restart is enough for all that was running.
		c.Logger().Warn("publisher panicked again before it was restarted",
			slog.String("pid", c.Self().String()), slog.Any("error", m.panic))
	case *actor.Restarting:
		callsOf(c).revoke()
	case *actor.Stopping:
		a.stop(c)
	}
}

func (a *child) publish(c actor.Context, r *outboxv1.PublishRequest) {
	asker := c.Sender()
	if asker == nil {
		// Published or not, nobody would know.
		c.Logger().Warn("refused a PublishRequest without sender: send it with Request, not with Send",
			slog.String("pid", c.Self().String()), slog.String("outbox", r.GetOutbox()))
		return
	}
	system, self, calls := c.ActorSystem(), c.Self(), callsOf(c)
	ctx, one := calls.begin(r.GetTimeout().AsDuration())
	go guard(func() {
		answer := a.deliver(ctx, r)
		if calls.end(one) {
			system.Root.RequestWithCustomSender(asker, answer, self)
		}
	}, func(p *PanicError) {
		if calls.end(one) {
			system.Root.Send(self, &crash{call: one, panic: p})
			return
		}
		system.Logger().Warn("publisher panicked after it was stopped or restarted",
			slog.String("pid", self.String()), slog.Any("error", p))
	})
}

func (a *child) deliver(ctx context.Context, r *outboxv1.PublishRequest) *outboxv1.PublishResponse {
	events := eventsOf(r)
	if len(events) == 0 {
		return answerTo(r, nil, nil)
	}
	// A publisher may keep the slice, and do with it what it likes.
	destinations := destinationsOf(a.publisher, events)
	return answerTo(r, deliver(ctx, a.publisher, events), destinations)
}

// stop must not panic, which in Stopping would restart the child; and subscribers of the event stream, which are
// the application's, run in it.
func (a *child) stop(c actor.Context) {
	defer func() {
		if v := recover(); v != nil {
			c.Logger().Error("publisher could not report its stop",
				slog.String("pid", c.Self().String()), slog.String("panic", fmt.Sprint(v)))
		}
	}()
	calls := callsOf(c)
	calls.revoke()
	if left := calls.await(a.settings.stopGrace); left > 0 {
		c.Logger().Warn("publisher stopped although Publish has not returned: it must return when its context ends",
			slog.String("pid", c.Self().String()), slog.Int("batches", left))
		c.ActorSystem().EventStream.Publish(&Abandoned{PID: c.Self(), Batches: left})
	}
}
