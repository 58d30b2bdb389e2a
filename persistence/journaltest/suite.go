package journaltest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Run runs every case as a subtest of t, "<group>/<case>". The package's documentation says what each group proves.
func Run(t *testing.T, h Harness) {
	t.Helper()
	require.NotNil(t, h.New, "Harness.New is required")
	for _, g := range groups() {
		t.Run(g.name, func(t *testing.T) {
			for _, c := range g.cases {
				t.Run(c.name, func(t *testing.T) { c.run(t, newSubject(t, h, c.needs)) })
			}
		})
	}
}

func groups() []group {
	return []group{
		{"capabilities", capabilityCases},
		{"append", appendCases},
		{"unknown commit", unknownCommitCases},
		{"records", recordCases},
		{"round trip", roundTripCases},
		{"large event", largeEventCases},
		{"persistence id", idCases},
		{"feed", feedCases},
		{"filter", filterCases},
		{"tail", tailCases},
		{"open transaction", transactionCases},
		{"stream", streamCases},
		{"head", headCases},
		{"replay", replayCases},
		{"hidden events", hiddenCases},
		{"actor snapshots", actorSnapshotCases},
		{"outbox snapshots", outboxSnapshotCases},
		{"ownership", ownershipCases},
		{"retention", retentionCases},
		{"notification", notifyCases},
		{"listing", listingCases},
		{"time", timeCases},
		{"ping", pingCases},
		{"context", contextCases},
		{"close", closeCases},
		{"several handles", handleCases},
		{"reopen", restartCases(reopening, (*subject).reopen)},
		{"crash", restartCases(crashing, (*subject).crash)},
		{"provider", providerCases},
		{"unknown types", unknownTypeCases},
		{"persistent actor", actorCases},
	}
}

type group struct {
	name  string
	cases []testCase
}

type testCase struct {
	name  string
	needs need
	run   func(t *testing.T, s *subject)
}

// caseTimeout is how long one case may take before its calls fail: long enough for a slow machine under the race
// detector.
const caseTimeout = 60 * time.Second

// patience is how long the suite waits for what should happen soon.
var patience = 10 * time.Second

// subject is the journal under test in one case.
type subject struct {
	Journal
	h   Harness
	ctx context.Context //nolint:containedctx // a case is a table's function: it ends with the case
}

func newSubject(t *testing.T, h Harness, n need) *subject {
	t.Helper()
	if lacks := h.lacks(n); lacks != "" {
		t.Skip("the harness states that " + lacks)
	}
	ctx, cancel := context.WithTimeout(t.Context(), caseTimeout)
	t.Cleanup(cancel)
	return &subject{Journal: h.New(t), h: h, ctx: ctx}
}

// promptly calls fn and returns its error. It fails the test if that takes long, instead of hanging with it.
func promptly(t *testing.T, what string, fn func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- fn() }()
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		require.FailNow(t, what+" does not return", "waited %v", patience)
		return nil
	}
}

// eventually calls condition until it is true, and fails the test if that takes long.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(patience)
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for !condition() {
		select {
		case <-again.C:
		case <-deadline:
			require.FailNow(t, what+": it did not come to that", "waited %v", patience)
		}
	}
}
