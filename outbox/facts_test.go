package outbox_test

// What Proto.Actor Go does that would harm an outbox which did not know it, and the tests that it does not.
//
//	fact                                                         test
//	Persistence
//	a panic in recovery restarts at once, ten times, for good    TestAJournalThatFailsForAWhileUsesUpNoRestart
//	Stopping comes even if the recovery has failed               TestAStopBeforeTheOffsetsAreKnownSavesNothing
//	the mixin's snapshots all have index 0                       TestASaveOfAnEarlierLifeIsNotTakenForThisOnes
//	Self().Id depends on parent, counter and activation          TestTheOffsetsBelongToTheNameAndNotToThePID
//	Scheduler
//	timers outlive their actor                                   TestAStopLeavesNoTimerBehind, TestARestartLeavesNoTimerBehind
//	a repeated message piles up behind a slow handler            TestTicksDoNotPileUpBehindASlowMailbox
//	Lifecycle
//	Stop drops what is queued, without a dead letter             TestACommandThatAStopDropsIsAnswered
//	Poison and StopFuture give children and stop ten seconds     TestAStopEndsAtAnyStageWithinItsBoundAndLosesNothing
//	a panic in Stopping restarts the actor                       TestAStopThatMeetsAPanicIsStillAStop
//	after a panic in a child's Stopped its parent waits forever  TestAPublisherThatPanicsWhileTheOutboxStopsHoldsUpNoStop
//	Terminated comes twice to a parent that watches              TestAPublisherThatPanicsAtAnyMomentOfItsLifeIsReplacedAndCostsTheOutboxNoRestart
//	Stash has no Unstash                                         TestClientsThatGiveUpDuringRecoveryLeaveNothing
//	what an instance has begun reaches the next one              TestWhatAnEarlierInstanceHasLeftOnItsWayDoesNothing
//	Shutdown stops no actor                                      TestAShutDownSystemsOutboxIsStoppedByItsJournal
//	a name is taken until its bearer is gone                     TestASecondOutboxOfTheNameWaitsForTheFirstToGo
//	Supervision
//	ten restarts in ten seconds, then stopped                    TestUnderTheGuardianItIsStoppedWhenItCrashesTooOften
//	WithSupervisor is for the children of whoever has it         TestTheOutboxSupervisesItsPublishersWhateverTheStrategy
//	the message that failed is lost, the mailbox is not          TestAnAnswerForAnEarlierLifeIsNotTaken
//	ExponentialBackoff is linear and has no end                  TestACrashedPublisherIsReplacedAfterAWaitThatGrows
//	the event stream runs subscribers in the publisher           TestASubscriberThatPanicsAtTheCrashOfAPublisherCostsTheOutboxNoRestart,
//	                                                             TestACallThatFailsWhenTheOutboxIsGoneIsNotHeardOf
//	Configuration
//	logs go where the system's LoggerFactory says                TestItLogsToTheSystemsLoggerUnderItsName
//	OnInit functions of one Props run one after the other        TestPropsOptionsOfTheApplicationDoNotReplaceThoseOfTheOutbox
//	Spawn panics on an error                                     TestAPublisherThatPanicsAtAnyMomentOfItsLifeIsReplacedAndCostsTheOutboxNoRestart
//	a message from elsewhere looks local                         TestBareCommandsNeedLeave
//	invalid UTF-8 cannot be marshalled                           TestReasonsAreShortAndValid
//	a message with GetMessages is delivered in pieces as well    TestNoMessageIsTakenApartByTheMailbox

