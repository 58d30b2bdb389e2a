package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

func TestEveryEventIsPublishedInOrderPerID(t *testing.T) {
	j, s := memory.New(), &sink{}
	for i := range 20 {
		write(t, j, fmt.Sprintf("before-%d", i), 1, 50)
	}
	o := spawn(t, j, publisher.Props(publisher.Func(s.publish)))
	for i := range 20 {
		write(t, j, fmt.Sprintf("after-%d", i), 1, 50)
	}
	o.flush(t)
	for i := range 20 {
		require.Equal(t, ids(fmt.Sprintf("before-%d", i), 1, 50), s.received(fmt.Sprintf("before-%d", i)))
		require.Equal(t, ids(fmt.Sprintf("after-%d", i), 1, 50), s.received(fmt.Sprintf("after-%d", i)))
	}
	status, err := o.Status(within(t))
	require.NoError(t, err)
	require.EqualValues(t, 2000, status.GetPublished())
	require.Equal(t, outboxv1.State_STATE_RUNNING, status.GetState())
	require.Zero(t, status.GetUnsaved())
}

func TestItGoesOnWhereItStopped(t *testing.T) {
	j, s := memory.New(), &sink{}
	write(t, j, "a", 1, 100)
	first := spawn(t, j, publisher.Props(publisher.Func(s.publish)))
	first.flush(t)
	first.stop(t)

	write(t, j, "a", 101, 110)
	second := spawn(t, j, publisher.Props(publisher.Func(s.publish)))
	second.flush(t)
	require.Equal(t, ids("a", 1, 110), s.received("a"), "nothing is published twice after a stop in good order")
	status, err := second.Status(within(t))
	require.NoError(t, err)
	require.EqualValues(t, 110, status.GetPublished())
	require.EqualValues(t, 10, status.GetPublishedSinceStart())
}

func TestAPlainStopSavesWhatIsSettled(t *testing.T) {
	j, s := memory.New(), &sink{}
	write(t, j, "a", 1, 10)
	first := spawn(t, j, publisher.Props(publisher.Func(s.publish)))
	require.NoError(t, first.WaitPublished(within(t), "a", 10)) // published; the next save is up to a second away
	first.stop(t)
	second := spawn(t, j, publisher.Props(publisher.Func(s.publish)))
	second.flush(t)
	require.Equal(t, ids("a", 1, 10), s.received("a"))
}

func TestAPublishThatSaysNoBlocksOnlyItsOwnID(t *testing.T) {
	j := memory.New()
	var healed atomic.Bool
	s := &sink{fail: func(e publisher.Event, _ int) error {
		if e.PersistenceID == "bad" && !healed.Load() {
			return errors.New("not now")
		}
		return nil
	}}
	write(t, j, "bad", 1, 5)
	write(t, j, "good", 1, 5)
	o := spawn(t, j, publisher.Props(publisher.Func(s.publish)))
	require.NoError(t, o.WaitPublished(within(t), "good", 5))
	await(t, "the id is held, and tried again", func() bool {
		status, err := o.Status(within(t))
		return err == nil && status.GetHeldCount() == 1 && status.GetHeld()[0].GetAttempts() > 2
	})
	write(t, j, "good", 6, 10)
	require.NoError(t, o.WaitPublished(within(t), "good", 0))
	require.Empty(t, s.received("bad"))

	healed.Store(true)
	o.flush(t)
	require.Equal(t, ids("bad", 1, 5), s.received("bad"))
	status, err := o.Status(within(t))
	require.NoError(t, err)
	require.Zero(t, status.GetHeldCount())
}

func TestAnEventThatIsRefusedForGoodIsParkedAndItsIDGoesOn(t *testing.T) {
	j := memory.New()
	s := &sink{fail: func(e publisher.Event, _ int) error {
		if e.ID() == "a/3" {
			return publisher.Permanent(errors.New("no such customer"))
		}
		return nil
	}}
	write(t, j, "a", 1, 5)
	o := spawn(t, j, publisher.Props(publisher.Func(s.publish)))
	o.flush(t)
	require.Equal(t, []string{"a/1", "a/2", "a/4", "a/5"}, s.received("a"))

	var parked *outbox.ParkedError
	require.ErrorAs(t, o.WaitPublished(within(t), "a", 3), &parked)
	require.Contains(t, parked.Reason, "no such customer")
	require.NoError(t, o.WaitPublished(within(t), "a", 4))
	o.stop(t)

	second := spawn(t, j, publisher.Props(publisher.Func(s.publish)))
	require.ErrorAs(t, second.WaitPublished(within(t), "a", 3), &parked, "it is still known after a restart")
	status, err := second.Status(within(t))
	require.NoError(t, err)
	require.EqualValues(t, 1, status.GetParkedCount())
	require.EqualValues(t, 3, status.GetParked()[0].GetEvent().GetSequenceNumber())
	require.Equal(t, 1, s.attempts("a/3"), "a parked event is not tried again")
}

