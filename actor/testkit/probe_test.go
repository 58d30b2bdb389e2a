package testkit_test

import (
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
)

const soon = 10 * time.Millisecond

func spawnProbe(t *testing.T, system *actor.ActorSystem) (*testkit.TestProbe, *actor.PID) {
	probe := testkit.NewTestProbe()
	pid := probe.Spawn(system)
	t.Cleanup(func() { require.NoError(t, system.Root.StopFuture(pid).Wait()) })
	return probe, pid
}

func TestProbeRecordsMessagesInOrderWithTheirSenders(t *testing.T) {
	system := testkit.NewActorSystem(t)
	probe, pid := spawnProbe(t, system)
	other, otherPID := spawnProbe(t, system)

	other.Request(pid, "first")
	other.Send(pid, "second")

	first, err := probe.GetNextMessage(0)
	require.NoError(t, err)
	assert.Equal(t, "first", first)
	assert.True(t, otherPID.Equal(probe.Sender()))

	second, err := testkit.GetNextMessageOf[string](probe, 0)
	require.NoError(t, err)
	assert.Equal(t, "second", second)
	assert.Nil(t, probe.Sender())
}

func TestProbeRespondsFromTheActorThatWasAsked(t *testing.T) {
	system := testkit.NewActorSystem(t)
	asker, _ := spawnProbe(t, system)
	shared := testkit.NewTestProbe()
	one, two := shared.Spawn(system), shared.Spawn(system)
	t.Cleanup(func() {
		require.NoError(t, system.Root.StopFuture(one).Wait())
		require.NoError(t, system.Root.StopFuture(two).Wait())
	})

	asker.Request(one, "question")
	_, err := shared.GetNextMessage(0)
	require.NoError(t, err)
	shared.Respond("answer")

	answer, err := asker.GetNextMessage(0)
	require.NoError(t, err)
	assert.Equal(t, "answer", answer)
	assert.True(t, one.Equal(asker.Sender()), "the answer came from %v", asker.Sender())
}

func TestProbeDoesNotRespondWithoutASender(t *testing.T) {
	system := testkit.NewActorSystem(t)
	probe, pid := spawnProbe(t, system)
	probe.Respond("nobody asked")
	system.Root.Send(pid, "told")
	_, err := probe.GetNextMessage(0)
	require.NoError(t, err)
	probe.Respond("nobody listens")
	require.NoError(t, probe.ExpectNoMessage(soon))
}

func TestProbeSaysWhatWasThereInstead(t *testing.T) {
	system := testkit.NewActorSystem(t)
	probe, pid := spawnProbe(t, system)

	_, err := testkit.GetNextMessageOf[string](probe, soon)
	require.ErrorContains(t, err, "string")
	require.ErrorContains(t, err, "no message arrived within 10ms")

	system.Root.Send(pid, 42)
	require.ErrorContains(t, probe.ExpectNoMessage(0), "there is a int: 42")
	_, err = testkit.GetNextMessageOf[error](probe, 0)
	require.ErrorContains(t, err, "a error was expected, but there is a int: 42")
	require.NoError(t, probe.ExpectNoMessage(soon))
}

func TestProbeFishesForAMessage(t *testing.T) {
	system := testkit.NewActorSystem(t)
	probe, pid := spawnProbe(t, system)
	for _, m := range []any{"a", 1, 2, 3} {
		system.Root.Send(pid, m)
	}
	even := func(n int) bool { return n%2 == 0 }

	n, err := testkit.FishForMessage(probe, even, 0)
	require.NoError(t, err)
	assert.Equal(t, 2, n)

	_, err = testkit.FishForMessage(probe, even, soon)
	require.ErrorContains(t, err, "no int that is looked for")
}

func TestProbeIsToldThatAWatchedActorStopped(t *testing.T) {
	system := testkit.NewActorSystem(t)
	probe, _ := spawnProbe(t, system)
	watched := system.Root.Spawn(actor.PropsFromFunc(func(actor.Context) {}))

	probe.Context().Watch(watched)
	system.Root.Stop(watched)

	stopped, err := testkit.GetNextMessageOf[*actor.Terminated](probe, 0)
	require.NoError(t, err)
	assert.True(t, watched.Equal(stopped.Who))
}

func TestProbeStandsInForAChild(t *testing.T) {
	system := testkit.NewActorSystem(t)
	probe := testkit.NewTestProbe()
	parent := system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		if _, ok := c.Message().(*actor.Started); ok {
			c.Request(c.Spawn(testkit.Props(probe)), "work")
		}
	}))
	t.Cleanup(func() { require.NoError(t, system.Root.StopFuture(parent).Wait()) })

	_, err := probe.GetNextMessage(0)
	require.NoError(t, err)
	assert.True(t, parent.Equal(probe.Sender()))
	assert.True(t, parent.Equal(probe.Context().Parent()))
	assert.Equal(t, probe.Context().Self(), probe.PID())
}
