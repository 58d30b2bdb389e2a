package outbox_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// A short drain, and how late it may notice that its time is over.
const (
	shortDrain = 100 * time.Millisecond
	grain      = 50 * time.Millisecond
)

// waysToStop tell an outbox to stop and return when it has.
func waysToStop() map[string]func(*scene, *actor.PID, *actor.PID) error {
	return map[string]func(s *scene, parent, pid *actor.PID) error{
		"by Stop":   func(s *scene, _, pid *actor.PID) error { return s.system.Root.StopFuture(pid).Wait() },
		"by Poison": func(s *scene, _, pid *actor.PID) error { return s.system.Root.PoisonFuture(pid).Wait() },
		"with its parent": func(s *scene, parent, _ *actor.PID) error {
			return s.system.Root.StopFuture(parent).Wait()
		},
		"by a short drain": func(s *scene, _, _ *actor.PID) error {
			if err := s.client.Drain(within(s.t), shortDrain); err != nil {
				require.ErrorIs(s.t, err, outbox.ErrDrainDeadline)
			}
			return nil
		},
	}
}

func TestAStopEndsAtAnyStageWithinItsBoundAndLosesNothing(t *testing.T) {
	for _, at := range allStages() {
		simulated(t, at.name, func(t *testing.T) {
			system := testkit.NewActorSystem(t)
			before := processes(system)
			for way, stop := range waysToStop() {
				t.Log("stopped ", way)
				stopAt(t, system, at, way, stop)
			}
			require.Equal(t, before, processes(system), "no child, call or reservation is left")
		})
	}
}

func stopAt(t *testing.T, system *actor.ActorSystem, at stage, way string, stop func(*scene, *actor.PID, *actor.PID) error) {
	t.Helper()
	const maxUnsaved, old, all = 16, 4, 24
	s := &scene{t: t, j: newSpy(), s: &sink{}, system: system, release: make(chan struct{})}
	release := sync.OnceFunc(func() { close(s.release) })
	t.Cleanup(release)
	deliver := publisher.Props(publisher.Func(s.s.publish))
	opts := []outbox.Option{outbox.WithLanes(1), outbox.WithMaxUnsaved(maxUnsaved)}
	streams := []string{"a", "b", "c"}
	writeAll := func(first, last int64) {
		for seq := first; seq <= last; seq++ {
			for _, id := range streams {
				write(t, s.j.Journal, id, seq, seq)
			}
		}
	}
	writeAll(1, old)
	earlier := spawnIn(t, system, s.j, deliver, opts...)
	earlier.flush(t)
	earlier.stop(t)
	writeAll(old+1, all)

	if at.before != nil {
		at.before(s)
	}
	p := deliver
	if at.publisher != nil {
		p = at.publisher(s)
	}
	parent, pid := spawnUnderParent(t, system, nil, s.j, p, append(opts, at.opts...)...)
	s.client = outbox.NewClient(system.Root, pid)
	published := async(func() error { return s.client.WaitPublished(within(t), "a", all) })
	flushed := async(func() error { return s.client.Flush(within(t)) })
	synctest.Wait()
	if at.after != nil {
		at.after(s)
		synctest.Wait()
	}

	stopped, begun := stoppedIn(t, system), time.Now()
	require.NoError(t, stop(s, parent, pid))
	require.LessOrEqual(t, time.Since(begun), at.takes+shortDrain+grain)
	_, there := system.ProcessRegistry.GetLocal(pid.Id)
	require.False(t, there)
	end := next(t, "Stopped", stopped)
	if drains := way == "by a short drain" || at.drains; drains && (!at.done || at.busy) && end.Err != nil {
		require.ErrorIs(t, end.Err, outbox.ErrDrainDeadline)
	} else {
		require.NoError(t, end.Err)
	}
	require.Equal(t, "test", end.Name)
	require.True(t, end.PID.Equal(pid))
	late := eventsOf(t, system, func(e any) bool {
		dead, ok := e.(*actor.DeadLetterEvent)
		return ok && pid.Equal(dead.PID) && user(dead.Message)
	})
	require.Equal(t, at.unreturned, end.Unreturned, "the calls into the journal that it leaves behind")
	require.Len(t, end.Abandoned, at.abandoned)
	for what, answer := range map[string]<-chan error{"WaitPublished": published, "Flush": flushed} {
		if err := next(t, what, answer); at.done {
			require.NoError(t, err, what)
		} else {
			require.ErrorIs(t, err, at.answer(), what)
		}
	}
	require.NoError(t, system.Root.StopFuture(parent).Wait())
	pass(5 * time.Minute)
	require.Empty(t, stopped, "it says so once")
	require.Empty(t, late(), "no timer and no call has anything to tell it")

	release()
	for _, heal := range s.heal {
		heal()
	}
	synctest.Wait()
	following := spawnIn(t, system, s.j, deliver, opts...)
	following.flush(t)
	following.stop(t)
	repeats := 0
	for _, id := range streams {
		require.Equal(t, ids(id, 1, all), firsts(s.s.received(id)), "nothing is lost, and the order is kept")
		repeats += len(s.s.received(id)) - all
	}
	if at.done {
		require.Zero(t, repeats, "what was settled was saved, by then or by the stop")
	}
	require.LessOrEqual(t, repeats, maxUnsaved)
}

// spawnUnderParent spawns an outbox as the child of an actor with this supervisor strategy, or the default one. The
// parent is stopped when the test ends.
func spawnUnderParent(t *testing.T, system *actor.ActorSystem, strategy actor.SupervisorStrategy, j query.Journal, p *actor.Props, opts ...outbox.Option) (parent, pid *actor.PID) {
	t.Helper()
	opts = append([]outbox.Option{outbox.WithPollInterval(5 * time.Millisecond), outbox.WithBackoff(time.Millisecond, 20*time.Millisecond)}, opts...)
	props, err := outbox.Props("test", j, p, opts...)
	require.NoError(t, err)
	child := make(chan *actor.PID, 1)
	var supervision []actor.PropsOption
	if strategy != nil {
		supervision = append(supervision, actor.WithSupervisor(strategy))
	}
	parent = system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		if _, ok := c.Message().(*actor.Started); ok {
			child <- c.Spawn(props)
		}
	}, supervision...))
	t.Cleanup(func() { require.NoError(t, system.Root.StopFuture(parent).Wait()) })
	return parent, next(t, "the outbox", child)
}
