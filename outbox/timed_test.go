package outbox_test

import (
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// timed is an outbox whose time passes only by the test.
type timed struct {
	running
	clock *testkit.ManualScheduler
}

func spawnTimed(t *testing.T, j query.Journal, p *actor.Props, opts ...outbox.Option) timed {
	t.Helper()
	return spawnTimedIn(t, testkit.NewActorSystem(t), j, p, opts...)
}

func spawnTimedIn(t *testing.T, system *actor.ActorSystem, j query.Journal, p *actor.Props, opts ...outbox.Option) timed {
	t.Helper()
	clock := testkit.NewManualScheduler(system.Root)
	opts = append([]outbox.Option{outbox.WithScheduler(clock), outbox.WithClock(clock.Now)}, opts...)
	return timed{running: spawnIn(t, system, j, p, opts...), clock: clock}
}

// pass lets time pass in steps. Each is over when the outbox has taken notice, unless it has stopped, and the goroutines
// that it has started have had a moment.
func (o timed) pass(t *testing.T, d, step time.Duration) {
	t.Helper()
	await(t, "time passes", func() bool {
		o.advance(t, min(d, step))
		d -= step
		return d <= 0
	})
}

// until lets time pass, as much as it takes, until what must happen has happened.
func (o timed) until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	await(t, what, func() bool {
		if condition() {
			return true
		}
		o.advance(t, 50*time.Millisecond)
		return false
	})
}

func (o timed) advance(t *testing.T, d time.Duration) {
	t.Helper()
	o.clock.Advance(d)
	_, _ = o.Status(within(t))
}

// frozen is a clock that stands still, for an outbox whose timers run: nothing that a look at the clock causes happens.
func frozen() outbox.Option {
	return outbox.WithClock(func() time.Time { return time.Unix(1e9, 0) })
}
