package postgres

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// A transaction is known to be rolled back only if the server says so, and lives on.
func TestWhatTheServerSaysAtItsEndLeavesTheOutcomeOpen(t *testing.T) {
	for _, c := range []struct {
		severity, state string
		open            bool
	}{
		{"ERROR", "53100", false}, // disk full: of a table
		{"PANIC", "53100", true},  // of the log
		{"PANIC", "XX000", true},
		{"FATAL", "57P01", true}, // terminated by an administrator
		{"FATAL", "25P03", true},
		{"", "57P01", true}, // of what does not say how severe it is
		{"", "08006", true},
		{"ERROR", "57014", false}, // statement timeout
		{"ERROR", "40001", false},
	} {
		err := fmt.Errorf("insert: %w", &pgconn.PgError{SeverityUnlocalized: c.severity, Code: c.state})
		require.Equal(t, c.open, isShutdown(err), "%+v", c)
	}
	require.False(t, isShutdown(errors.New("an error of ours")))
}
