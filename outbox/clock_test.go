package outbox_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/scheduler"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
)

// crashing is a publisher that crashes as soon as it is spawned.
func crashing(spawned *atomic.Int32) *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor {
		spawned.Add(1)
		return actor.ReceiveFunc(func(c actor.Context) {
			if _, ok := c.Message().(*actor.Started); ok {
				panic("the publisher has a bug")
			}
		})
	})
}

func TestAStopLeavesNoTimerBehind(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(*spy)
		crash   bool
		timers  int // before the stop
	}{
		"at idle":                           {timers: 2},
		"while it waits to respawn":         {crash: true, timers: 3},
		"while it waits to recover offsets": {prepare: func(j *spy) { j.fail(errDown, "Acquire") }, timers: 2},
	} {
		t.Run(name, func(t *testing.T) {
			j, s := newSpy(), &sink{}
			p := publisher.Props(publisher.Func(s.publish))
			if c.crash {
				p = crashing(new(atomic.Int32))
			}
			if c.prepare != nil {
				c.prepare(j)
			}
			o := spawnTimed(t, j, p, outbox.WithLanes(1))
			await(t, "it waits", func() bool { return o.clock.Pending() == c.timers })
			o.stop(t)
			require.Zero(t, o.clock.Pending())
		})
	}
	t.Run("while it waits for the name", func(t *testing.T) {
		j, s := memory.New(), &sink{}
		first := spawn(t, j, publisher.Props(publisher.Func(s.publish)))
		first.flush(t)
		clock := testkit.NewManualScheduler(first.system.Root)
		second := spawnIn(t, first.system, j, publisher.Props(publisher.Func(s.publish)), outbox.WithScheduler(clock), outbox.WithClock(clock.Now))
		await(t, "it waits", func() bool { return clock.Pending() == 2 })
		second.stop(t)
		require.Zero(t, clock.Pending())
		first.flush(t) // and the name is still the first one's
	})
}

func TestARestartLeavesNoTimerBehind(t *testing.T) {
	j := newSpy()
	var spawned atomic.Int32
	o := spawnTimed(t, j, crashing(&spawned), outbox.WithLanes(3), exploding())
	await(t, "the publishers are to be respawned", func() bool { return o.clock.Pending() == 5 })
	j.fail(errDown, "Acquire")
	o.system.Root.Send(o.pid, boom{})
	await(t, "the next instance waits to try again", func() bool {
		status, err := o.Status(within(t))
		return err == nil && strings.Contains(status.GetReason(), errDown.Error())
	})
	require.Equal(t, 2, j.count("Acquire"))
	require.Equal(t, 2, o.clock.Pending(), "that, and the spare tick, is all it waits for")
	o.stop(t)
	require.Zero(t, o.clock.Pending())
}

func TestACrashedPublisherIsReplacedAfterAWaitThatGrows(t *testing.T) {
	j := newSpy()
	var spawned atomic.Int32
	o := spawnTimed(t, j, crashing(&spawned), outbox.WithLanes(1), outbox.WithBackoff(time.Second, time.Minute))
	const step = 10 * time.Millisecond
	least := 500 * time.Millisecond // the shortest wait, and half the longest
	for crashes := int32(1); crashes <= 4; crashes++ {
		await(t, "it has noticed", func() bool { return spawned.Load() == crashes && o.clock.Pending() == 3 })
		var waited time.Duration
		for ; spawned.Load() == crashes && waited < time.Minute; waited += step {
			o.pass(t, step, step)
		}
		require.Equal(t, crashes+1, spawned.Load())
		require.GreaterOrEqual(t, waited, least-step)
		require.LessOrEqual(t, waited, 2*least+step)
		least *= 2
	}
}

func TestAPublisherMayAskForTime(t *testing.T) {
	j := memory.New()
	system := testkit.NewActorSystem(t)
	clock := testkit.NewManualScheduler(system.Root)
	attempts := make(chan time.Time, 10)
	p := publisher.Props(publisher.Func(func(context.Context, publisher.Event) error {
		attempts <- clock.Now()
		if len(attempts) == 1 {
			return publisher.RetryAfter(errors.New("too many requests"), 30*time.Second)
		}
		return nil
	}))
	write(t, j, "a", 1, 1)
	o := timed{clock: clock, running: spawnIn(t, system, j, p, outbox.WithScheduler(clock), outbox.WithClock(clock.Now))}
	o.until(t, "it is tried again", func() bool { return len(attempts) == 2 })
	first, second := <-attempts, <-attempts
	require.GreaterOrEqual(t, second.Sub(first), 30*time.Second)
	require.Less(t, second.Sub(first), 32*time.Second)
}

func TestNotificationsGoOn(t *testing.T) {
	j, s := memory.New(), &sink{}
	o := spawnTimed(t, j, publisher.Props(publisher.Func(s.publish)))
	o.flush(t)
	for seq := range int64(5) {
		write(t, j, "a", seq+1, seq+1)
		await(t, "no time passes, but the journal says so", func() bool { return len(s.received("a")) == int(seq)+1 })
	}
}

