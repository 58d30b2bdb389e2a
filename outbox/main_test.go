package outbox_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

func TestMain(m *testing.M) {
	// Whoever watches an actor that is gone makes a dead letter, which the framework counts in a goroutine for a second.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/asynkron/protoactor-go/actor.NewDeadLetter.NewThrottle.func4.1"))
}

// patience is how long a test waits for what must happen; what must happen takes milliseconds.
const patience = 20 * time.Second

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// write appends events first to last of the id, as a persistent actor would.
func write(t *testing.T, j *memory.Journal, id string, first, last int64) {
	t.Helper()
	for seq := first; seq <= last; seq++ {
		data, err := proto.Marshal(wrapperspb.String(fmt.Sprintf("%s/%d", id, seq)))
		require.NoError(t, err)
		e := query.Event{
			PersistenceID: id, SequenceNumber: seq, Type: "google.protobuf.StringValue",
			ContentType: "application/protobuf", Data: data,
		}
		_, err = rand.Read(e.UID[:])
		require.NoError(t, err)
		require.NoError(t, j.AppendEvent(context.Background(), e))
	}
}

// sink records what it was given, and fails where it is told to.
type sink struct {
	mu     sync.Mutex
	got    []string
	fail   func(e publisher.Event, attempt int) error
	trials map[string]int
}

func (s *sink) publish(_ context.Context, e publisher.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trials == nil {
		s.trials = make(map[string]int)
	}
	s.trials[e.ID()]++
	if s.fail != nil {
		if err := s.fail(e, s.trials[e.ID()]); err != nil {
			return err
		}
	}
	s.got = append(s.got, e.ID())
	return nil
}

// received returns the events of one id that the sink took, in order, with repeats.
func (s *sink) received(id string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var got []string
	for _, e := range s.got {
		if len(e) > len(id) && e[:len(id)+1] == id+"/" {
			got = append(got, e)
		}
	}
	return got
}

func (s *sink) attempts(event string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trials[event]
}

func ids(id string, first, last int) []string {
	var all []string
	for seq := first; seq <= last; seq++ {
		all = append(all, fmt.Sprintf("%s/%d", id, seq))
	}
	return all
}

// inSimulatedTime runs a test whose time passes only while everybody waits, and then at no cost. A goroutine that it
// leaves behind fails it.
func inSimulatedTime(t *testing.T, test func(*testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(func() { pass(time.Minute) }) // the last one to run: timers of the framework have their say
		test(t)
	})
}

// simulated runs a subtest in simulated time.
func simulated(t *testing.T, name string, test func(*testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { inSimulatedTime(t, test) })
}

// pass lets simulated time pass.
func pass(d time.Duration) { <-time.After(d) }

// running is an outbox in an actor system of its own.
type running struct {
	*outbox.Client
	system *actor.ActorSystem
	pid    *actor.PID
}

// spawn starts an outbox that is stopped, and gone, when the test ends.
func spawn(t *testing.T, j query.Journal, p *actor.Props, opts ...outbox.Option) running {
	t.Helper()
	return spawnIn(t, testkit.NewActorSystem(t), j, p, opts...)
}

func spawnIn(t *testing.T, system *actor.ActorSystem, j query.Journal, p *actor.Props, opts ...outbox.Option) running {
	t.Helper()
	opts = append([]outbox.Option{outbox.WithPollInterval(5 * time.Millisecond), outbox.WithBackoff(time.Millisecond, 20*time.Millisecond)}, opts...)
	props, err := outbox.Props("test", j, p, opts...)
	require.NoError(t, err)
	pid := system.Root.Spawn(props)
	r := running{Client: outbox.NewClient(system.Root, pid), system: system, pid: pid}
	t.Cleanup(func() { r.stop(t) })
	return r
}

func (r running) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, r.system.Root.StopFuture(r.pid).Wait())
}

func (r running) state(t *testing.T) outboxv1.State {
	t.Helper()
	status, err := r.Status(within(t))
	require.NoError(t, err)
	return status.GetState()
}

func (r running) flush(t *testing.T) {
	t.Helper()
	require.NoError(t, r.Flush(within(t)))
}

func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, patience, time.Millisecond, what)
}
