package outbox_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// anyone lets everybody in.
func anyone() outbox.Option {
	return outbox.WithAuthorize(func(actor.Context) error { return nil })
}

// fragile makes an outbox that panics, in the midst of its work, when it is sent a bare Flush.
func fragile(before func()) outbox.Option {
	return outbox.WithAuthorize(func(c actor.Context) error {
		if _, ok := c.Message().(*outboxv1.Flush); ok {
			before()
			panic("boom")
		}
		return nil
	})
}

func TestWhoeverStillWaitsIsAnsweredAtTheEnd(t *testing.T) {
	never := publisher.Props(publisher.Func(func(context.Context, publisher.Event) error { return errors.New("no") }))
	for name, c := range map[string]struct {
		end  func(*testing.T, running)
		code outboxv1.Code
		err  error
	}{
		"a stop":    {func(t *testing.T, o running) { o.stop(t) }, outboxv1.Code_CODE_STOPPED, outbox.ErrStopped},
		"a restart": {func(_ *testing.T, o running) { o.system.Root.Send(o.pid, boom{}) }, outboxv1.Code_CODE_UNAVAILABLE, outbox.ErrUnavailable},
	} {
		for when, waiting := range map[string]string{"while it runs": "outbox.located", "while it recovers": "local.Command"} {
			t.Run(name+" "+when, func(t *testing.T) {
				j := newSpy()
				write(t, j.Journal, "a", 1, 1)
				if when == "while it recovers" {
					j.fail(errDown, "Acquire")
				}
				var seen log
				o := spawn(t, j, never, seen.option(), exploding(), anyone())
				client := async(func() error { return o.WaitPublished(within(t), "a", 1) })
				await(t, "the client waits", func() bool { return seen.count(waiting) == 1 })
				bare := o.system.Root.RequestFuture(o.pid, &outboxv1.WaitPublished{PersistenceId: "a", SequenceNumber: 1}, patience)
				await(t, "the bare command waits", func() bool {
					return seen.count("*outboxv1.WaitPublished") == 1 && (waiting == "local.Command" || seen.count(waiting) == 2)
				})
				c.end(t, o)
				require.ErrorIs(t, next(t, "the client's answer", client), c.err)
				answer, err := bare.Result()
				require.NoError(t, err)
				require.Equal(t, c.code, answer.(*outboxv1.Reply).GetCode())
				require.NotEmpty(t, answer.(*outboxv1.Reply).GetError())
			})
		}
	}
}

func TestWhatAnEarlierInstanceHasLeftOnItsWayDoesNothing(t *testing.T) {
	j := newSpy()
	var spawned atomic.Int32
	var healed atomic.Bool
	producer := actor.PropsFromProducer(func() actor.Actor {
		spawned.Add(1)
		return actor.ReceiveFunc(func(c actor.Context) {
			if r, ok := c.Message().(*outboxv1.PublishRequest); ok {
				answer := &outboxv1.PublishResponse{Generation: r.GetGeneration(), Batch: r.GetBatch(), Outcome: outboxv1.Outcome_OUTCOME_RETRY}
				if healed.Load() {
					answer.Outcome = outboxv1.Outcome_OUTCOME_OK
				}
				c.Respond(answer)
			}
		})
	})
	write(t, j.Journal, "a", 1, 1)
	var seen log
	o := spawn(t, j, producer, frozen(), outbox.WithLanes(1), exploding(), seen.option())
	await(t, "it runs", func() bool { return spawned.Load() == 1 })
	o.system.Root.Send(o.pid, boom{})
	await(t, "it runs again", func() bool { return spawned.Load() == 2 })
	restarts := eventsOf(t, o.system, func(e any) bool { _, ok := e.(*actor.SupervisorEvent); return ok })
	waiting := async(func() error { return o.WaitPublished(within(t), "a", 1) })
	await(t, "somebody waits", func() bool { return seen.count("outbox.located") == 1 })
	acquired := j.count("Acquire")

	for what, message := range outbox.LateMessages() {
		o.system.Root.Send(o.pid, message)
		status, err := o.Status(within(t))
		require.NoError(t, err, what)
		require.Equal(t, outboxv1.State_STATE_RUNNING, status.GetState(), what)
		require.EqualValues(t, 2, spawned.Load(), what)
	}
	healed.Store(true)
	o.system.Root.Send(o.pid, boom{}) // the clock stands still, so that nothing but another life tries again
	require.ErrorIs(t, next(t, "the answer", waiting), outbox.ErrUnavailable, "nobody but its own instance has answered it")
	o.flush(t)
	require.Equal(t, acquired+1, j.count("Acquire"), "nothing made it recover once more")
	require.Len(t, restarts(), 1)
}

