package outbox_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// processes is the number of processes that are registered in the system: actors, futures and the like.
func processes(system *actor.ActorSystem) int {
	n := 0
	for _, bucket := range system.ProcessRegistry.LocalPIDs.LocalPIDs {
		n += bucket.Count()
	}
	return n
}

// undelivered collects the messages of one type that nobody was there to receive.
func undelivered[T any](t *testing.T, system *actor.ActorSystem) func() []any {
	t.Helper()
	return eventsOf(t, system, func(event any) bool {
		dead, ok := event.(*actor.DeadLetterEvent)
		if !ok {
			return false
		}
		_, ok = dead.Message.(T)
		return ok
	})
}

func TestAClientThatStopsWaitingIsForgotten(t *testing.T) {
	j := memory.New()
	var healed atomic.Bool
	s := &sink{fail: func(publisher.Event, int) error {
		if healed.Load() {
			return nil
		}
		return errors.New("not now")
	}}
	write(t, j, "a", 1, 1)
	var seen log
	o := spawn(t, j, publisher.Props(publisher.Func(s.publish)), seen.option())
	unheard := undelivered[*outboxv1.Reply](t, o.system)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	waiting := async(func() error { return o.WaitPublished(ctx, "a", 1) })
	await(t, "it waits", func() bool { return seen.count("outbox.located") == 1 })
	cancel()
	require.ErrorIs(t, next(t, "the client", waiting), context.Canceled)
	healed.Store(true)
	o.flush(t)
	require.Equal(t, ids("a", 1, 1), s.received("a"))
	o.stop(t)
	require.Empty(t, unheard(), "it is not answered any more, neither by the event nor by the stop")
}

func TestClientsThatGiveUpDuringRecoveryLeaveNothing(t *testing.T) {
	j, s := newSpy(), &sink{}
	j.fail(errDown, "Acquire")
	var seen log
	o := spawn(t, j, publisher.Props(publisher.Func(s.publish)), frozen(), seen.option())
	unheard := undelivered[*outboxv1.Reply](t, o.system)
	await(t, "it recovers", func() bool { return j.count("Acquire") > 0 })
	before := processes(o.system)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	const clients = 50
	given := make(chan error, clients)
	for range clients {
		go func() { given <- o.Flush(ctx) }()
	}
	await(t, "all wait", func() bool { return seen.count("local.Command") == clients })
	cancel()
	for range clients {
		require.ErrorIs(t, next(t, "a client", given), context.Canceled)
	}
	require.Equal(t, before, processes(o.system))

	j.fail(nil, "Acquire")
	o.flush(t)
	o.stop(t) // which waits for what is under way
	require.Equal(t, j.count("Acquire")+2, j.count("Head"), "once before each attempt, once for the recovery, and once for the one that still wanted to know")
	require.Empty(t, unheard())
}

func TestAClientLeavesNothingBehind(t *testing.T) {
	j := memory.New()
	write(t, j, "a", 1, 1)
	o := spawn(t, j, publisher.Props(publisher.Func((&sink{}).publish)))
	o.flush(t)
	unwatched := undelivered[*actor.Terminated](t, o.system)
	before, subscribers := processes(o.system), o.system.EventStream.Length()
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	for range 10 {
		_, err := o.Status(within(t))
		require.NoError(t, err)
		require.NoError(t, o.WaitPublished(within(t), "a", 1))
		o.flush(t)
		require.ErrorIs(t, o.Flush(gone), context.Canceled)
		require.ErrorIs(t, o.Wait(gone), context.Canceled)
	}
	require.Equal(t, before, processes(o.system))
	require.Equal(t, subscribers, o.system.EventStream.Length())
	o.stop(t)
	require.Empty(t, unwatched(), "the outbox tells nobody who has gone before")
	for range 10 {
		_, err := o.Status(within(t))
		require.ErrorIs(t, err, outbox.ErrStopped)
	}
	require.Equal(t, before-1-4-1, processes(o.system), "the outbox, its four publishers and the reservation of its name are gone")
}