func TestAPublisherThatPanicsInMidBatchIsReplaced(t *testing.T) {
	j := memory.New()
	var panics atomic.Int32
	s := &sink{fail: func(e publisher.Event, attempt int) error {
		if e.ID() == "b/3" && attempt <= 2 {
			panics.Add(1)
			panic("the sink's library has a bug")
		}
		return nil
	}}
	for _, id := range []string{"a", "b", "c"} {
		write(t, j, id, 1, 10)
	}
	o := spawn(t, j, publisher.Props(publisher.Func(s.publish)), outbox.WithLanes(1))
	o.flush(t)
	require.EqualValues(t, 2, panics.Load())
	for _, id := range []string{"a", "b", "c"} {
		require.Equal(t, ids(id, 1, 10), firsts(s.received(id)))
	}
}

// firsts drops what was there before.
func firsts(events []string) []string {
	seen := make(map[string]bool)
	var first []string
	for _, e := range events {
		if !seen[e] {
			seen[e] = true
			first = append(first, e)
		}
	}
	return first
}

func TestStopDuringPublishLeavesNothingBehind(t *testing.T) {
	j := memory.New()
	publishing := make(chan struct{}, 1)
	write(t, j, "a", 1, 3)
	o := spawn(t, j, publisher.Props(publisher.Func(func(ctx context.Context, e publisher.Event) error {
		select {
		case publishing <- struct{}{}:
		default:
		}
		<-ctx.Done()
		return ctx.Err()
	})))
	<-publishing
	reason := make(chan error, 1)
	go func() { reason <- o.Wait(context.Background()) }()
	o.stop(t)
	require.NoError(t, <-reasonOrStopped(reason))

	s := &sink{}
	second := spawn(t, j, publisher.Props(publisher.Func(s.publish)))
	second.flush(t)
	require.Equal(t, ids("a", 1, 3), s.received("a"))
}

// reasonOrStopped takes ErrStopped for no reason: Wait may have come too late to hear one.
func reasonOrStopped(reason <-chan error) <-chan error {
	out := make(chan error, 1)
	if err := <-reason; !errors.Is(err, outbox.ErrStopped) {
		out <- err
	}
	close(out)
	return out
}

func TestStopTwiceIsOneStop(t *testing.T) {
	j := memory.New()
	o := spawn(t, j, publisher.Props(publisher.Func((&sink{}).publish)))
	var stopped atomic.Int32
	subscription := o.system.EventStream.Subscribe(func(event any) {
		if s, ok := event.(*outbox.Stopped); ok && s.PID.Equal(o.pid) {
			stopped.Add(1)
		}
	})
	defer o.system.EventStream.Unsubscribe(subscription)
	first, second := o.system.Root.StopFuture(o.pid), o.system.Root.StopFuture(o.pid)
	require.NoError(t, first.Wait())
	require.NoError(t, second.Wait())
	require.NoError(t, o.system.Root.StopFuture(o.pid).Wait(), "and a third, when it is gone")
	require.EqualValues(t, 1, stopped.Load())
	require.ErrorIs(t, o.Wait(within(t)), outbox.ErrStopped)
	_, err := o.Status(within(t))
	require.ErrorIs(t, err, outbox.ErrStopped)
}

func TestDrainWaitsForWhatIsInFlight(t *testing.T) {
	j := memory.New()
	release, publishing := make(chan struct{}), make(chan struct{}, 1)
	s := &sink{}
	write(t, j, "a", 1, 1)
	o := spawn(t, j, publisher.Props(publisher.Func(func(ctx context.Context, e publisher.Event) error {
		publishing <- struct{}{}
		<-release
		return s.publish(ctx, e)
	})))
	<-publishing
	drained := make(chan error, 2)
	for range 2 {
		go func() { drained <- o.Drain(context.Background(), patience) }()
	}
	await(t, "it drains", func() bool {
		status, err := o.Status(within(t))
		return err == nil && status.GetState() == outboxv1.State_STATE_DRAINING
	})
	write(t, j, "a", 2, 2)
	close(release)
	require.NoError(t, <-drained)
	if err := <-drained; err != nil {
		require.ErrorIs(t, err, outbox.ErrStopped) // the second came when all was done
	}
	require.Equal(t, ids("a", 1, 1), s.received("a"), "what came during the drain waits for the next outbox")
}

func TestDrainGivesUpAtItsDeadline(t *testing.T) {
	j := memory.New()
	publishing := make(chan struct{}, 1)
	write(t, j, "a", 1, 1)
	o := spawn(t, j, publisher.Props(publisher.Func(func(ctx context.Context, _ publisher.Event) error {
		publishing <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	})))
	<-publishing
	require.ErrorIs(t, o.Drain(within(t), 10*time.Millisecond), outbox.ErrDrainDeadline)
	require.NoError(t, o.system.Root.StopFuture(o.pid).Wait())
}

