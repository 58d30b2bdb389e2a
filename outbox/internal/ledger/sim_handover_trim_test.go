package ledger

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A save of the life before lands late, after a restart has read what was stored, and the journal trims by it. A restarted
// owner that began from what it has read would put the older snapshot in its place, whose anchor is gone: for the next owner the
// journal would not be the one that its offsets belong to, and it would wait for an operator. Not so if it begins from the
// snapshot that it has last tried to save, which says no less than any that may still land: docs/decisions/0016-handover.md.
func TestALateSaveIsTrimmedBy(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs the simulation twice")
	}
	const seeds = 400
	failed := func(rules handoverRules) (seed uint64, err error) {
		for seed = uint64(1); seed <= seeds; seed++ {
			if _, err := handOver(seed, rules, false); err != nil {
				return seed, err
			}
		}
		return 0, nil
	}
	seed, err := failed(handoverRules{trimsOften: true})
	require.NoError(t, err, "seed %d", seed)
	seed, err = failed(handoverRules{trimsOften: true, broken: beginsFromStored})
	require.ErrorContains(t, err, "waits for another journal", "without the rule it is found")
	t.Logf("seed %d: %v", seed, err)
}
