package testkit_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
)

// received takes n messages from the probe and expects no other.
func received(t *testing.T, probe *testkit.TestProbe, n int) []any {
	t.Helper()
	var all []any
	for range n {
		m, err := probe.GetNextMessage(0)
		require.NoError(t, err)
		all = append(all, m)
	}
	require.NoError(t, probe.ExpectNoMessage(soon))
	return all
}

func TestManualSchedulerSendsWhatIsDueInOrder(t *testing.T) {
	system := testkit.NewActorSystem(t)
	probe, pid := spawnProbe(t, system)
	s := testkit.NewManualScheduler(system.Root)

	s.SendOnce(3*time.Second, pid, "c")
	s.SendOnce(time.Second, pid, "a1")
	s.SendOnce(2*time.Second, pid, "b")
	s.SendOnce(time.Second, pid, "a2")
	assert.Equal(t, 4, s.Pending())

	s.Advance(time.Second - 1)
	assert.Empty(t, received(t, probe, 0))
	s.Advance(1)
	assert.Equal(t, []any{"a1", "a2"}, received(t, probe, 2))
	s.Advance(time.Hour)
	assert.Equal(t, []any{"b", "c"}, received(t, probe, 2))
	assert.Zero(t, s.Pending())
}

func TestManualSchedulerSendsAtOnceWithoutADelay(t *testing.T) {
	system := testkit.NewActorSystem(t)
	probe, pid := spawnProbe(t, system)
	s := testkit.NewManualScheduler(system.Root)
	s.SendOnce(0, pid, "now")()
	s.SendOnce(-time.Second, pid, "overdue")
	assert.Equal(t, []any{"now", "overdue"}, received(t, probe, 2))
}

func TestManualSchedulerForgetsWhatIsCancelled(t *testing.T) {
	system := testkit.NewActorSystem(t)
	probe, pid := spawnProbe(t, system)
	s := testkit.NewManualScheduler(system.Root)
	cancel := s.SendOnce(time.Second, pid, "cancelled")
	s.SendOnce(time.Second, pid, "kept")
	cancel()
	s.Advance(time.Second)
	cancel()
	assert.Equal(t, []any{"kept"}, received(t, probe, 1))
}

func TestManualSchedulerTellsWhatIsNext(t *testing.T) {
	system := testkit.NewActorSystem(t)
	_, pid := spawnProbe(t, system)
	s := testkit.NewManualScheduler(system.Root)
	_, ok := s.Next()
	assert.False(t, ok)

	start := s.Now()
	s.SendOnce(2*time.Second, pid, "later")
	cancel := s.SendOnce(time.Second, pid, "sooner")
	due, ok := s.Next()
	assert.True(t, ok)
	assert.Equal(t, start.Add(time.Second), due)
	cancel()
	due, _ = s.Next()
	assert.Equal(t, start.Add(2*time.Second), due)
	s.Advance(2 * time.Second)
	_, ok = s.Next()
	assert.False(t, ok)
}

func TestManualSchedulerTimeIsItsOwn(t *testing.T) {
	s := testkit.NewManualScheduler(nil)
	assert.Equal(t, time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), s.Now())
	s.Advance(90 * time.Second)
	assert.Equal(t, time.Date(2000, 1, 1, 0, 1, 30, 0, time.UTC), s.Now())
	s.Advance(-time.Hour)
	assert.Equal(t, time.Date(2000, 1, 1, 0, 1, 30, 0, time.UTC), s.Now(), "time never goes back")
}

func TestManualSchedulerLosesNothingUnderConcurrency(t *testing.T) {
	system := testkit.NewActorSystem(t)
	probe, pid := spawnProbe(t, system)
	s := testkit.NewManualScheduler(system.Root)
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() { s.SendOnce(time.Duration(i+1)*time.Millisecond, pid, i) })
		all.Go(func() { s.Advance(time.Millisecond) })
	}
	all.Wait()
	s.Advance(time.Second)
	assert.Len(t, received(t, probe, 50), 50)
	assert.Zero(t, s.Pending())
}
