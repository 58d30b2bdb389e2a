package outbox_test

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// slow is a sink that takes a millisecond for each event, so that something is always under way.
func slow(s *sink) *actor.Props {
	return publisher.Props(publisher.Func(func(ctx context.Context, e publisher.Event) error {
		pass(time.Millisecond)
		return s.publish(ctx, e)
	}))
}

// family is an actor of the application that has outboxes of the same journal as children, and replaces one that is
// gone. Each publishes to a sink of its own.
type family struct {
	t     *testing.T
	props map[string]*actor.Props
	sinks map[string]*sink
	mu    sync.Mutex
	pids  map[string]*actor.PID // of the outboxes, by name
	ends  bool                  // it is stopped or restarted, and lets them go
}

func newFamily(t *testing.T, j query.Journal, names []string, opts ...outbox.Option) *family {
	t.Helper()
	f := &family{t: t, props: make(map[string]*actor.Props), sinks: make(map[string]*sink), pids: make(map[string]*actor.PID)}
	for _, name := range names {
		f.sinks[name] = &sink{}
		props, err := outbox.Props(name, j, slow(f.sinks[name]), opts...)
		require.NoError(t, err)
		f.props[name] = props
	}
	return f
}

func (f *family) Receive(c actor.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch m := c.Message().(type) {
	case *actor.Stopping, *actor.Restarting:
		f.ends = true
	case *actor.Started:
		f.ends = false
		for _, name := range slices.Sorted(maps.Keys(f.props)) {
			f.pids[name] = c.Spawn(f.props[name])
		}
	case *actor.Terminated:
		for name, pid := range f.pids {
			if pid.Equal(m.Who) && !f.ends {
				f.pids[name] = c.Spawn(f.props[name])
			}
		}
	}
}

func (f *family) pid(name string) *actor.PID {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pids[name]
}

// spawn spawns it under supervisors with these strategies, its own first: that is the one above the outboxes.
func (f *family) spawn(system *actor.ActorSystem, parents []actor.SupervisorStrategy) *actor.PID {
	props := actor.PropsFromProducer(func() actor.Actor { return f }, actor.WithSupervisor(parents[0]))
	for _, strategy := range parents[1:] {
		child := props
		props = actor.PropsFromFunc(func(c actor.Context) {
			if _, ok := c.Message().(*actor.Started); ok {
				c.Spawn(child)
			}
		}, actor.WithSupervisor(strategy))
	}
	return system.Root.Spawn(props)
}

func always(d actor.Directive) actor.DeciderFunc { return func(any) actor.Directive { return d } }

func oneForOne(d actor.Directive) actor.SupervisorStrategy {
	return actor.NewOneForOneStrategy(1000, time.Hour, always(d))
}

func allForOne(d actor.Directive) actor.SupervisorStrategy {
	return actor.NewAllForOneStrategy(1000, time.Hour, always(d))
}

func TestAnOutboxGoesOnUnderEveryStrategyOfItsSupervisors(t *testing.T) {
	const crashes, maxUnsaved = 10, 16
	for name, c := range map[string]struct {
		parents       []actor.SupervisorStrategy
		ends, sibling int // how often a crash ends the outbox, and the one beside it
	}{
		"one for one, restart":  {parents: []actor.SupervisorStrategy{oneForOne(actor.RestartDirective)}},
		"one for one, stop":     {parents: []actor.SupervisorStrategy{oneForOne(actor.StopDirective)}, ends: crashes},
		"one for one, resume":   {parents: []actor.SupervisorStrategy{oneForOne(actor.ResumeDirective)}},
		"one for one, escalate": {parents: []actor.SupervisorStrategy{oneForOne(actor.EscalateDirective), oneForOne(actor.RestartDirective)}, ends: crashes, sibling: crashes},
		"escalated twice": {
			parents: []actor.SupervisorStrategy{oneForOne(actor.EscalateDirective), allForOne(actor.EscalateDirective), oneForOne(actor.RestartDirective)},
			ends:    crashes, sibling: crashes,
		},
		"all for one, restart": {parents: []actor.SupervisorStrategy{allForOne(actor.RestartDirective)}},
		"all for one, stop":    {parents: []actor.SupervisorStrategy{allForOne(actor.StopDirective)}, ends: crashes, sibling: crashes},
		"all for one, resume":  {parents: []actor.SupervisorStrategy{allForOne(actor.ResumeDirective)}},
		"exponential backoff":  {parents: []actor.SupervisorStrategy{actor.NewExponentialBackoffStrategy(time.Minute, 10*time.Millisecond)}},
		"restarting":           {parents: []actor.SupervisorStrategy{actor.NewRestartingStrategy()}},
	} {
		simulated(t, name, func(t *testing.T) {
			j := memory.New()
			system := testkit.NewActorSystem(t)
			before := processes(system)
			stopped := eventsOf(t, system, func(e any) bool { _, ok := e.(*outbox.Stopped); return ok })
			f := newFamily(t, j, []string{"crashing", "sibling"}, fragile(func() {}), outbox.WithMaxUnsaved(maxUnsaved))
			top := f.spawn(system, c.parents)
			seq := int64(0)
			writeMore := func(n int64) {
				for range n {
					seq++
					for _, id := range []string{"a", "b", "c"} {
						write(t, j, id, seq, seq)
					}
				}
			}
			for range crashes {
				writeMore(10)
				pass(12 * time.Millisecond)
				system.Root.Send(f.pid("crashing"), &outboxv1.Flush{})
				synctest.Wait()
			}
			writeMore(10)
			pass(2 * time.Minute) // whatever has to be waited for

			ends := map[string]int{}
			for _, e := range stopped() {
				s := e.(*outbox.Stopped)
				ends[s.Name]++
				if s.Name == "crashing" {
					require.ErrorIs(t, s.Err, outbox.ErrCrashed)
				} else {
					require.NoError(t, s.Err, "it was well")
				}
			}
			require.Equal(t, c.ends, ends["crashing"])
			require.Equal(t, c.sibling, ends["sibling"])
			for name, s := range f.sinks {
				require.NoError(t, outbox.NewClient(system.Root, f.pid(name)).Flush(within(t)))
				repeats := 0
				for _, id := range []string{"a", "b", "c"} {
					require.Equal(t, ids(id, 1, int(seq)), firsts(s.received(id)), "%s: nothing is lost, and the order is kept", name)
					repeats += len(s.received(id)) - int(seq)
				}
				require.LessOrEqual(t, repeats, crashes*maxUnsaved)
			}
			require.NoError(t, system.Root.StopFuture(top).Wait())
			require.Equal(t, before, processes(system))
		})
	}
}

