package ledger

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// mutationSeeds are the seeds within which every mutation must be found.
const mutationSeeds = 10_000

// mutation is a bug that is put into the ledger on purpose.
type mutation struct {
	name string
	file string
	// old occurs exactly once in the file.
	old, replacement string
}

// Each is of a kind that such software has had. The first six are the ones that the simulation was written against.
var mutations = []mutation{
	{
		"the watermark passes what was sent but not answered", "window.go",
		"if s.state == waiting || l.feed", "if (s.state == waiting && !s.sent) || l.feed",
	},
	{
		"the next event overtakes the save of a parked one", "save.go",
		"c.st.parking = true", "c.st.parking = false",
	},
	{
		"a held id rejoins by what an earlier life knew", "held.go",
		"if st.verified && st.next > st.through {", "if st.next > st.through {",
	},
	{
		"the answer to an older save is taken for that of the present one", "save.go",
		"if p == nil || p.index != in.Index {", "if p == nil {",
	},
	{
		"after a rewind the watermark of before is saved again", "rewind.go",
		"watermark: r.to}\n", "watermark: l.window.watermark}\n",
	},
	{
		"an outage never ends", "outage.go",
		"o.on, o.probing = false, 0", "o.probing = 0",
	},
	{
		"a held id is not read on after a batch", "held.go",
		"l.release(st)\n\t\tl.wantCatchUp(st)", "l.release(st)",
	},
	{
		"the budget of unsaved events is ignored", "lane.go",
		"if l.unsaved >= l.budget(st, n) {", "if l.unsaved < 0 {",
	},
	{
		"what an operator skipped is forgotten before the watermark has passed it", "parked.go",
		"if e.Resolution == Unresolved || e.Offset > l.window.watermark {", "if e.Resolution == Unresolved {",
	},
	{
		"a rewind does not wait for what is in flight", "rewind.go",
		"len(l.batches) == 0 && len(l.saves.waiting) == 0", "len(l.saves.waiting) == 0",
	},
	{
		"a rewind that was begun is not insisted on", "rewind.go",
		"return r.begun || (r.on", "return (r.on && !r.begun",
	},
	{
		"a gap is not looked for", "feed.go",
		"&& l.cfg.contiguous():", "&& !l.cfg.contiguous():",
	},
	{
		"the watermark passes an event that the feed has left out", "window.go",
		"l.feed.gapBefore(s.Offset) != nil {", "s.Offset < 0 {",
	},
	{
		"a drain does not record what is settled behind an event that was never sent", "ledger.go",
		"l.holdUnsent()\n", "",
	},
	{
		"an answer of an earlier life is taken for one of this", "outcome.go",
		"if in.Generation != l.cfg.Generation {", "if in.Generation == 0 {",
	},
	{
		"a parked event is sent beside another of its id", "redrive.go",
		"(st != nil && (st.sent > 0 || st.parking))", "(st != nil && st.parking)",
	},
	{
		"a pause is not saved", "save.go",
		"Paused:    l.paused,", "Paused:    false,",
	},
	{
		"an id that waits for an operator is tried again", "poison.go",
		"st.stuck, st.lastErr = true, reason", "st.lastErr = reason",
	},
	{
		"the next event overtakes the save of a skipped one", "operator.go",
		"l.skip(st, reason)\n\t\tl.confirm(confirmation{st: st, reply: reply})", "l.skip(st, reason)\n\t\tl.confirm(confirmation{reply: reply})",
	},
	{
		"an id that rejoins ahead of the watermark leaves the snapshot", "held.go",
		"if st.settledOffset > l.window.watermark {", "if st.settledOffset < 0 {",
	},
	{
		"one lost answer looks like many failures", "outcome.go",
		"case r.Outcome == Retry || alone:", "case r.Outcome != OK:",
	},
	{
		"a flush is answered before it is saved", "wait.go",
		"if len(l.flushes) > 0 && l.clean() {", "if len(l.flushes) > 0 {",
	},
	{
		"what one destination takes ends the outage of another", "outage.go",
		"	l.sinkIsAlive()\n}\n", "	for len(l.out) > 0 {\n		l.endOutageOf(l.out[0])\n	}\n	l.sinkIsAlive()\n}\n",
	},
	{
		"what one destination takes is held against those who fail at another", "poison.go",
		"heardIn = st.dest.heardIn", "heardIn = l.round",
	},
	{
		"failures count while their destination is out", "outcome.go",
		"if !l.outage.on && !st.waits() {", "if !l.outage.on {",
	},
	{
		"those who wait for a destination do not go on when it is back", "destination.go",
		"		l.wantCatchUp(st)\n		l.makeReady(st)\n", "		_ = st\n",
	},
	{
		"the outage of a destination stops the reading", "feed.go",
		"(l.outage.on && l.untried())", "(l.outage.on && l.untried()) || len(l.out) > 0",
	},
	{
		"those who wait for a destination stay in everybody's way", "destination.go",
		"		l.hold(st, true)\n		return\n", "		return\n",
	},
	{
		"those who wait for a destination keep their place among those that catch up", "destination.go",
		"		st.letGo()\n		l.release(st)\n", "		st.letGo()\n",
	},
	{
		"those who wait for a destination are tried again by themselves", "stream.go",
		"!st.redriving && !st.waits() &&", "!st.redriving &&",
	},
	{
		"the probes of destinations take all places of those that catch up", "destination.go",
		"n > 0 && probes < l.cfg.mostProbes()", "n > 0",
	},
	{
		"a destination that is out is probed by many at a time", "destination.go",
		"		if d.probe == nil {\n			if l.chooseProbe", "		if true {\n			if l.chooseProbe",
	},
}

