package outbox_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// Each system stands for a process: they share nothing but the journal and the sink.
func TestAnOutboxMovesFromSystemToSystemWhileItPublishes(t *testing.T) {
	const moves, maxUnsaved = 10, 16
	for name, c := range map[string]struct {
		leave func(*testing.T, running) // before the next one comes, if it does
		err   error                     // that it stops with
		takes bool                      // the next one takes over while it is at work
	}{
		"by a stop":   {leave: func(t *testing.T, o running) { o.stop(t) }},
		"by a poison": {leave: func(t *testing.T, o running) { require.NoError(t, o.system.Root.PoisonFuture(o.pid).Wait()) }},
		"by a drain":  {leave: func(t *testing.T, o running) { require.NoError(t, o.Drain(within(t), time.Second)) }},
		"because its supervisor has given it up": {
			leave: func(t *testing.T, o running) {
				for range 11 {
					o.system.Root.Send(o.pid, &outboxv1.Flush{})
				}
				require.ErrorIs(t, o.Wait(within(t)), outbox.ErrCrashed)
			},
			err: outbox.ErrCrashed,
		},
		"by a take-over": {takes: true, err: outbox.ErrFenced},
	} {
		simulated(t, name, func(t *testing.T) {
			j, s := memory.New(), &sink{}
			systems := []*actor.ActorSystem{testkit.NewActorSystem(t), testkit.NewActorSystem(t)}
			before := processes(systems[0])
			stopped := []<-chan *outbox.Stopped{stoppedIn(t, systems[0]), stoppedIn(t, systems[1])}
			streams := []string{"a", "b", "c"}
			seq := int64(0)
			work := func(d time.Duration) { // events come while it publishes
				for end := time.Now().Add(d); time.Now().Before(end); pass(time.Millisecond) {
					seq++
					for _, id := range streams {
						write(t, j, id, seq, seq)
					}
				}
			}
			var o running
			for move := range moves {
				system := systems[move%2]
				after := spawnIn(t, system, j, slow(s), fragile(func() {}), outbox.WithMaxUnsaved(maxUnsaved))
				if c.takes && move > 0 {
					work(10 * time.Millisecond)
					end := next(t, "the end of the one that is fenced", stopped[(move+1)%2])
					require.ErrorIs(t, end.Err, c.err)
					require.True(t, end.PID.Equal(o.pid))
				}
				o = after
				work(10 * time.Millisecond)
				if c.leave != nil && move < moves-1 {
					c.leave(t, o)
					end := next(t, "its end", stopped[move%2])
					if c.err == nil {
						require.NoError(t, end.Err)
					} else {
						require.ErrorIs(t, end.Err, c.err)
					}
				}
			}
			o.flush(t)
			status, err := o.Status(within(t))
			require.NoError(t, err)
			require.EqualValues(t, moves, status.GetEpoch())
			repeats := 0
			for _, id := range streams {
				require.Equal(t, ids(id, 1, int(seq)), firsts(s.received(id)), "nothing is lost, and the order is kept")
				repeats += len(s.received(id)) - int(seq)
			}
			if name == "by a drain" {
				require.Zero(t, repeats, "a drain has everything recorded")
			}
			require.LessOrEqual(t, repeats, moves*maxUnsaved)
			o.stop(t)
			synctest.Wait()
			for _, system := range systems {
				require.Equal(t, before, processes(system))
			}
		})
	}
}
