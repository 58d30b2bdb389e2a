package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// world is an actor system that says nothing.
type world struct{ system *actor.ActorSystem }

func newWorld() *world {
	return &world{system: actor.NewActorSystem(
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }),
		actor.WithDeadLetterThrottleInterval(time.Millisecond), // or a goroutine would outlive it by a second
	)}
}

func (w *world) close() { w.system.Shutdown() }

// running is an outbox that was spawned.
type running struct {
	*outbox.Client
	system *actor.ActorSystem
	pid    *actor.PID
}

func (w *world) spawn(name string, j query.Journal, p publisher.Publisher, opts ...outbox.Option) (running, error) {
	props, err := outbox.Props(name, j, publisher.Props(p), opts...)
	if err != nil {
		return running{}, err
	}
	pid := w.system.Root.Spawn(props)
	return running{outbox.NewClient(w.system.Root, pid), w.system, pid}, nil
}

func (r running) stop() error { return r.system.Root.StopFuture(r.pid).Wait() }

// drain has a new outbox publish all that is in the journal, and returns once that is saved.
func (w *world) drain(ctx context.Context, name string, j query.Journal, p publisher.Publisher, opts ...outbox.Option) error {
	o, err := w.spawn(name, j, p, opts...)
	if err != nil {
		return err
	}
	return errors.Join(o.Flush(ctx), o.stop())
}

// noop takes everything.
type noop struct{}

func (noop) Publish(context.Context, []publisher.Event) error { return nil }