// lossy is a scheduler that loses a message when it is told to.
type lossy struct {
	*testkit.ManualScheduler
	lose, lost atomic.Bool
}

func (l *lossy) SendOnce(d time.Duration, pid *actor.PID, message any) scheduler.CancelFunc {
	if d > 0 && l.lose.CompareAndSwap(true, false) {
		l.lost.Store(true)
		return func() {}
	}
	return l.ManualScheduler.SendOnce(d, pid, message)
}

func TestALostTickIsMadeUpFor(t *testing.T) {
	j, s := memory.New(), &sink{}
	system := testkit.NewActorSystem(t)
	write(t, j, "a", 1, 1)
	ticks := &lossy{ManualScheduler: testkit.NewManualScheduler(system.Root)}
	o := timed{clock: ticks.ManualScheduler, running: spawnIn(t, system, mute{j}, publisher.Props(publisher.Func(s.publish)),
		outbox.WithScheduler(ticks), outbox.WithClock(ticks.Now), outbox.WithSnapshots(j), outbox.WithPollInterval(time.Second))}
	o.flush(t)
	ticks.lose.Store(true)
	o.until(t, "a tick is lost", ticks.lost.Load)
	write(t, j, "a", 2, 2) // the journal does not notify, and a Status asks for no reading
	o.until(t, "it ticks again by itself", func() bool { return len(s.received("a")) == 2 })
}

func TestIdleCostsOneReadPerPoll(t *testing.T) {
	for name, c := range map[string]struct {
		notifies bool
		every    time.Duration
	}{
		"a journal that does not notify": {every: 50 * time.Millisecond},
		"a journal that notifies":        {notifies: true, every: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			j, s := newSpy(), &sink{}
			opts := []outbox.Option{outbox.WithPollInterval(50 * time.Millisecond), outbox.WithSnapshots(j)}
			p := publisher.Props(publisher.Func(s.publish))
			write(t, j.Journal, "a", 1, 3)
			var o timed
			if c.notifies {
				o = spawnTimed(t, j, p, opts...)
			} else {
				o = spawnTimed(t, mute{j}, p, opts...)
			}
			o.flush(t)
			o.pass(t, 3*time.Second, 50*time.Millisecond) // what there was to do is done
			readNow := func() bool {
				status, err := o.Status(within(t))
				return err == nil && status.GetLastRead().AsTime().Equal(o.clock.Now())
			}
			o.until(t, "it reads", readNow) // so that the time of the next one is known
			before := j.all()
			const polls = 8
			for range polls {
				o.pass(t, c.every-50*time.Millisecond, 50*time.Millisecond)
				o.clock.Advance(50 * time.Millisecond)
				await(t, "it reads", readNow)
			}
			after := j.all()
			require.Equal(t, polls, after["Events"]-before["Events"])
			for _, method := range []string{"Save", "Acquire", "LastSequenceNumber"} {
				require.Equal(t, before[method], after[method], method)
			}
			looks := 1 + int(polls*c.every/(5*time.Second))
			for _, method := range []string{"Load", "Head", "EventsByPersistenceID"} {
				require.LessOrEqual(t, after[method]-before[method], looks, method)
			}
		})
	}
}

func TestWhoIsReplacedWithoutHavingAnythingToSaveFindsOut(t *testing.T) {
	j, s := newSpy(), &sink{}
	o := spawnTimed(t, j, publisher.Props(publisher.Func(s.publish)))
	o.flush(t)
	stopped := stoppedIn(t, o.system)
	takeOver(t, j.Journal)
	o.until(t, "it stops", func() bool { return len(stopped) > 0 })
	require.ErrorIs(t, next(t, "the stop", stopped).Err, outbox.ErrFenced)
	require.Zero(t, j.count("Save"))
}

// An answer that is late says what it says, but the next look is by the latest one.
func TestALateAnswerToALookDoesNotPutOffTheNextOne(t *testing.T) {
	j, s := newSpy(), &sink{}
	var seen log
	o := spawnTimed(t, j, publisher.Props(publisher.Func(s.publish)), seen.option())
	o.flush(t)
	var first atomic.Bool
	release := make(chan struct{})
	j.set(func(j *spy) {
		j.hooks["Load"] = func(context.Context) error {
			if first.CompareAndSwap(false, true) {
				<-release
			}
			return nil
		}
	})
	o.until(t, "a second look is answered, the first one is not", func() bool { return first.Load() && seen.count("outbox.looked") == 1 })
	looks := j.count("Load")
	o.pass(t, 4*time.Second, 50*time.Millisecond)
	close(release)
	await(t, "the first one is, too", func() bool { return seen.count("outbox.looked") == 2 })
	require.Equal(t, looks, j.count("Load"))
	o.pass(t, 2500*time.Millisecond, 50*time.Millisecond)
	await(t, "it looks again", func() bool { return j.count("Load") == looks+1 })
}
