package outbox_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// mute is a journal that does not notify, and keeps no snapshots.
type mute struct{ query.Journal }

// faulty is a journal in which calls fail, or panic, for as long as down is set.
type faulty struct {
	*memory.Journal
	down   atomic.Bool
	panics atomic.Bool
	calls  atomic.Int32
	// lose says that saves succeed and answer with an error.
	lose atomic.Bool
}

var errDown = errors.New("the database is down")

func (f *faulty) check() error {
	f.calls.Add(1)
	if f.panics.Load() {
		panic(errDown)
	}
	if f.down.Load() {
		return errDown
	}
	return nil
}

func (f *faulty) Events(ctx context.Context, after query.Offset, filter query.Filter, limits query.Limits) (query.Page, error) {
	if err := f.check(); err != nil {
		return query.Page{}, err
	}
	return f.Journal.Events(ctx, after, filter, limits)
}

func (f *faulty) Acquire(ctx context.Context, key string, held, seen int64) (query.Saved, error) {
	if err := f.check(); err != nil {
		return query.Saved{}, err
	}
	return f.Journal.Acquire(ctx, key, held, seen)
}

func (f *faulty) Save(ctx context.Context, key string, s query.Saved) error {
	if err := f.check(); err != nil {
		return err
	}
	err := f.Journal.Save(ctx, key, s)
	if err == nil && f.lose.Load() {
		return errDown
	}
	return err
}

func TestAJournalThatFailsForAWhileUsesUpNoRestart(t *testing.T) {
	for name, begin := range map[string]func(*faulty){
		"errors": func(f *faulty) { f.down.Store(true) },
		"panics": func(f *faulty) { f.panics.Store(true) },
	} {
		for _, when := range []string{"from the start", "while it runs"} {
			t.Run(name+" "+when, func(t *testing.T) {
				f, s := &faulty{Journal: memory.New()}, &sink{}
				write(t, f.Journal, "a", 1, 3)
				if when == "from the start" {
					begin(f)
				}
				o := spawn(t, f, publisher.Props(publisher.Func(s.publish)))
				if when != "from the start" {
					o.flush(t)
					begin(f)
				}
				var restarts atomic.Int32
				subscription := o.system.EventStream.Subscribe(func(event any) {
					if _, ok := event.(*actor.SupervisorEvent); ok {
						restarts.Add(1)
					}
				})
				defer o.system.EventStream.Unsubscribe(subscription)
				write(t, f.Journal, "a", 4, 6)
				before := f.calls.Load()
				await(t, "it keeps trying", func() bool { return f.calls.Load() > before+5 })
				f.down.Store(false)
				f.panics.Store(false)
				o.flush(t)
				require.Equal(t, ids("a", 1, 6), s.received("a"))
				require.Zero(t, restarts.Load())
			})
		}
	}
}

func TestASaveThatSucceedsUnheardCounts(t *testing.T) {
	f, s := &faulty{Journal: memory.New()}, &sink{}
	f.lose.Store(true)
	write(t, f.Journal, "a", 1, 3)
	o := spawn(t, f, publisher.Props(publisher.Func(s.publish)))
	o.flush(t)
}

func TestASecondOutboxOfTheNameInOneSystemIsRefused(t *testing.T) {
	j, s := memory.New(), &sink{}
	first := spawn(t, j, publisher.Props(publisher.Func(s.publish)))
	first.flush(t)
	props, err := outbox.Props("test", j, publisher.Props(publisher.Func(s.publish)), outbox.WithClock(leaping()))
	require.NoError(t, err)
	stopped := stoppedIn(t, first.system)
	first.system.Root.Spawn(props)
	require.ErrorIs(t, (<-stopped).Err, outbox.ErrNameInUse)
	write(t, j, "a", 1, 1)
	first.flush(t)
}

func TestASecondOutboxOfTheNameWaitsForTheFirstToGo(t *testing.T) {
	j, s := memory.New(), &sink{}
	first := spawn(t, j, publisher.Props(publisher.Func(s.publish)))
	first.flush(t)
	second := spawnIn(t, first.system, j, publisher.Props(publisher.Func(s.publish)))
	status, err := second.Status(within(t))
	require.NoError(t, err)
	require.Contains(t, status.GetReason(), "waiting")
	first.stop(t)
	write(t, j, "a", 1, 1)
	second.flush(t)
	require.Equal(t, ids("a", 1, 1), s.received("a"))
}

func TestAnOutboxThatWasReplacedElsewhereIsFencedAndStops(t *testing.T) {
	j, s := memory.New(), &sink{}
	old := spawn(t, j, publisher.Props(publisher.Func(s.publish)))
	old.flush(t)
	stopped := stoppedIn(t, old.system)
	reason := make(chan error, 1)
	go func() { reason <- old.Wait(context.Background()) }()

	replacement := spawn(t, j, publisher.Props(publisher.Func(s.publish)))
	replacement.flush(t)
	write(t, j, "a", 1, 10)
	require.ErrorIs(t, (<-stopped).Err, outbox.ErrFenced)
	if err := <-reason; !errors.Is(err, outbox.ErrStopped) {
		require.ErrorIs(t, err, outbox.ErrFenced)
	}
	write(t, j, "a", 11, 20)
	replacement.flush(t)
	require.Equal(t, ids("a", 1, 20), firsts(s.received("a")))
}

func TestADamagedSnapshotIsNotTakenForNone(t *testing.T) {
	j, s := memory.New(), &sink{}
	write(t, j, "a", 1, 3)
	first := spawn(t, j, publisher.Props(publisher.Func(s.publish)))
	first.flush(t)
	first.stop(t)
	saved, err := j.Load(within(t), "outbox/test")
	require.NoError(t, err)
	saved.Data[len(saved.Data)/2] ^= 1
	saved.Index++
	require.NoError(t, j.Save(within(t), "outbox/test", saved))

	props, err := outbox.Props("test", j, publisher.Props(publisher.Func(s.publish)))
	require.NoError(t, err)
	stopped := stoppedIn(t, first.system)
	first.system.Root.Spawn(props)
	require.ErrorIs(t, (<-stopped).Err, outbox.ErrCorruptSnapshot)
	require.Equal(t, ids("a", 1, 3), s.received("a"))
}

// stoppedIn returns the outboxes of the system that stop from now on.
func stoppedIn(t *testing.T, system *actor.ActorSystem) <-chan *outbox.Stopped {
	t.Helper()
	stopped := make(chan *outbox.Stopped, 256)
	subscription := system.EventStream.Subscribe(func(event any) {
		if s, ok := event.(*outbox.Stopped); ok {
			stopped <- s
		}
	})
	t.Cleanup(func() { system.EventStream.Unsubscribe(subscription) })
	return stopped
}

// leaping is a clock that jumps: whatever waits for time does not wait.
func leaping() func() time.Time {
	var n atomic.Int64
	return func() time.Time { return time.Unix(0, 0).Add(time.Duration(n.Add(1)) * 6 * time.Second) }
}
