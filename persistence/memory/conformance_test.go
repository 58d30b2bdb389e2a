package memory_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journaltest"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
)

func TestConformance(t *testing.T) {
	journaltest.Run(t, journaltest.Harness{
		New: func(t *testing.T) journaltest.Journal {
			j := memory.New()
			t.Cleanup(func() { assert.NoError(t, j.Close()) })
			return j
		},
		Capabilities: journaltest.Capabilities{
			SnapshotStore:  true,
			Notifier:       true,
			PersistenceIDs: true,
			Pinger:         true,
			TimeFinder:     true,
			Appender:       true,
			Trimmer:        true,
			Closer:         true,
		},
	})
}
