package journaltest

import (
	"io"
	"testing"

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

// Harness states the facts about a journal that the suite cannot find out. Only New is required. What is nil is a
// statement too: cases that need it are skipped, with a line that says what was stated.
//
// Its functions are called from the test's goroutine. They fail the test themselves if they cannot do their work.
type Harness struct {
	// New returns an empty journal that nobody else writes to. It registers with t.Cleanup what is needed to
	// get rid of it; the case may have closed it by then. A case may ask for several.
	New func(t *testing.T) Journal

	// Reopen closes j and opens what it stored again. Nil says that the journal does not outlive being closed.
	Reopen func(t *testing.T, j Journal) Journal

	// Crash opens what j stored again, from what would be there had j's process been killed at this moment: nothing is
	// closed, flushed or given back before. It may leave j to the test's cleanup. No call is under way, and none is
	// made to j afterwards. Nil says that the journal does not outlive its process.
	Crash func(t *testing.T, j Journal) Journal

	// Open opens what j stores a second time, as another process would. Both are used from then on, and j may be closed
	// before the other. Nil says that there is only one handle to a journal at a time.
	Open func(t *testing.T, j Journal) Journal

	// Begin appends e as AppendEvent does, up to the commit: in a transaction that it leaves open, with everything done
	// that AppendEvent does before committing, the taking of an offset included. It does not wait for other open
	// transactions that append to other ids. An *sql.Tx is a Transaction. The suite ends every transaction.
	//
	// Nil says that the journal commits one transaction at a time, so that an open one holds up all appends, and an
	// offset can never become visible behind a greater one.
	Begin func(t *testing.T, j Journal, e query.Event) Transaction

	// ForeignProvider says that the events are kept in somebody else's Proto.Actor Provider: GetState is that one's, with
	// its own ways of failing, and no event can be read without all that follow it in its stream.
	ForeignProvider bool

	// Capabilities are what the journal offers beyond Journal.
	Capabilities Capabilities
}

// Transaction is an append that is neither there nor gone yet.
type Transaction interface {
	Commit() error
	Rollback() error
}

// Capabilities says which optional interfaces a journal implements. The suite fails if it implements others.
type Capabilities struct {
	SnapshotStore  bool // query.SnapshotStore
	Notifier       bool // query.Notifier
	PersistenceIDs bool // query.PersistenceIDs
	Pinger         bool // query.Pinger
	TimeFinder     bool // query.TimeFinder
	Appender       bool // journal.Appender
	Trimmer        bool // journal.Trimmer; it has to be a SnapshotStore, too
	Closer         bool // io.Closer; closing twice is no error
}

// need is what a journal must offer for a case to make sense.
type need int

const (
	anything need = iota
	snapshotStore
	notifier
	persistenceIDs
	pinger
	timeFinder
	appender
	trimmer
	closer
	reopening
	crashing
	severalHandles
	transactions
	ownProvider
)

// lacks says why a journal cannot do what a case needs; it is empty if the journal can.
func (h Harness) lacks(n need) string {
	c := h.Capabilities
	switch {
	case n == snapshotStore && !c.SnapshotStore:
		return "this journal is no query.SnapshotStore"
	case n == notifier && !c.Notifier:
		return "this journal is no query.Notifier"
	case n == persistenceIDs && !c.PersistenceIDs:
		return "this journal is no query.PersistenceIDs"
	case n == pinger && !c.Pinger:
		return "this journal is no query.Pinger"
	case n == timeFinder && !c.TimeFinder:
		return "this journal is no query.TimeFinder"
	case n == appender && !c.Appender:
		return "this journal is no journal.Appender"
	case n == trimmer && !c.Trimmer:
		return "this journal is no journal.Trimmer"
	case n == closer && !c.Closer:
		return "this journal is no io.Closer"
	case n == reopening && h.Reopen == nil:
		return "this journal does not outlive being closed"
	case n == crashing && h.Crash == nil:
		return "this journal does not outlive its process"
	case n == severalHandles && h.Open == nil:
		return "this journal has one handle at a time"
	case n == ownProvider && h.ForeignProvider:
		return "this journal keeps its events in somebody else's Provider"
	case n == transactions && h.Begin == nil:
		return "this journal commits one transaction at a time"
	}
	return ""
}

var capabilityCases = []testCase{
	{"are those that the harness states", anything, func(t *testing.T, s *subject) {
		_, isSnapshotStore := s.Journal.(query.SnapshotStore)
		_, isNotifier := s.Journal.(query.Notifier)
		_, isPersistenceIDs := s.Journal.(query.PersistenceIDs)
		_, isPinger := s.Journal.(query.Pinger)
		_, isTimeFinder := s.Journal.(query.TimeFinder)
		_, isAppender := s.Journal.(journal.Appender)
		_, isTrimmer := s.Journal.(journal.Trimmer)
		_, isCloser := s.Journal.(io.Closer)
		implemented := Capabilities{
			SnapshotStore:  isSnapshotStore,
			Notifier:       isNotifier,
			PersistenceIDs: isPersistenceIDs,
			Pinger:         isPinger,
			TimeFinder:     isTimeFinder,
			Appender:       isAppender,
			Trimmer:        isTrimmer,
			Closer:         isCloser,
		}
		require.Equal(t, s.h.Capabilities, implemented, "expected: stated; actual: implemented")
	}},
}
