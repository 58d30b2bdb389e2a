package journaltest

import (
	"log/slog"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/persistence"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

var actorCases = []testCase{
	{"is what it was after being stopped and spawned again", anything, func(t *testing.T, s *subject) {
		system := newSystem(t)
		pid := s.spawn(t, system)
		for _, amount := range []int64{5, -2, 10} {
			deposit(system, pid, amount)
		}
		require.Equal(t, int64(13), balance(t, system, pid))

		require.NoError(t, system.Root.PoisonFuture(pid).Wait())
		pid = s.spawn(t, system)
		require.Equal(t, int64(13), balance(t, system, pid))
		deposit(system, pid, 1)
		require.Equal(t, int64(14), balance(t, system, pid))
		require.Equal(t, []string{"account/1", "account/2", "account/3", "account/4"}, ids(s.all(t)))
	}},
	{"is what it was after a restart by its supervisor", anything, func(t *testing.T, s *subject) {
		system := newSystem(t)
		pid := s.spawn(t, system)
		for range 10 {
			deposit(system, pid, 3)
		}
		system.Root.Send(pid, crash{})
		require.Equal(t, int64(30), balance(t, system, pid))
		deposit(system, pid, 1)
		require.Equal(t, int64(31), balance(t, system, pid))
	}},
	{"recovers from its snapshot and the events after it", anything, func(t *testing.T, s *subject) {
		system := newSystem(t)
		pid := s.spawn(t, system)
		for range 5 {
			deposit(system, pid, 2)
		}
		ask(t, system, pid, takeSnapshot{})
		deposit(system, pid, 7)
		require.Equal(t, int64(17), balance(t, system, pid))

		snapshot, ok, err := s.LoadActorSnapshot(s.ctx, "account")
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, int64(5), snapshot.Index, "the number of events it covers")
		require.NoError(t, s.HideEvents(s.ctx, "account", 5))

		require.NoError(t, system.Root.PoisonFuture(pid).Wait())
		pid = s.spawn(t, system)
		require.Equal(t, int64(17), balance(t, system, pid))
		deposit(system, pid, 1)
		require.Equal(t, int64(18), balance(t, system, pid))
		require.Equal(t, []string{"account/6", "account/7"}, ids(s.replayed(t, "account", 1, 0)))
		require.Len(t, s.stream(t, "account"), 7, "what the actor no longer needs, outboxes may")
	}},
	{"writes events that say what they are", anything, func(t *testing.T, s *subject) {
		system := newSystem(t)
		pid := s.spawn(t, system)
		deposit(system, pid, 5)
		deposit(system, pid, 5)
		require.Equal(t, int64(10), balance(t, system, pid))

		events := s.all(t)
		require.Equal(t, []string{"account/1", "account/2"}, ids(events))
		for _, e := range events {
			require.Equal(t, "google.protobuf.Int64Value", e.Type)
			require.Equal(t, "application/protobuf", e.ContentType)
			require.NotZero(t, e.UID)
			require.Equal(t, query.SliceOf("account"), e.Slice)
		}
		require.NotEqual(t, events[0].UID, events[1].UID)
	}},
}

// account is an ordinary persistent actor: its balance is the sum of its events.
type account struct {
	persistence.Mixin
	balance int64
}

type (
	crash        struct{}
	takeSnapshot struct{}
	getBalance   struct{}
)

func (a *account) Receive(c actor.Context) {
	switch msg := c.Message().(type) {
	case *wrapperspb.Int64Value:
		if !a.Recovering() {
			a.PersistReceive(msg)
		}
		a.balance += msg.Value
	case *wrapperspb.UInt64Value: // a snapshot
		a.balance = int64(msg.Value)
	case takeSnapshot:
		a.PersistSnapshot(wrapperspb.UInt64(uint64(a.balance)))
		c.Respond(a.balance)
	case getBalance:
		c.Respond(a.balance)
	case crash:
		panic("the test asked for it")
	}
}

func newSystem(t *testing.T) *actor.ActorSystem {
	t.Helper()
	system := actor.NewActorSystem(
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }),
		// A dead letter starts a goroutine that lasts this long, which leak detectors of the caller would see.
		actor.WithDeadLetterThrottleInterval(time.Millisecond),
	)
	t.Cleanup(system.Shutdown)
	return system
}

func (s *subject) spawn(t *testing.T, system *actor.ActorSystem) *actor.PID {
	t.Helper()
	props := actor.PropsFromProducer(func() actor.Actor { return new(account) },
		actor.WithReceiverMiddleware(journal.Using(s.Journal)))
	pid, err := system.Root.SpawnNamed(props, "account")
	require.NoError(t, err)
	t.Cleanup(func() { _ = system.Root.StopFuture(pid).Wait() }) // it may be gone by then
	return pid
}

func deposit(system *actor.ActorSystem, pid *actor.PID, amount int64) {
	system.Root.Send(pid, wrapperspb.Int64(amount))
}

// ask sends a message and returns the account's answer, its balance.
func ask(t *testing.T, system *actor.ActorSystem, pid *actor.PID, message any) int64 {
	t.Helper()
	answer, err := system.Root.RequestFuture(pid, message, 10*time.Second).Result()
	require.NoError(t, err)
	return answer.(int64)
}

func balance(t *testing.T, system *actor.ActorSystem, pid *actor.PID) int64 {
	t.Helper()
	return ask(t, system, pid, getBalance{})
}
