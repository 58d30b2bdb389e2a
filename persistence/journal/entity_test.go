package journal_test

import (
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/persistence"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// deadline is how long a test waits for what must happen.
const deadline = 10 * time.Second

// entity is a persistent actor whose state is the list of its events. It does what it is told by a message of type
// do, in its own goroutine.
type entity struct {
	persistence.Mixin
	state     []string
	recovered bool // ReplayComplete has come

	onRequest  func(*entity, actor.Context) // asked for a snapshot
	onStarted  func(*entity, actor.Context)
	onStopping func(*entity, actor.Context)
}

type do func(*entity, actor.Context)

func (e *entity) Receive(c actor.Context) {
	call := func(f func(*entity, actor.Context)) {
		if f != nil {
			f(e, c)
		}
	}
	switch msg := c.Message().(type) {
	case *actor.Started:
		call(e.onStarted)
	case *actor.Stopping:
		call(e.onStopping)
	case do:
		msg(e, c)
	case *wrapperspb.StringValue: // an event
		e.state = append(e.state, msg.Value)
	case *wrapperspb.BytesValue: // a snapshot
		e.state = strings.Fields(string(msg.Value))
	case *persistence.ReplayComplete:
		e.recovered = true
	case *persistence.RequestSnapshot:
		call(e.onRequest)
	}
}

func event(name string) proto.Message { return wrapperspb.String(name) }

func (e *entity) snapshot() proto.Message {
	return wrapperspb.Bytes([]byte(strings.Join(e.state, " ")))
}

// happens persists an event and applies it, as persistent actors do.
func (e *entity) happens(names ...string) {
	for _, name := range names {
		e.PersistReceive(event(name))
		e.state = append(e.state, name)
	}
}

// world is an actor system with a journal in it.
type world struct {
	t        *testing.T
	system   *actor.ActorSystem
	store    journal.Store
	failures chan any // the reasons that supervisors were given
}

func newWorld(t *testing.T, store journal.Store) *world {
	w := &world{t: t, system: testkit.NewActorSystem(t), store: store, failures: make(chan any, 100)}
	w.system.EventStream.Subscribe(func(e any) {
		if failed, ok := e.(*actor.SupervisorEvent); ok {
			w.failures <- failed.Reason
		}
	})
	return w
}

// spawn starts an entity under the name "entity-1".
func (w *world) spawn(producer func() *entity, opts ...journal.UsingOption) *actor.PID {
	w.t.Helper()
	return w.spawnWith(producer, actor.WithReceiverMiddleware(journal.Using(w.store, opts...)))
}

func (w *world) spawnWith(producer func() *entity, opts ...actor.PropsOption) *actor.PID {
	w.t.Helper()
	pid, err := w.system.Root.SpawnNamed(actor.PropsFromProducer(func() actor.Actor { return producer() }, opts...), "entity-1")
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = w.system.Root.StopFuture(pid).Wait() }) // the test may have stopped it
	return pid
}

func plain() *entity { return new(entity) }

// in runs fn in the actor and waits for its end.
func (w *world) in(pid *actor.PID, fn func(*entity, actor.Context)) {
	w.t.Helper()
	done := make(chan struct{})
	w.system.Root.Send(pid, do(func(e *entity, c actor.Context) { fn(e, c); close(done) }))
	select {
	case <-done:
	case reason := <-w.failures:
		require.FailNow(w.t, "the actor failed", "%v", reason)
	case <-time.After(deadline):
		require.FailNow(w.t, "the actor did not get to it")
	}
}

// fails has fn fail in the actor, and returns the error that the supervisor sees.
func (w *world) fails(pid *actor.PID, fn func(*entity, actor.Context)) *journal.Error {
	w.t.Helper()
	w.system.Root.Send(pid, do(fn))
	return w.failure()
}

// failure is the next one that a supervisor sees.
func (w *world) failure() *journal.Error {
	w.t.Helper()
	select {
	case reason := <-w.failures:
		require.IsType(w.t, (*journal.Error)(nil), reason)
		return reason.(*journal.Error)
	case <-time.After(deadline):
		require.FailNow(w.t, "no actor failed")
		return nil
	}
}

func (w *world) stop(pid *actor.PID) {
	w.t.Helper()
	require.NoError(w.t, w.system.Root.StopFuture(pid).Wait())
}

func (w *world) state(pid *actor.PID) (state []string) {
	w.t.Helper()
	w.in(pid, func(e *entity, _ actor.Context) { state = e.state })
	return state
}

// stored are all events of the id.
func stored(t *testing.T, j query.Journal, id string) []query.Event {
	t.Helper()
	events, _, err := j.EventsByPersistenceID(t.Context(), id, 1, query.Limits{Events: 1000})
	require.NoError(t, err)
	return events
}
