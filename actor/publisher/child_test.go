package publisher

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// soon is how long these tests watch for something that must not happen.
const soon = 20 * time.Millisecond

// fixture is a publisher child of a parent that restarts it whenever it fails, and an asker.
type fixture struct {
	system *actor.ActorSystem
	asker  *testkit.TestProbe
	child  *actor.PID
	stop   func()
	// failures are the reasons that supervision was given.
	failures chan any
	// abandoned are the child's last words, if any.
	abandoned chan *Abandoned
}

func start(t *testing.T, p Publisher, opts ...Option) *fixture {
	t.Helper()
	f := &fixture{
		system:    testkit.NewActorSystem(t),
		asker:     testkit.NewTestProbe(),
		failures:  make(chan any, 10),
		abandoned: make(chan *Abandoned, 10),
	}
	f.system.EventStream.Subscribe(func(m any) {
		switch m := m.(type) {
		case *actor.SupervisorEvent:
			f.failures <- m.Reason
		case *Abandoned:
			f.abandoned <- m
		}
	})
	asker := f.asker.Spawn(f.system)
	spawned := make(chan *actor.PID, 1)
	parent := f.system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		if _, ok := c.Message().(*actor.Started); ok {
			spawned <- c.Spawn(Props(p, opts...))
		}
	}))
	f.child = <-spawned
	stopped := false
	f.stop = func() {
		if !stopped {
			stopped = true
			require.NoError(t, f.system.Root.StopFuture(parent).Wait())
		}
	}
	t.Cleanup(func() {
		f.stop()
		require.NoError(t, f.system.Root.StopFuture(asker).Wait())
	})
	return f
}

func (f *fixture) ask(batch uint64, ids string) {
	r := request(ids)
	r.Batch = batch
	f.asker.Request(f.child, r)
}

func (f *fixture) answer(t *testing.T) *outboxv1.PublishResponse {
	t.Helper()
	answer, err := testkit.GetNextMessageOf[*outboxv1.PublishResponse](f.asker, 0)
	require.NoError(t, err)
	return answer
}

// next receives from a channel, or fails the test.
func next[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(testkit.DefaultTimeout):
		require.FailNow(t, "nothing happened")
		panic("not reached")
	}
}

func TestChildAnswersItsSender(t *testing.T) {
	f := start(t, publishFunc(func(_ context.Context, events []Event) error {
		if assert.Equal(t, "a/1 b/1", idsOf(events)) {
			assert.Equal(t, "shop", events[0].Outbox)
			assert.EqualValues(t, 3, events[0].Epoch)
		}
		return &BatchError{Failures: []Failure{{Index: 1, Outcome: OutcomePermanent, Err: errNo}}}
	}))
	f.ask(9, "a/1 b/1")
	answer := f.answer(t)
	assert.EqualValues(t, 5, answer.Generation)
	assert.EqualValues(t, 9, answer.Batch)
	assert.Equal(t, outboxv1.Outcome_OUTCOME_OK, answer.Outcome)
	require.Len(t, answer.Results, 1)
	assert.Equal(t, outboxv1.Outcome_OUTCOME_PERMANENT, answer.Results[0].Outcome)
	assert.True(t, f.child.Equal(f.asker.Sender()), "the answer tells which child it comes from")
}

func TestChildAnswersAFuture(t *testing.T) {
	f := start(t, returning(nil))
	answer, err := f.system.Root.RequestFuture(f.child, request("a/1"), testkit.DefaultTimeout).Result()
	require.NoError(t, err)
	assert.Equal(t, outboxv1.Outcome_OUTCOME_OK, answer.(*outboxv1.PublishResponse).Outcome)
}

func TestChildDoesNotCallPublishForAnEmptyBatch(t *testing.T) {
	f := start(t, publishFunc(func(context.Context, []Event) error { return errNo }))
	f.ask(1, "")
	assert.Equal(t, outboxv1.Outcome_OUTCOME_OK, f.answer(t).Outcome)
}

func TestChildPublishesBatchesAtTheSameTime(t *testing.T) {
	first := make(chan struct{})
	f := start(t, publishFunc(func(ctx context.Context, events []Event) error {
		if events[0].PersistenceID == "a" {
			<-first // until b was published
			return nil
		}
		close(first)
		return nil
	}))
	f.ask(1, "a/1")
	f.ask(2, "b/1")
	assert.ElementsMatch(t, []uint64{1, 2}, []uint64{f.answer(t).Batch, f.answer(t).Batch})
}

func TestChildEndsTheContextAtTheTimeout(t *testing.T) {
	f := start(t, publishFunc(func(ctx context.Context, _ []Event) error {
		<-ctx.Done()
		return ctx.Err()
	}))
	r := request("a/1")
	r.Timeout = durationpb.New(time.Millisecond)
	f.asker.Request(f.child, r)
	answer := f.answer(t)
	assert.Equal(t, outboxv1.Outcome_OUTCOME_UNKNOWN, answer.Outcome)
	assert.Equal(t, context.DeadlineExceeded.Error(), answer.Error)
}

func TestChildGivesWavesToAnUnorderedPublisher(t *testing.T) {
	u := &unordered{}
	f := start(t, u)
	f.ask(1, "a/1 a/2 b/1")
	f.answer(t)
	assert.Equal(t, []string{"a/1 b/1", "a/2"}, u.waves)
}

func TestChildRefusesARequestThatNobodyWaitsFor(t *testing.T) {
	calls := make(chan string, 10)
	f := start(t, publishFunc(func(_ context.Context, events []Event) error {
		calls <- idsOf(events)
		return nil
	}))
	f.asker.Send(f.child, request("a/1"))
	f.ask(1, "b/1")
	f.answer(t)
	assert.Equal(t, "b/1", next(t, calls), "a/1 came first and was refused")
	assert.Empty(t, calls)
}

