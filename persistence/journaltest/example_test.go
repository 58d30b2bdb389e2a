package journaltest_test

import (
	"testing"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journaltest"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// A journal joins the suite with a test such as this one, TestConformance in its own package. One that keeps something
// also fills in Reopen and Crash, one that several processes may use Open, and one whose transactions overlap Begin.
func ExampleRun() {
	_ = func(t *testing.T) {
		journaltest.Run(t, journaltest.Harness{
			New: func(t *testing.T) journaltest.Journal {
				j := memory.New()
				t.Cleanup(func() { _ = j.Close() })
				return j
			},
			Capabilities: journaltest.Capabilities{
				SnapshotStore: true, Notifier: true, PersistenceIDs: true, Pinger: true, TimeFinder: true, Appender: true, Closer: true,
			},
		})
	}
	// Output:
}

// A journal in a database whose transactions overlap lets the suite hold one open: the suite then commits others before
// it, and sees to it that no reader passes it. What it begins is the journal's own append, less the commit.
func ExampleHarness_begin() {
	_ = func(t *testing.T, open func(*testing.T) *transactional) {
		journaltest.Run(t, journaltest.Harness{
			New: func(t *testing.T) journaltest.Journal { return open(t) },
			Begin: func(t *testing.T, j journaltest.Journal, e query.Event) journaltest.Transaction {
				tx, err := j.(*transactional).begin(t.Context(), e, j.(*transactional).memory.AppendEvent)
				if err != nil {
					t.Fatal(err)
				}
				return tx // with Commit and Rollback, as an *sql.Tx has them
			},
		})
	}
	// Output:
}

// A journal that takes over the events of another one is tested for that, too.
func ExampleRunImport() {
	_ = func(t *testing.T) {
		journaltest.RunImport(t, journaltest.Harness{
			New: func(t *testing.T) journaltest.Journal {
				j := memory.New()
				t.Cleanup(func() { _ = j.Close() })
				return j
			},
			Capabilities: journaltest.Capabilities{Notifier: true},
		})
	}
	// Output:
}
