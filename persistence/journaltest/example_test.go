package journaltest_test

import (
	"testing"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journaltest"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
)

// A journal joins the suite with a test such as this one.
func ExampleRun() {
	_ = func(t *testing.T) {
		journaltest.Run(t, journaltest.Harness{
			New: func(t *testing.T) journaltest.Journal {
				j := memory.New()
				t.Cleanup(func() { _ = j.Close() })
				return j
			},
			Capabilities: journaltest.Capabilities{
				SnapshotStore: true, Notifier: true, PersistenceIDs: true, Pinger: true, TimeFinder: true, Closer: true,
			},
		})
	}
	// Output:
}