func TestUnderTheGuardianItIsStoppedWhenItCrashesTooOften(t *testing.T) {
	for name, c := range map[string]struct {
		opts    []outbox.Option
		every   time.Duration
		crashes int
		ends    bool
	}{
		"its default bears ten restarts in ten seconds": {crashes: 10},
		"and not one more":                              {crashes: 11, ends: true},
		"but any number, if they are few at a time":     {crashes: 40, every: 2 * time.Second},
		"another guardian may restart it without limit": {crashes: 40, opts: guardian(actor.NewRestartingStrategy())},
		"or with a pause":                               {crashes: 40, every: time.Second, opts: guardian(actor.NewExponentialBackoffStrategy(time.Minute, time.Millisecond))},
		"or not at all":                                 {crashes: 1, ends: true, opts: guardian(oneForOne(actor.StopDirective))},
	} {
		simulated(t, name, func(t *testing.T) {
			j, s := memory.New(), &sink{}
			system := testkit.NewActorSystem(t)
			o := spawnIn(t, system, j, slow(s), append(c.opts, fragile(func() {}))...)
			stopped := stoppedIn(t, system)
			for i := range c.crashes {
				write(t, j, "a", int64(i+1), int64(i+1))
				system.Root.Send(o.pid, &outboxv1.Flush{})
				pass(c.every)
				synctest.Wait()
			}
			last := c.crashes + 1
			write(t, j, "a", int64(last), int64(last))
			if c.ends {
				require.ErrorIs(t, next(t, "the stop", stopped).Err, outbox.ErrCrashed)
				o = spawnIn(t, system, j, slow(s))
			}
			o.flush(t)
			require.Empty(t, stopped)
			require.Equal(t, ids("a", 1, last), firsts(s.received("a")))
		})
	}
}

func guardian(strategy actor.SupervisorStrategy) []outbox.Option {
	return []outbox.Option{outbox.WithPropsOptions(actor.WithGuardian(strategy))}
}

func TestAStopBetweenACrashAndTheRestartThatItsSupervisorDelaysIsAStop(t *testing.T) {
	inSimulatedTime(t, func(t *testing.T) {
		j := memory.New()
		system := testkit.NewActorSystem(t)
		before := processes(system)
		f := newFamily(t, j, []string{"crashing"}, fragile(func() {}))
		top := f.spawn(system, []actor.SupervisorStrategy{actor.NewExponentialBackoffStrategy(time.Minute, time.Second)})
		write(t, j, "a", 1, 5)
		synctest.Wait()
		stopped := stoppedIn(t, system)
		system.Root.Send(f.pid("crashing"), &outboxv1.Flush{})
		synctest.Wait()
		require.NoError(t, system.Root.StopFuture(top).Wait())
		require.ErrorIs(t, next(t, "the stop", stopped).Err, outbox.ErrCrashed)
		pass(time.Minute)
		require.Empty(t, stopped)
		require.Equal(t, before, processes(system), "the restart that was to come brings nobody back")
	})
}
