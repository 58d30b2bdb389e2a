package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// database/sql rolls a transaction back as soon as its context ends, and may then answer with sql.ErrTxDone, which
// says nothing to a caller who asks whether it was the context.
func TestContextErrorsComeBackAsSuch(t *testing.T) {
	j, err := Open(t.Context(), filepath.Join(t.TempDir(), "journal.db"))
	require.NoError(t, err)
	defer j.Close()

	ctx, cancel := context.WithCancel(t.Context())
	err = j.write(ctx, "test", func(tx *sql.Tx) error {
		cancel()
		for {
			if _, err := tx.Exec("SELECT 1"); errors.Is(err, sql.ErrTxDone) {
				return nil // and the commit fails
			}
		}
	})
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, sql.ErrTxDone)
}
