package journaltest

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/persistence"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// Journal is what the suite tests: both sides of a journal, and the Proto.Actor provider made of them.
type Journal interface {
	query.Journal
	journal.Store
	persistence.Provider
}

// Harness states the facts about a journal that the suite cannot find out.
type Harness struct {
	// New returns an empty journal that nobody else writes to. It registers with t.Cleanup what is needed to
	// get rid of it; the case may have closed it by then.
	New func(t *testing.T) Journal

	// Reopen closes j and opens what it stored again. Nil says that the journal does not outlive being closed.
	Reopen func(t *testing.T, j Journal) Journal

	// Capabilities are what the journal offers beyond Journal.
	Capabilities Capabilities
}

// Capabilities says which optional interfaces a journal implements. The suite fails if it implements others.
type Capabilities struct {
	SnapshotStore  bool // query.SnapshotStore
	Notifier       bool // query.Notifier
	PersistenceIDs bool // query.PersistenceIDs
	Pinger         bool // query.Pinger
	TimeFinder     bool // query.TimeFinder
	Closer         bool // io.Closer; closing twice is no error
}

// Run runs every case as a subtest of t.
func Run(t *testing.T, h Harness) {
	t.Helper()
	require.NotNil(t, h.New, "Harness.New is required")
	for _, g := range []group{
		{"capabilities", capabilityCases},
		{"append", appendCases},
		{"records", recordCases},
		{"round trip", roundTripCases},
		{"persistence id", idCases},
		{"feed", feedCases},
		{"filter", filterCases},
		{"tail", tailCases},
		{"stream", streamCases},
		{"head", headCases},
		{"replay", replayCases},
		{"hidden events", hiddenCases},
		{"actor snapshots", actorSnapshotCases},
		{"outbox snapshots", outboxSnapshotCases},
		{"notification", notifyCases},
		{"listing", listingCases},
		{"time", timeCases},
		{"context", contextCases},
		{"close", closeCases},
		{"reopen", reopenCases},
		{"persistent actor", actorCases},
	} {
		t.Run(g.name, func(t *testing.T) {
			for _, c := range g.cases {
				t.Run(c.name, func(t *testing.T) { c.run(t, newSubject(t, h, c.needs)) })
			}
		})
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

// need is what a journal must offer for a case to make sense.
type need int

const (
	anything need = iota
	snapshotStore
	notifier
	persistenceIDs
	timeFinder
	closer
	reopening
)

func (h Harness) offers(n need) bool {
	switch n {
	case snapshotStore:
		return h.Capabilities.SnapshotStore
	case notifier:
		return h.Capabilities.Notifier
	case persistenceIDs:
		return h.Capabilities.PersistenceIDs
	case timeFinder:
		return h.Capabilities.TimeFinder
	case closer:
		return h.Capabilities.Closer
	case reopening:
		return h.Reopen != nil
	}
	return true
}

// caseTimeout is how long one case may take before its calls fail: long enough for a slow machine under the race
// detector.
const caseTimeout = 60 * time.Second

// subject is the journal under test in one case.
type subject struct {
	Journal
	h   Harness
	ctx context.Context //nolint:containedctx // a case is a table's function: it ends with the case
}

func newSubject(t *testing.T, h Harness, n need) *subject {
	t.Helper()
	if !h.offers(n) {
		t.Skip("the harness states that this journal does not offer it")
	}
	ctx, cancel := context.WithTimeout(t.Context(), caseTimeout)
	t.Cleanup(cancel)
	return &subject{Journal: h.New(t), h: h, ctx: ctx}
}

func (s *subject) reopen(t *testing.T) {
	t.Helper()
	s.Journal = s.h.Reopen(t, s.Journal)
}

var capabilityCases = []testCase{
	{"are those that the harness states", anything, func(t *testing.T, s *subject) {
		_, isSnapshotStore := s.Journal.(query.SnapshotStore)
		_, isNotifier := s.Journal.(query.Notifier)
		_, isPersistenceIDs := s.Journal.(query.PersistenceIDs)
		_, isPinger := s.Journal.(query.Pinger)
		_, isTimeFinder := s.Journal.(query.TimeFinder)
		_, isCloser := s.Journal.(io.Closer)
		implemented := Capabilities{
			SnapshotStore:  isSnapshotStore,
			Notifier:       isNotifier,
			PersistenceIDs: isPersistenceIDs,
			Pinger:         isPinger,
			TimeFinder:     isTimeFinder,
			Closer:         isCloser,
		}
		require.Equal(t, s.h.Capabilities, implemented, "expected: stated; actual: implemented")
	}},
}
