package outboxtest

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/local"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// tick is how often an outbox looks at its journal, unless it is told otherwise.
const tick = 50 * time.Millisecond

// Tick lets 50 ms pass, the time between two looks at the journal: what was committed before is published.
func (k *Kit) Tick() {
	k.tb.Helper()
	k.Advance(tick)
}

// Advance lets d pass for the outboxes, tick by tick, each of which they finish. With 0 it only waits until they have
// finished what they were told, such as a Retry by the [Outbox.Client].
//
// A publish that a fault has hang is not waited for: it ends when its fault is healed, or when enough time has passed for
// its context to end.
func (k *Kit) Advance(d time.Duration) {
	k.tb.Helper()
	k.settle()
	for until := k.clock.Now().Add(d); k.clock.Now().Before(until); {
		k.step(until)
	}
}

// Now is the outboxes' time. It begins at 2000-01-01T00:00:00Z.
func (k *Kit) Now() time.Time { return k.clock.Now() }

// Clock is the outboxes' scheduler and clock, for actors whose time is to pass with theirs. The kit does not wait for these.
func (k *Kit) Clock() *testkit.ManualScheduler { return k.clock.ManualScheduler }

// step lets time pass until something is due.
func (k *Kit) step(until time.Time) {
	k.tb.Helper()
	k.clock.pass(until)
	k.settle()
}

// settle waits until nothing happens any more unless time passes.
func (k *Kit) settle() {
	k.tb.Helper()
	err := testkit.AwaitCondition(context.Background(), func() bool {
		for range 20 { // mostly, it is a matter of microseconds
			if k.atRest() {
				return true
			}
		}
		return false
	}, k.timeout)
	if err != nil {
		k.fatalf("after %v something is still going on: a publish, or a call into the journal, has not returned", k.timeout)
	}
}

// atRest looks twice: only if nothing was handled between two looks, nothing was on its way.
func (k *Kit) atRest() bool {
	first, quiet := k.look()
	if !quiet {
		return false
	}
	second, quiet := k.look()
	return quiet && slices.EqualFunc(second, first, local.Answer.Next)
}

// look asks every outbox, and reports whether none waits for more than calls that hang.
func (k *Kit) look() (answers []local.Answer, quiet bool) {
	calls := 0
	quiet = true
	for _, o := range k.outboxes {
		a, ok := o.look()
		if !ok {
			continue // it has stopped
		}
		answers = append(answers, a)
		hanging, _ := o.faults.hanging()
		quiet = quiet && a.InFlight == hanging
		calls += a.Calls
	}
	_, hanging := k.faults.hanging()
	return answers, quiet && calls == hanging
}

// clock is a manual scheduler that ends contexts as well.
type clock struct {
	*testkit.ManualScheduler

	mu        sync.Mutex
	deadlines map[*deadline]struct{}
}

type deadline struct {
	at  time.Time
	end context.CancelCauseFunc
}

func newClock(sender actor.SenderContext) *clock {
	return &clock{ManualScheduler: testkit.NewManualScheduler(sender), deadlines: map[*deadline]struct{}{}}
}

// pass lets time pass until something is due, but not beyond until.
func (c *clock) pass(until time.Time) {
	if due, ok := c.Next(); ok && due.Before(until) {
		until = due
	}
	c.mu.Lock()
	for d := range c.deadlines {
		if d.at.Before(until) {
			until = d.at
		}
	}
	c.mu.Unlock()
	c.Advance(until.Sub(c.Now()))
	c.mu.Lock()
	defer c.mu.Unlock()
	for d := range c.deadlines {
		if !d.at.After(until) {
			d.end(context.DeadlineExceeded)
			delete(c.deadlines, d)
		}
	}
}

// timed is a publisher whose calls have the time that they would have, by the kit's clock.
type timed struct {
	publisher.Publisher
	clock   *clock
	timeout atomic.Int64 // of each call, a time.Duration; an outbox has one for all; 0 or less is none
}

// Unwrap implements publisher.Wrapper.
func (t *timed) Unwrap() publisher.Publisher { return t.Publisher }

// props are those of the publisher actor. A request that reaches it has no time limit: that would be by the real clock, so
// that a slow machine or a breakpoint would make a difference.
func (t *timed) props() *actor.Props {
	return publisher.Props(t).Configure(actor.WithReceiverMiddleware(func(next actor.ReceiverFunc) actor.ReceiverFunc {
		return func(c actor.ReceiverContext, envelope *actor.MessageEnvelope) {
			if r, ok := envelope.Message.(*outboxv1.PublishRequest); ok {
				t.timeout.Store(int64(r.GetTimeout().AsDuration()))
				r.Timeout = nil // the outbox has made the request for this one child, and does not keep it
			}
			next(c, envelope)
		}
	}))
}

func (t *timed) Publish(ctx context.Context, events []publisher.Event) error {
	timeout := time.Duration(t.timeout.Load())
	if timeout <= 0 {
		return t.Publisher.Publish(ctx, events)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	d := &deadline{at: t.clock.Now().Add(timeout), end: cancel}
	t.clock.mu.Lock()
	t.clock.deadlines[d] = struct{}{}
	t.clock.mu.Unlock()
	defer func() {
		cancel(nil)
		t.clock.mu.Lock()
		defer t.clock.mu.Unlock()
		delete(t.clock.deadlines, d)
	}()
	return t.Publisher.Publish(ctx, events)
}