func TestADrainReturnsWhenTheOutboxIsGone(t *testing.T) {
	j, s := newSpy(), &sink{}
	var late atomic.Bool
	j.hooks["Unsubscribe"] = func(ctx context.Context) error { // a stop that takes its time
		ctx, cancel := context.WithTimeout(ctx, 30*time.Millisecond)
		defer cancel()
		<-ctx.Done()
		late.Store(true)
		return nil
	}
	write(t, j.Journal, "a", 1, 3)
	o := spawn(t, j, publisher.Props(publisher.Func(s.publish)))
	o.flush(t)
	require.NoError(t, o.Drain(within(t), patience))
	require.True(t, late.Load())
	_, there := o.system.ProcessRegistry.GetLocal(o.pid.Id)
	require.False(t, there)
	second := spawnIn(t, o.system, j, publisher.Props(publisher.Func(s.publish)), outbox.WithSnapshots(j))
	second.flush(t)
	require.Equal(t, ids("a", 1, 3), s.received("a"))
}

func TestWaitDuringTheStopStillTellsTheReason(t *testing.T) {
	for _, busy := range []string{"the outbox", "its publisher"} {
		t.Run(busy+" takes its time", func(t *testing.T) {
			j := newSpy()
			stopping, release := make(chan struct{}), make(chan struct{})
			hang := func() {
				close(stopping)
				<-release
			}
			p := actor.PropsFromFunc(func(c actor.Context) {
				switch m := c.Message().(type) {
				case *outboxv1.PublishRequest:
					c.Respond(&outboxv1.PublishResponse{Generation: m.GetGeneration(), Batch: m.GetBatch(), Outcome: outboxv1.Outcome_OUTCOME_OK})
				case *actor.Stopping:
					if busy == "its publisher" {
						hang()
					}
				}
			})
			if busy == "the outbox" {
				j.hooks["Unsubscribe"] = func(context.Context) error { hang(); return nil }
			}
			o := spawn(t, j, p, frozen(), outbox.WithLanes(1))
			o.flush(t)
			takeOver(t, j.Journal)
			write(t, j.Journal, "a", 1, 1)
			require.ErrorIs(t, o.Flush(within(t)), outbox.ErrStopped)
			next(t, "it stops", stopping)
			before := processes(o.system)
			reason := async(func() error { return o.Wait(within(t)) })
			await(t, "somebody waits", func() bool { return processes(o.system) == before+1 })
			time.AfterFunc(250*time.Millisecond, func() { close(release) })
			require.ErrorIs(t, next(t, "the reason", reason), outbox.ErrFenced)
		})
	}
}

func TestAFlushThatNobodyWaitsForCausesNoSave(t *testing.T) {
	j := newSpy()
	release := make(chan struct{})
	s := &sink{fail: func(publisher.Event, int) error { <-release; return nil }}
	write(t, j.Journal, "a", 1, 1)
	var seen log
	o := spawn(t, j, publisher.Props(publisher.Func(s.publish)), frozen(), seen.option(), exploding())
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	flushed := async(func() error { return o.Flush(ctx) })
	await(t, "it waits", func() bool { return seen.count("outbox.located") == 1 })
	cancel()
	require.ErrorIs(t, next(t, "the client", flushed), context.Canceled)
	close(release)
	require.NoError(t, o.WaitPublished(within(t), "a", 1))
	o.system.Root.Send(o.pid, boom{}) // a restart waits for what is under way
	_, err := o.Status(within(t))
	require.NoError(t, err)
	require.Zero(t, j.count("Save"))
}

func TestABareCommandThatNobodyCanBeAnsweredIsHarmless(t *testing.T) {
	j, s := newSpy(), &sink{}
	write(t, j.Journal, "a", 1, 1)
	o := spawn(t, j, publisher.Props(publisher.Func(s.publish)), anyone(), frozen())
	require.NoError(t, o.WaitPublished(within(t), "a", 1))
	dead := undelivered[any](t, o.system)
	heads := j.count("Head")
	o.system.Root.Send(o.pid, &outboxv1.Flush{})
	o.system.Root.Send(o.pid, &outboxv1.WaitPublished{PersistenceId: "a"})
	o.system.Root.Send(o.pid, &outboxv1.GetStatus{})
	status, err := o.Status(within(t))
	require.NoError(t, err)
	require.Equal(t, outboxv1.State_STATE_RUNNING, status.GetState())
	o.flush(t)
	require.Empty(t, dead())

	stopped := stoppedIn(t, o.system)
	o.system.Root.Send(o.pid, &outboxv1.Drain{})
	require.NoError(t, next(t, "the stop", stopped).Err, "a drain needs nobody to answer to")
	require.Equal(t, heads+1, j.count("Head"), "only what somebody wants to know was looked up")
	require.Zero(t, j.count("LastSequenceNumber"))
}