func TestWaitPublishedTellsWhatWillNeverCome(t *testing.T) {
	j := memory.New()
	write(t, j, "a", 1, 2)
	o := spawn(t, j, publisher.Props(publisher.Func((&sink{}).publish)))
	require.NoError(t, o.WaitPublished(within(t), "a", 0))
	require.ErrorIs(t, o.WaitPublished(within(t), "a", 3), outbox.ErrNotFound)
	require.ErrorIs(t, o.WaitPublished(within(t), "nobody", 0), outbox.ErrNotFound)
	require.ErrorIs(t, o.WaitPublished(within(t), "", 1), outbox.ErrNotFound)
}

func TestWaitPublishedOfAnEventThatRetentionHasRemoved(t *testing.T) {
	j := memory.New()
	write(t, j, "a", 1, 4)
	o := spawn(t, j, publisher.Props(publisher.Func((&sink{}).publish)))
	o.flush(t)
	require.NoError(t, j.HideEvents(t.Context(), "a", 2))
	trimmed, err := j.Trim(t.Context(), journal.Retention{})
	require.NoError(t, err)
	require.EqualValues(t, 2, trimmed.Events)
	require.NoError(t, o.WaitPublished(within(t), "a", 1))
	require.NoError(t, o.WaitPublished(within(t), "a", 2))
	require.ErrorIs(t, o.WaitPublished(within(t), "a", -1), outbox.ErrNotFound)
}

func TestAnActorOfOnesOwnMayPublish(t *testing.T) {
	j := memory.New()
	probe := testkit.NewTestProbe()
	write(t, j, "a", 1, 2)
	o := spawn(t, j, testkit.Props(probe), outbox.WithLanes(1))
	request, err := testkit.GetNextMessageOf[*outboxv1.PublishRequest](probe, patience)
	require.NoError(t, err)
	require.Equal(t, "test", request.GetOutbox())
	require.Positive(t, request.GetEpoch())
	require.Len(t, request.GetEvents(), 2)
	require.EqualValues(t, 2, request.GetEvents()[1].GetSequenceNumber())

	// An answer that says nothing loses nothing: the events come again, one by one.
	probe.Respond(&outboxv1.PublishResponse{Generation: request.GetGeneration(), Batch: request.GetBatch()})
	for seq := int64(1); seq <= 2; seq++ {
		again, err := testkit.GetNextMessageOf[*outboxv1.PublishRequest](probe, patience)
		require.NoError(t, err)
		require.Len(t, again.GetEvents(), 1)
		require.Equal(t, seq, again.GetEvents()[0].GetSequenceNumber())
		probe.Respond(&outboxv1.PublishResponse{Generation: again.GetGeneration(), Batch: again.GetBatch(), Outcome: outboxv1.Outcome_OUTCOME_OK})
	}
	o.flush(t)
}

func TestTicksComeFromTheScheduler(t *testing.T) {
	j, s := memory.New(), &sink{}
	system := testkit.NewActorSystem(t)
	clock := testkit.NewManualScheduler(system.Root)
	o := spawnIn(t, system, mute{j}, publisher.Props(publisher.Func(s.publish)),
		outbox.WithScheduler(clock), outbox.WithClock(clock.Now), outbox.WithSnapshots(j), outbox.WithPollInterval(time.Minute))
	await(t, "the first poll is done", func() bool {
		status, err := o.Status(within(t))
		return err == nil && status.GetLastRead() != nil && clock.Pending() == 2
	})
	write(t, j, "a", 1, 1)
	require.Empty(t, s.received("a"), "nobody has told it, and no time has passed")
	clock.Advance(time.Minute)
	require.NoError(t, o.WaitPublished(within(t), "a", 1))
}

// The props may be spawned by an actor of the application, under its supervision.
func TestItRunsUnderAParent(t *testing.T) {
	j, s := memory.New(), &sink{}
	write(t, j, "a", 1, 3)
	system := testkit.NewActorSystem(t)
	props, err := outbox.Props("test", j, publisher.Props(publisher.Func(s.publish)))
	require.NoError(t, err)
	child := make(chan *actor.PID, 1)
	parent := system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		if _, ok := c.Message().(*actor.Started); ok {
			child <- c.Spawn(props)
		}
	}))
	client := outbox.NewClient(system.Root, <-child)
	require.NoError(t, client.Flush(within(t)))
	require.NoError(t, system.Root.StopFuture(parent).Wait())
	require.Equal(t, ids("a", 1, 3), s.received("a"))
	require.ErrorIs(t, client.Flush(within(t)), outbox.ErrStopped)
}