import (
	"bytes"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/scheduler"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

func TestAStopBeforeTheOffsetsAreKnownSavesNothing(t *testing.T) {
	inSimulatedTime(t, func(t *testing.T) {
		j, s := newSpy(), &sink{}
		write(t, j.Journal, "a", 1, 3)
		first := spawn(t, j, publisher.Props(publisher.Func(s.publish)))
		first.flush(t)
		first.stop(t)
		saved, err := j.Journal.Load(within(t), "outbox/test")
		require.NoError(t, err)
		saves := j.count("Save")

		for _, method := range []string{"Acquire", "Head", "EventsByPersistenceID"} {
			j.fail(errDown, method)
			before := j.count(method)
			second := spawnIn(t, first.system, j, publisher.Props(publisher.Func(s.publish)))
			synctest.Wait()
			require.Greater(t, j.count(method), before)
			second.stop(t)
			j.fail(nil, method)
		}
		require.Equal(t, saves, j.count("Save"))
		still, err := j.Journal.Load(within(t), "outbox/test")
		require.NoError(t, err)
		require.Equal(t, saved.Data, still.Data)
		require.Equal(t, saved.Index, still.Index)
	})
}

func TestTheOffsetsBelongToTheNameAndNotToThePID(t *testing.T) {
	j, s := memory.New(), &sink{}
	props, err := outbox.Props("test", j, publisher.Props(publisher.Func(s.publish)))
	require.NoError(t, err)
	system := testkit.NewActorSystem(t)
	child := make(chan *actor.PID, 1)
	parent := system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		if m, ok := c.Message().(*actor.Props); ok {
			child <- c.Spawn(m)
		}
	}))
	for i, spawn := range []func() *actor.PID{
		func() *actor.PID { return system.Root.Spawn(props) },
		func() *actor.PID { return system.Root.Spawn(props) },
		func() *actor.PID {
			pid, err := system.Root.SpawnNamed(props, "shop")
			require.NoError(t, err)
			return pid
		},
		func() *actor.PID {
			system.Root.Send(parent, props)
			return next(t, "the child", child)
		},
	} {
		write(t, j, "a", int64(i)+1, int64(i)+1)
		pid := spawn()
		require.NoError(t, outbox.NewClient(system.Root, pid).Flush(within(t)))
		require.NoError(t, system.Root.StopFuture(pid).Wait())
	}
	require.NoError(t, system.Root.StopFuture(parent).Wait())
	require.Equal(t, ids("a", 1, 4), s.received("a"), "each has gone on where the one before had stopped")
}

// counting is a scheduler that knows how many of its messages wait, for their time or in the mailbox.
type counting struct {
	root          *actor.RootContext
	waiting, most atomic.Int32
}

func (s *counting) SendOnce(d time.Duration, pid *actor.PID, message any) scheduler.CancelFunc {
	s.most.Store(max(s.most.Load(), s.waiting.Add(1)))
	timer := time.AfterFunc(d, func() { s.root.Send(pid, message) })
	return func() {
		if timer.Stop() {
			s.waiting.Add(-1)
		}
	}
}

func TestTicksDoNotPileUpBehindASlowMailbox(t *testing.T) {
	inSimulatedTime(t, func(t *testing.T) {
		j, s := memory.New(), &sink{}
		system := testkit.NewActorSystem(t)
		ticks := &counting{root: system.Root}
		var handled atomic.Int64
		slow := outbox.WithPropsOptions(actor.WithReceiverMiddleware(func(next actor.ReceiverFunc) actor.ReceiverFunc {
			return func(c actor.ReceiverContext, env *actor.MessageEnvelope) {
				if user(env.Message) {
					pass(50 * time.Millisecond)
				}
				if fmt.Sprintf("%T", env.Message) == "outbox.tick" {
					handled.Add(1)
					ticks.waiting.Add(-1)
				}
				next(c, env)
			}
		}))
		o := spawnIn(t, system, j, publisher.Props(publisher.Func(s.publish)), outbox.WithScheduler(ticks), slow)
		for seq := int64(1); seq <= 1000; seq++ { // each event is news, which the outbox looks at between the ticks
			write(t, j, "a", seq, seq)
			pass(10 * time.Millisecond)
		}
		o.flush(t)
		require.Greater(t, handled.Load(), int64(10))
		require.EqualValues(t, 2, ticks.most.Load(), "a tick, and the spare one")
	})
}

