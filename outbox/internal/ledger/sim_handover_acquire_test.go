package ledger

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// An Acquire that its caller thought lost, and that lands after a later one, would fence the owner of the moment for nobody.
// Nothing would be lost by that, but until somebody started another outbox nothing would be published. The test counts how often it
// happens by three rules of a store, of which the last is the product's: docs/decisions/0016-handover.md.
func TestALateAcquireFencesForNobody(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs the simulation three times")
	}
	type fenced struct{ itself, another int }
	count := func(name string, r acquireRule) fenced {
		var total handoverStatistics
		for seed := uint64(1); seed <= 200; seed++ {
			h, err := handOver(seed, handoverRules{acquire: r}, false)
			require.NoError(t, err, "%s: seed %d", name, seed)
			total.add(&h.stats)
		}
		f := fenced{total[statFencedByItself], total[statFencedForNobody]}
		t.Logf("%s: of %d takeovers, %d fence the owner that asked for it, %d another", name, total[statTakenOver], f.itself, f.another)
		return f
	}
	plain := count("whoever comes takes over", acquirePlain)
	named := count("the store knows its owner", acquireNamed)
	seen := count("whoever comes says which epoch it has seen", acquireSeen)
	require.Positive(t, plain.itself)
	require.Positive(t, plain.another)
	require.Zero(t, named.itself)
	require.Positive(t, named.another, "to know the owner's name is not enough")
	require.Zero(t, seen.itself)
	require.Less(t, seen.another, plain.another/4)
}
