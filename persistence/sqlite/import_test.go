package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journaltest"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/sqlite"
)

func TestImport(t *testing.T) {
	journaltest.RunImport(t, journaltest.Harness{
		New: func(t *testing.T) journaltest.Journal {
			j, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "journal.db"))
			require.NoError(t, err)
			t.Cleanup(func() { assert.NoError(t, j.Close()) })
			return j
		},
		Capabilities: journaltest.Capabilities{Notifier: true},
	})
}
