package ledger

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// handoverRules are the rules of the store and the actor in a run: those of the product, unless a test says otherwise.
type handoverRules struct {
	acquire acquireRule
	// trimsOften: so that a late save is met.
	trimsOften bool
	broken     rule
}

// rule is one of the store, or of the actor around its ledger, that is broken on purpose.
type rule uint8

const (
	noRule rule = iota
	savesOfAnyEpoch
	savesOfAnyIndex
	epochNotRaised
	provesAnyEpoch
	readsBeforeTaking
	takesOverAtRestart
	takesOverFromAny
	indexNotCarriedOn
	anySaveWillDo
	fencedSaveIsTriedAgain
	neverLooks
	beginsFromStored // which takes a trim at the right moment: TestALateSaveIsTrimmedBy
)

var brokenRules = map[rule]string{
	savesOfAnyEpoch:        "the store takes a save of an older epoch",
	savesOfAnyIndex:        "the store takes a save that is older than the stored one",
	epochNotRaised:         "a takeover does not raise the epoch",
	provesAnyEpoch:         "an older epoch is proved",
	readsBeforeTaking:      "a takeover reads the snapshot before it raises the epoch",
	takesOverAtRestart:     "a restarted owner takes over instead of proving its epoch",
	takesOverFromAny:       "a takeover does not go by the epoch that was seen",
	indexNotCarriedOn:      "a restarted owner does not outbid the save that may be on its way",
	anySaveWillDo:          "an unknown save counts as done where the epoch is still ours",
	fencedSaveIsTriedAgain: "a fenced save is tried again",
	neverLooks:             "an idle owner never looks",
}

// handoverMutations are bugs of the ledger that matter where an owner is replaced.
var handoverMutations = []mutation{
	{
		"a fenced save does not stop the ledger", "save.go",
		"		l.stop(ErrFenced) // final, however late it comes\n		return\n", "		in.Result = SaveFailed\n",
	},
	{
		"the look that sees another owner does not stop the ledger", "ledger.go",
		"		l.resume(in.Token)\n	case Fenced:\n		l.stop(ErrFenced)\n", "		l.resume(in.Token)\n	case Fenced:\n",
	},
	{
		"a ledger that was fenced has a last snapshot to save", "save.go",
		"if l.phase == recovering || l.fenced || l.clean() {", "if l.phase == recovering || l.clean() {",
	},
	{
		"a restart does not go on above the index of the save that may be on its way", "ledger.go",
		"l.saves.index = max(in.Index, in.Tried)", "l.saves.index = in.Index",
	},
	{
		"the watermark passes what was sent but not answered", "window.go",
		"if s.state == waiting || l.feed", "if (s.state == waiting && !s.sent) || l.feed",
	},
	{
		"the next event overtakes the save of a parked one", "save.go",
		"c.st.parking = true", "c.st.parking = false",
	},
	{
		"the budget of unsaved events is ignored", "lane.go",
		"if l.unsaved >= l.budget(st, n) {", "if l.unsaved < 0 {",
	},
}

func TestTheHandoverSimulationFindsEveryBrokenRule(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs the simulation once per rule")
	}
	for broken, name := range brokenRules {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			for seed := uint64(1); seed <= mutationSeeds; seed++ {
				if _, err := handOver(seed, handoverRules{broken: broken}, false); err != nil {
					require.NotRegexp(t, panicked, err.Error(), "the simulation breaks, not the rule")
					t.Logf("%s: found by seed %d: %v", name, seed, err)
					return
				}
			}
			t.Errorf("all %d seeds pass although %s", mutationSeeds, name)
		})
	}
}

func TestTheHandoverSimulationFindsEveryMutation(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds and runs the simulation once per mutation")
	}
	findMutations(t, handoverMutations, "TestHandoverSimulation")
}