func TestAPanicInPublishIsASupervisedFailureOfTheChild(t *testing.T) {
	f := start(t, Func(func(_ context.Context, e Event) error {
		if e.ID() == "poison/1" {
			panicInTheSink()
		}
		return nil
	}))
	f.ask(1, "poison/1")
	crash, ok := next(t, f.failures).(*PanicError)
	require.True(t, ok)
	assert.Equal(t, "boom", crash.Value)
	assert.ErrorContains(t, crash, "boom")
	assert.ErrorContains(t, crash, "panicInTheSink", "the stack is that of the sink")

	f.ask(2, "a/1")
	assert.EqualValues(t, 2, f.answer(t).Batch, "the restarted child publishes; batch 1 was never answered")
}

//go:noinline
func panicInTheSink() { panic("boom") }

func TestAPanicWithAnErrorCanBeRecognised(t *testing.T) {
	f := start(t, Func(func(context.Context, Event) error { panic(errNo) }))
	f.ask(1, "a/1")
	err, _ := next(t, f.failures).(error)
	require.ErrorIs(t, err, errNo)
}

func TestEndingTheGoroutineOfPublishIsAFailureOfTheChild(t *testing.T) {
	f := start(t, Func(func(context.Context, Event) error { runtime.Goexit(); return nil }))
	f.ask(1, "a/1")
	err, _ := next(t, f.failures).(error)
	require.ErrorContains(t, err, "runtime.Goexit")
}

func TestAPanicOfAConcurrentPublisherDoesNotEndTheProcess(t *testing.T) {
	f := start(t, Concurrent(4, func(context.Context, Event) error { panic("boom") }))
	f.ask(1, "a/1 b/1 c/1")
	err, _ := next(t, f.failures).(error)
	require.ErrorContains(t, err, "boom")
}

func TestPanicsOfTheSameLifeAreOneFailure(t *testing.T) {
	// Both calls panic, the second only once it was told that the child restarts.
	f := start(t, publishFunc(func(ctx context.Context, events []Event) error {
		if events[0].PersistenceID == "b" {
			<-ctx.Done()
		}
		panic(events[0].ID())
	}))
	f.ask(2, "b/1")
	f.ask(1, "a/1")
	crash, ok := next(t, f.failures).(*PanicError)
	require.True(t, ok)
	assert.Equal(t, "a/1", crash.Value)

	f.stop() // waits for both calls
	assert.Empty(t, f.failures)
	assert.Empty(t, f.abandoned)
}

func TestARestartForgetsWhatWasRunningBefore(t *testing.T) {
	ended := make(chan error, 1)
	f := start(t, publishFunc(func(ctx context.Context, events []Event) error {
		switch events[0].PersistenceID {
		case "slow":
			<-ctx.Done()
			ended <- ctx.Err()
			return nil
		case "poison":
			panic("boom")
		default:
			return nil
		}
	}))
	f.ask(1, "slow/1")
	f.ask(2, "poison/1")
	next(t, f.failures)
	require.ErrorIs(t, next(t, ended), context.Canceled)
	f.ask(3, "a/1")
	assert.EqualValues(t, 3, f.answer(t).Batch)
	require.NoError(t, f.asker.ExpectNoMessage(soon), "the answer to a batch of the life before is not sent")
}

func TestACrashOfTheLifeBeforeDoesNotRestartTheChildAgain(t *testing.T) {
	f := start(t, returning(nil))
	f.system.Root.Send(f.child, &crash{call: &call{life: -1}, panic: &PanicError{Value: "old"}})
	f.ask(1, "a/1")
	f.answer(t)
	assert.Empty(t, f.failures)
}

func TestStopEndsContextsAndWaitsForPublishToReturn(t *testing.T) {
	began := make(chan struct{})
	var returned atomic.Bool
	f := start(t, publishFunc(func(ctx context.Context, _ []Event) error {
		close(began)
		<-ctx.Done()
		returned.Store(true)
		return nil
	}))
	f.ask(1, "a/1")
	next(t, began)
	f.stop()
	assert.True(t, returned.Load())
	assert.Empty(t, f.abandoned)
	require.NoError(t, f.asker.ExpectNoMessage(soon), "no answer after the stop")
}

func TestStopNamesAPublishThatDoesNotReturn(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	began := make(chan struct{}, 2)
	f := start(t, publishFunc(func(_ context.Context, events []Event) error {
		if events[0].PersistenceID == "poison" {
			panic("boom")
		}
		began <- struct{}{}
		<-release
		return nil
	}), WithStopGrace(5*time.Millisecond))

	// One call of the life before a restart, one of the life after.
	f.ask(1, "a/1")
	next(t, began)
	f.ask(2, "poison/1")
	next(t, f.failures)
	f.ask(3, "b/1")
	next(t, began)

	f.stop()
	require.Len(t, f.abandoned, 1, "it was told before the stop was over")
	last := <-f.abandoned
	assert.True(t, f.child.Equal(last.PID))
	assert.Equal(t, 2, last.Batches)
}

func TestAPanickingSubscriberDoesNotHinderTheStop(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	began := make(chan struct{})
	f := start(t, publishFunc(func(context.Context, []Event) error {
		close(began)
		<-release
		return nil
	}), WithStopGrace(0))
	f.system.EventStream.SubscribeWithPredicate(
		func(any) { panic(errors.New("subscriber")) },
		func(m any) bool { _, ok := m.(*Abandoned); return ok })
	f.ask(1, "a/1")
	next(t, began)
	f.stop()
	assert.Empty(t, f.failures)
	assert.Len(t, f.abandoned, 1)
}
