package shards

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A member that crashes over and over has the cluster change each time. Two members that do not see one another, such as one that
// the others have blocked, but both see that, do not fight for a shard each time.
func TestAClusterThatChangesAllTheTimeIsNoReasonToFight(t *testing.T) {
	for _, every := range []time.Duration{5 * time.Second, 15 * time.Second} {
		t.Run(fmt.Sprint(every), func(t *testing.T) {
			simulated(t, func(t *testing.T, w *world) {
				first, second := w.two()
				before := w.epoch()
				hash := uint64(100)
				change := func() {
					hash++
					first.changeTopology(hash)
					pass(300 * time.Millisecond)
					second.changeTopology(hash)
					w.write()
					pass(every - 300*time.Millisecond)
				}
				for began := time.Now(); time.Since(began) < 5*time.Minute; {
					change()
				}
				require.LessOrEqual(t, w.epoch()-before, int64(4), "in the first five minutes")
				before = w.epoch()
				for began := time.Now(); time.Since(began) < 40*time.Minute; {
					change()
				}
				require.LessOrEqual(t, w.epoch()-before, int64(10), "in forty minutes")
			})
		})
	}
}

// An owner that has nothing to publish, and never had, is left alone.
func TestNobodyFightsForAShardThatHasNeverHadAnEvent(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		first, second := w.node(1), w.node(1)
		first.activate(0)
		second.activate(0)
		before := w.epoch()
		pass(time.Minute)
		require.LessOrEqual(t, w.epoch()-before, int64(2), "each may have taken over once more")
		before = w.epoch()
		pass(time.Hour)
		require.Equal(t, before, w.epoch(), "in an hour")
		w.write()
		pass(5 * time.Second)
		require.Equal(t, 1, w.published())
	})
}
