package memory_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journaltest"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
)

func TestImport(t *testing.T) {
	journaltest.RunImport(t, journaltest.Harness{
		New: func(t *testing.T) journaltest.Journal {
			j := memory.New()
			t.Cleanup(func() { assert.NoError(t, j.Close()) })
			return j
		},
		Capabilities: journaltest.Capabilities{Notifier: true},
	})
}
