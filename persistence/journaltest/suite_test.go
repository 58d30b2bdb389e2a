package journaltest_test

import (
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journaltest"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
)

// brokenEnv makes TestGoodJournals run the suite on the broken journal of that name instead.
const brokenEnv = "JOURNALTEST_BROKEN"

func TestMain(m *testing.M) {
	if os.Getenv(brokenEnv) != "" {
		os.Exit(m.Run()) // what is broken may leak
	}
	goleak.VerifyTestMain(m)
}

// broken is a journal that breaks one promise.
type broken struct {
	name string
	// finds are the cases that must fail, "<group>/<case>".
	finds []string
	// says is what must be read in the failure.
	says string
	// breaks does it to each handle.
	breaks func(*faulty)
	// harness is nil for that of good journals.
	harness func(*journaltest.Harness)
}

var allBroken = slices.Concat(brokenAppends, brokenRecords, brokenReads, brokenSnapshots, brokenRetentions, brokenLives, brokenTransactions)

// harness is that of a journal in memory which outlives its handles. Each handle is broken by breaks.
func harness(breaks func(*faulty)) journaltest.Harness {
	handle := func(m *memory.Journal) *faulty {
		f := newFaulty(m)
		breaks(f)
		return f
	}
	return journaltest.Harness{
		New: func(t *testing.T) journaltest.Journal {
			m := memory.New()
			t.Cleanup(func() { _ = m.Close() })
			return handle(m)
		},
		Reopen: func(t *testing.T, j journaltest.Journal) journaltest.Journal {
			require.NoError(t, j.(*faulty).Close())
			return handle(j.(*faulty).memory)
		},
		Crash: func(_ *testing.T, j journaltest.Journal) journaltest.Journal { return handle(j.(*faulty).memory) },
		Open:  func(_ *testing.T, j journaltest.Journal) journaltest.Journal { return handle(j.(*faulty).memory) },
		Capabilities: journaltest.Capabilities{
			SnapshotStore: true, Notifier: true, PersistenceIDs: true, Pinger: true, TimeFinder: true, Appender: true, Trimmer: true, Closer: true,
		},
	}
}

// The suite finds nothing where nothing is broken.
func TestGoodJournals(t *testing.T) {
	if name := os.Getenv(brokenEnv); name != "" {
		runBroken(t, name)
		return
	}
	t.Run("one transaction at a time", func(t *testing.T) {
		journaltest.Run(t, harness(func(*faulty) {}))
	})
	t.Run("several transactions at a time", func(t *testing.T) {
		journaltest.Run(t, transactionalHarness(func(*transactional) {}))
	})
}

func runBroken(t *testing.T, name string) {
	journaltest.SetPatience(time.Second)
	i := slices.IndexFunc(allBroken, func(b broken) bool { return b.name == name })
	require.GreaterOrEqual(t, i, 0)
	h := harness(allBroken[i].breaks)
	if allBroken[i].harness != nil {
		allBroken[i].harness(&h)
	}
	journaltest.Run(t, h)
}

// A suite that cannot fail is worthless: each of these journals is broken in one way, and the suite, run as its author
// would run it, must say so. And each of its cases must have failed at least once.
func TestTheSuiteFindsWhatIsBroken(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs the suite a hundred times")
	}
	var (
		mu    sync.Mutex
		found = map[string]bool{}
		ran   int
	)
	t.Run("a journal that", func(t *testing.T) {
		for _, b := range allBroken {
			t.Run(b.name, func(t *testing.T) {
				t.Parallel()
				failed := b.run(t)
				mu.Lock()
				defer mu.Unlock()
				maps.Copy(found, failed)
				ran++
			})
		}
	})
	if t.Failed() || ran < len(allBroken) { // -run has picked some
		return
	}
	for _, c := range journaltest.Cases() {
		require.True(t, found[testName(c)], "no broken journal makes %q fail: is it able to?", c)
	}
}

var failedCase = regexp.MustCompile(`(?m)^ +--- FAIL: TestGoodJournals/(\S+/\S+) \(`)

// run runs the groups that should find it, in a process of their own, and returns the cases that failed.
func (b *broken) run(t *testing.T) (failed map[string]bool) {
	t.Helper()
	var groups []string
	for _, c := range b.finds {
		group, _, _ := strings.Cut(testName(c), "/")
		groups = append(groups, regexp.QuoteMeta(group))
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.timeout=60s",
		"-test.run=^TestGoodJournals$/^("+strings.Join(groups, "|")+")$")
	cmd.Env = append(os.Environ(), brokenEnv+"="+b.name)
	output, err := cmd.CombinedOutput()
	require.Error(t, err, "the suite has found nothing:\n%s", output)

	failed = map[string]bool{}
	for _, match := range failedCase.FindAllStringSubmatch(string(output), -1) {
		failed[match[1]] = true
	}
	for _, c := range b.finds {
		require.True(t, failed[testName(c)], "it was not found by %q, but:\n%s", c, output)
	}
	require.Contains(t, string(output), b.says, "the failure does not tell what is wrong:\n%s", output)
	require.NotContains(t, string(output), "panic:", "a failure that ends the process hides what comes after it:\n%s", output)
	return failed
}

// testName is what a case is called in the output of go test.
func testName(name string) string { return strings.ReplaceAll(name, " ", "_") }