var (
	seedFound = regexp.MustCompile(`seed (\d+), the (\d+)\. of this run: (.*)`)
	panicked  = regexp.MustCompile(`^at \S+: panic: `)
)

func TestTheSimulationFindsEveryMutation(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds and runs the simulation once per mutation")
	}
	findMutations(t, mutations, "TestSimulation")
}

// findMutations applies each mutation to a copy of its file, with which a child runs a simulation.
func findMutations(t *testing.T, mutations []mutation, simulation string) {
	for _, m := range mutations {
		t.Run(strings.ReplaceAll(m.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			out := m.simulate(t, simulation)
			found := seedFound.FindStringSubmatch(out)
			require.NotNil(t, found, "no seed has found it:\n%s", out)
			require.NotRegexp(t, panicked, found[3], "the mutation breaks the code, not a rule")
			n, err := strconv.Atoi(found[2])
			require.NoError(t, err)
			require.LessOrEqual(t, n, mutationSeeds)
			t.Logf("found by seed %s, the %d. tried: %s", found[1], n, found[3])
		})
	}
}

// simulate runs a simulation with the mutation until a seed fails, and returns what it prints.
func (m *mutation) simulate(t *testing.T, simulation string) string {
	t.Helper()
	path, err := filepath.Abs(m.file)
	require.NoError(t, err)
	code, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(code), m.old), "%s has changed: mutate what is there now instead of\n%s", m.file, m.old)

	dir := t.TempDir()
	mutated := filepath.Join(dir, m.file)
	require.NoError(t, os.WriteFile(mutated, []byte(strings.Replace(string(code), m.old, m.replacement, 1)), 0o600))
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {path: mutated}})
	require.NoError(t, err)
	overlayFile := filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(overlayFile, overlay, 0o600))

	child := exec.CommandContext(t.Context(), "go", "test", "-overlay", overlayFile, "-vet=off", "-count=1", "-run", "^"+simulation+"$", ".")
	child.Env = append(os.Environ(), seedsVariable+"="+strconv.Itoa(mutationSeeds), seedVariable+"=", fromVariable+"=")
	out, err := child.CombinedOutput()
	require.Error(t, err, "all %d seeds pass with this mutation:\n%s", mutationSeeds, out)
	return string(out)
}
