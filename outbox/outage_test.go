package outbox_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/scheduler"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
)

// unhurried is a scheduler that sends nothing before a second has passed: an hour is then made of few ticks.
type unhurried struct{ outbox.Scheduler }

func (u unhurried) SendOnce(d time.Duration, pid *actor.PID, message any) scheduler.CancelFunc {
	return u.Scheduler.SendOnce(max(d, time.Second), pid, message)
}

func TestAnHourWithoutJournalOrSinkUsesUpNoRestartAndCostsLittle(t *testing.T) {
	const (
		streams    = 12
		leastWait  = 15 * time.Second // between two attempts, once the backoff is at its most
		longest    = 30 * time.Second
		leastTries = int(time.Hour / (longest + 10*time.Second) / 2) // a call may take 10 s to fail, and a publish 30
		mostTries  = int(time.Hour/leastWait) + 20
	)
	methods := []string{"Acquire", "Load", "Save", "Head", "Events", "EventsByPersistenceID"}
	for _, c := range []conduct{failing, panicking, hanging} {
		for _, what := range []string{"journal", "sink"} {
			for _, when := range []string{"from the start", "while it runs"} {
				simulated(t, fmt.Sprintf("the %s, %s: each call %s", what, when, c.name), func(t *testing.T) {
					s := &scene{t: t, j: newSpy(), s: &sink{}}
					system := testkit.NewActorSystem(t)
					var down atomic.Bool
					var published atomic.Int32
					p := publisher.Props(publisher.Func(func(ctx context.Context, e publisher.Event) error {
						if down.Load() {
							published.Add(1)
							return c.call(s, ctx)
						}
						return s.s.publish(ctx, e)
					}))
					begin, end := func() { down.Store(true) }, func() { down.Store(false) }
					tries := func() int { return int(published.Load()) }
					if what == "journal" {
						begin = func() {
							for _, m := range methods {
								s.have(m, c)
							}
						}
						end = func() { s.j.fail(nil, methods...) }
						// The one that goes on all the time, and comes before the others.
						first := "Events"
						if when == "from the start" {
							first = "Load"
						}
						tries = func() int { return s.j.count(first) }
					}

					failures := eventsOf(t, system, func(e any) bool { _, ok := e.(*actor.SupervisorEvent); return ok })
					if when == "from the start" {
						begin()
					}
					// Its first failure would be the end of it.
					parent, pid := spawnUnderParent(t, system, actor.NewOneForOneStrategy(0, 0, actor.DefaultDecider), s.j, p,
						outbox.WithScheduler(unhurried{scheduler.NewTimerScheduler(system.Root)}), outbox.WithLanes(1),
						outbox.WithBackoff(100*time.Millisecond, longest))
					client := outbox.NewClient(system.Root, pid)
					last := int64(0)
					more := func() {
						last += 5
						for i := range streams {
							write(t, s.j.Journal, fmt.Sprint("id-", i), last-4, last)
						}
					}
					more()
					if when == "while it runs" {
						require.NoError(t, client.Flush(within(t)))
						begin()
						more()
					}
					before := tries()
					pass(time.Hour)
					require.GreaterOrEqual(t, tries()-before, leastTries, "it keeps trying")
					require.LessOrEqual(t, tries()-before, mostTries, "but not too often")
					end()
					pass(2 * longest)
					more()
					require.NoError(t, client.Flush(within(t)))
					for i := range streams {
						id := fmt.Sprint("id-", i)
						require.Equal(t, ids(id, 1, int(last)), s.s.received(id))
					}
					for _, f := range failures() {
						require.False(t, pid.Equal(f.(*actor.SupervisorEvent).Child), "the outbox itself has not failed")
					}
					require.NoError(t, system.Root.StopFuture(parent).Wait())
				})
			}
		}
	}
}