func TestAnOutboxThatItsSupervisorGivesUpSaysThatItCrashed(t *testing.T) {
	j, s := newSpy(), &sink{}
	write(t, j.Journal, "a", 1, 3)
	system := testkit.NewActorSystem(t)
	clock := testkit.NewManualScheduler(system.Root)
	props, err := outbox.Props("test", j, publisher.Props(publisher.Func(s.publish)), fragile(func() {}),
		outbox.WithScheduler(clock), outbox.WithClock(clock.Now))
	require.NoError(t, err)
	child := make(chan *actor.PID, 1)
	parent := system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		if _, ok := c.Message().(*actor.Started); ok {
			child <- c.Spawn(props)
		}
	}, actor.WithSupervisor(actor.NewOneForOneStrategy(0, 0, func(any) actor.Directive { return actor.StopDirective }))))
	pid := next(t, "the outbox", child)
	client := outbox.NewClient(system.Root, pid)
	require.NoError(t, client.WaitPublished(within(t), "a", 3))

	stopped := stoppedIn(t, system)
	subscribers := system.EventStream.Length()
	reason := async(func() error { return client.Wait(within(t)) })
	await(t, "somebody waits for the reason", func() bool { return system.EventStream.Length() > subscribers })
	system.Root.Send(pid, &outboxv1.Flush{})
	require.ErrorIs(t, next(t, "the stop", stopped).Err, outbox.ErrCrashed)
	require.ErrorIs(t, next(t, "the reason", reason), outbox.ErrCrashed)
	require.Zero(t, j.count("Save"), "what a crashed instance knows may be wrong")
	require.Zero(t, clock.Pending())
	require.NoError(t, system.Root.StopFuture(parent).Wait())
}

func TestAStopAfterARestartIsNoCrash(t *testing.T) {
	j, s := memory.New(), &sink{}
	o := spawn(t, j, publisher.Props(publisher.Func(s.publish)), fragile(func() {}))
	o.flush(t)
	stopped := stoppedIn(t, o.system)
	o.system.Root.Send(o.pid, &outboxv1.Flush{})
	o.flush(t)
	o.stop(t)
	require.NoError(t, next(t, "the stop", stopped).Err)
}

// The framework then has the order to stop, and after it the order to restart because of the panic.
func TestAStopThatMeetsAPanicIsStillAStop(t *testing.T) {
	for name, recovers := range map[string]bool{"while it runs": true, "while it recovers": false} {
		t.Run(name, func(t *testing.T) {
			j, s := newSpy(), &sink{}
			if !recovers {
				j.fail(errDown, "Acquire")
			}
			entered, release := make(chan struct{}), make(chan struct{})
			var once sync.Once
			o := spawn(t, j, publisher.Props(publisher.Func(s.publish)), fragile(func() {
				once.Do(func() { close(entered) })
				<-release
			}))
			if recovers {
				o.flush(t)
			}
			stopped := stoppedIn(t, o.system)
			o.system.Root.Send(o.pid, &outboxv1.Flush{})
			next(t, "it is at work", entered)
			o.system.Root.Stop(o.pid)
			close(release)
			require.ErrorIs(t, next(t, "the stop", stopped).Err, outbox.ErrCrashed)
			await(t, "it is gone", func() bool {
				_, there := o.system.ProcessRegistry.GetLocal(o.pid.Id)
				return !there
			})
			_, err := o.Status(within(t))
			require.ErrorIs(t, err, outbox.ErrStopped)

			j.fail(nil, "Acquire")
			write(t, j.Journal, "a", 1, 3)
			second := spawnIn(t, o.system, j, publisher.Props(publisher.Func(s.publish)))
			second.flush(t)
			require.Equal(t, ids("a", 1, 3), s.received("a"), "the name is free, and nobody else publishes")
		})
	}
}
