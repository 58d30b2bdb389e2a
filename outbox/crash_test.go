package outbox_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/scheduler"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
)

// mine is code of the application that runs in the outbox's mailbox. Once armed, every so many calls of it panic, until
// that has happened often enough.
type mine struct {
	every, times  int32
	from          int64 // armed when so many events of each id are written
	armed         atomic.Bool
	calls, blasts atomic.Int32
}

func (m *mine) step() {
	if m.armed.Load() && m.calls.Add(1)%m.every == 0 && m.blasts.Load() < m.times {
		m.blasts.Add(1)
		panic("the application has a bug")
	}
}

// user reports whether a message is neither of the framework's lifecycle, in which a panic makes it lose track.
func user(message any) bool {
	_, system := message.(actor.SystemMessage)
	_, lifecycle := message.(actor.AutoReceiveMessage)
	return !system && !lifecycle
}

type minedScheduler struct {
	outbox.Scheduler
	mine *mine
}

func (s minedScheduler) SendOnce(d time.Duration, pid *actor.PID, message any) scheduler.CancelFunc {
	s.mine.step()
	return s.Scheduler.SendOnce(d, pid, message)
}

const beforeHandling = "middleware, before a message is handled"

// What an application may have run in the outbox's mailbox.
func minedOptions(system *actor.ActorSystem, m *mine) map[string]outbox.Option {
	receiver := func(before, after func()) outbox.Option {
		return outbox.WithPropsOptions(actor.WithReceiverMiddleware(func(next actor.ReceiverFunc) actor.ReceiverFunc {
			return func(c actor.ReceiverContext, env *actor.MessageEnvelope) {
				if user(env.Message) {
					before()
				}
				next(c, env)
				if user(env.Message) {
					after()
				}
			}
		}))
	}
	nothing := func() {}
	return map[string]outbox.Option{
		"its clock":              outbox.WithClock(func() time.Time { m.step(); return time.Now() }),
		"its scheduler":          outbox.WithScheduler(minedScheduler{scheduler.NewTimerScheduler(system.Root), m}),
		beforeHandling:           receiver(m.step, nothing),
		"middleware, after that": receiver(nothing, m.step),
		"middleware of what it sends": outbox.WithPropsOptions(actor.WithSenderMiddleware(func(next actor.SenderFunc) actor.SenderFunc {
			return func(c actor.SenderContext, to *actor.PID, env *actor.MessageEnvelope) { m.step(); next(c, to, env) }
		})),
	}
}

func TestAnOutboxThatPanicsInCodeOfTheApplicationLosesNothing(t *testing.T) {
	for directive, supervisor := range map[string]func() actor.SupervisorStrategy{
		"restarted": actor.NewRestartingStrategy,
		// What is in memory may be half done, and the message that would have gone on with it is lost.
		"resumed": func() actor.SupervisorStrategy { return oneForOne(actor.ResumeDirective) },
	} {
		t.Run(directive, func(t *testing.T) { panicsInCodeOfTheApplication(t, supervisor, directive == "resumed") })
	}
}

func panicsInCodeOfTheApplication(t *testing.T, supervisor func() actor.SupervisorStrategy, resumed bool) {
	const maxUnsaved, events = 16, 200
	for name := range minedOptions(testkit.NewActorSystem(t), nil) {
		for when, m := range map[string]*mine{
			"again and again, as it starts": {every: 1, times: 100},
			"now and then, as it publishes": {every: 7, times: 30, from: events / 4},
		} {
			if resumed && m.every == 1 && name == beforeHandling {
				continue // whatever is sent to it is lost, and it never learns that something was
			}
			simulated(t, name+", "+when, func(t *testing.T) {
				j, s := memory.New(), &sink{}
				m.armed.Store(m.from == 0)
				system := testkit.NewActorSystem(t)
				before := processes(system)
				// A journal that does not notify: no wake-up makes up for what is lost.
				parent, pid := spawnUnderParent(t, system, supervisor(), mute{j}, slow(s),
					minedOptions(system, m)[name], outbox.WithMaxUnsaved(maxUnsaved), outbox.WithSnapshots(j), outbox.WithPollInterval(50*time.Millisecond))
				streams := []string{"a", "b", "c"}
				for seq := int64(1); seq <= events; seq++ {
					for _, id := range streams {
						write(t, j, id, seq, seq)
					}
					if seq == m.from {
						m.armed.Store(true)
					}
					pass(time.Millisecond)
				}
				pass(5 * time.Minute)
				require.Equal(t, m.times, m.blasts.Load())
				require.NoError(t, outbox.NewClient(system.Root, pid).Flush(within(t)))
				repeats := 0
				for _, id := range streams {
					require.Equal(t, ids(id, 1, events), firsts(s.received(id)))
					repeats += len(s.received(id)) - events
				}
				require.LessOrEqual(t, repeats, int(m.times)*maxUnsaved)
				require.NoError(t, system.Root.StopFuture(parent).Wait())
				require.Equal(t, before, processes(system))
			})
		}
	}
}

// Subscribers of the event stream run in whoever publishes. At the crash of a publisher, that is the outbox.
func TestASubscriberThatPanicsAtTheCrashOfAPublisherCostsTheOutboxNoRestart(t *testing.T) {
	inSimulatedTime(t, func(t *testing.T) {
		j, b := memory.New(), &brittle{sink: &sink{}, lives: 20, moments: []string{onRequest}}
		var seen log
		o := spawn(t, j, b.props(), outbox.WithLanes(1), seen.option())
		subscription := o.system.EventStream.Subscribe(func(e any) {
			if _, ok := e.(*actor.SupervisorEvent); ok {
				panic("the subscriber has a bug")
			}
		})
		write(t, j, "a", 1, 10)
		o.flush(t)
		o.system.EventStream.Unsubscribe(subscription)
		require.Equal(t, ids("a", 1, 10), b.received("a"))
		require.Zero(t, seen.count("*actor.Restarting"))
	})
}

// If it were sent, nobody would be there to receive it, and whoever subscribes to dead letters would run in the
// goroutine of the call.
func TestACallThatFailsWhenTheOutboxIsGoneIsNotHeardOf(t *testing.T) {
	inSimulatedTime(t, func(t *testing.T) {
		j, s, release := newSpy(), &sink{}, make(chan struct{})
		j.hooks["Acquire"] = func(context.Context) error { <-release; return errDown }
		o := spawn(t, j, publisher.Props(publisher.Func(s.publish)))
		synctest.Wait()
		o.stop(t)
		dead := undelivered[any](t, o.system)
		close(release)
		synctest.Wait()
		require.Empty(t, dead())
	})
}
