package testkit

import (
	"log/slog"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// NewActorSystem returns an actor system for a test: it logs nothing, and is shut down when the test ends. As
// always in Proto.Actor, that does not stop its actors: the test stops those that it has spawned.
//
// A plain actor system counts dead letters in a goroutine for a second, which goleak takes for a leak; in this one
// that goroutine ends at once. Options are applied last.
func NewActorSystem(tb testing.TB, opts ...actor.ConfigOption) *actor.ActorSystem {
	tb.Helper()
	quiet := []actor.ConfigOption{
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }),
		actor.WithDeadLetterThrottleInterval(time.Millisecond),
	}
	system := actor.NewActorSystem(append(quiet, opts...)...)
	tb.Cleanup(system.Shutdown)
	return system
}