func TestACommandThatAStopDropsIsAnswered(t *testing.T) {
	inSimulatedTime(t, func(t *testing.T) {
		j, s, release := memory.New(), &sink{}, make(chan struct{})
		busy := outbox.WithAuthorize(func(actor.Context) error { <-release; return nil })
		o := spawn(t, j, publisher.Props(publisher.Func(s.publish)), busy)
		synctest.Wait()
		o.system.Root.Send(o.pid, &outboxv1.GetStatus{})
		synctest.Wait()
		answers := []<-chan error{
			async(func() error { return o.Flush(within(t)) }),
			async(func() error { return o.WaitPublished(within(t), "a", 1) }),
			async(func() error { return o.Drain(within(t), time.Second) }),
		}
		synctest.Wait() // they are queued
		o.system.Root.Stop(o.pid)
		close(release)
		for _, answer := range answers {
			require.ErrorIs(t, next(t, "an answer", answer), outbox.ErrStopped)
		}
	})
}

func TestAShutDownSystemsOutboxIsStoppedByItsJournal(t *testing.T) {
	inSimulatedTime(t, func(t *testing.T) {
		j, s := memory.New(), &sink{}
		system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
		o := spawnIn(t, system, j, publisher.Props(publisher.Func(s.publish)))
		o.flush(t)
		system.Shutdown()
		write(t, j, "a", 1, 3)
		o.flush(t)
		require.Equal(t, ids("a", 1, 3), s.received("a"), "it goes on")
		stopped := stoppedIn(t, system)
		require.NoError(t, j.Close())
		require.ErrorIs(t, next(t, "the stop", stopped).Err, query.ErrClosed)
	})
}

func TestTheOutboxSupervisesItsPublishersWhateverTheStrategy(t *testing.T) {
	for name, strategy := range map[string]actor.SupervisorStrategy{
		"stop": oneForOne(actor.StopDirective), "escalate": oneForOne(actor.EscalateDirective),
		"all for one": allForOne(actor.RestartDirective), "restarting": actor.NewRestartingStrategy(),
	} {
		simulated(t, name, func(t *testing.T) {
			j, b := memory.New(), &brittle{sink: &sink{}, lives: 20, moments: []string{onRequest}}
			var seen log
			write(t, j, "a", 1, 10)
			o := spawn(t, j, b.props(), outbox.WithLanes(1), outbox.WithPropsOptions(actor.WithSupervisor(strategy)), seen.option())
			o.flush(t)
			require.Equal(t, ids("a", 1, 10), b.received("a"))
			require.Zero(t, seen.count("*actor.Restarting"))
		})
	}
}

func TestItLogsToTheSystemsLoggerUnderItsName(t *testing.T) {
	inSimulatedTime(t, func(t *testing.T) {
		var out bytes.Buffer
		j, s := memory.New(), &sink{}
		system := testkit.NewActorSystem(t, actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
			return slog.New(slog.NewTextHandler(&out, nil))
		}))
		o := spawnIn(t, system, j, publisher.Props(publisher.Func(s.publish)))
		o.flush(t)
		o.stop(t)
		require.Contains(t, out.String(), "outbox=test")
	})
}

func TestPropsOptionsOfTheApplicationDoNotReplaceThoseOfTheOutbox(t *testing.T) {
	j, s := memory.New(), &sink{}
	var initialised atomic.Int32
	o := spawn(t, j, publisher.Props(publisher.Func(s.publish)), exploding(),
		outbox.WithPropsOptions(actor.WithOnInit(func(actor.Context) { initialised.Add(1) })))
	o.flush(t)
	o.system.Root.Send(o.pid, boom{})
	o.flush(t)
	require.EqualValues(t, 1, initialised.Load(), "a restart is no new actor")
	status, err := o.Status(within(t))
	require.NoError(t, err)
	require.EqualValues(t, 1, status.GetEpoch(), "what survives a restart is there")
}

func TestNoMessageIsTakenApartByTheMailbox(t *testing.T) {
	seen := 0
	protoregistry.GlobalTypes.RangeMessages(func(m protoreflect.MessageType) bool {
		if m.Descriptor().ParentFile().Package() == "outbox.v1" {
			seen++
			_, batch := m.New().Interface().(actor.MessageBatch)
			require.False(t, batch, m.Descriptor().FullName())
		}
		return true
	})
	require.NotZero(t, seen)
}
