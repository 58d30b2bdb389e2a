package pgserver_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/internal/pgserver"
)

func ask(t *testing.T, s *pgserver.Server, question string) string {
	return pgserver.Run(t, "psql", "--no-psqlrc", "--tuples-only", "--no-align", "--command="+question, s.URL("postgres"))
}

func TestAServerIsConfiguredStoppedCopiedRestoredAndPromoted(t *testing.T) {
	s := pgserver.New(t, "max_prepared_transactions = 7")
	require.Equal(t, "7\n", ask(t, s, "SHOW max_prepared_transactions"))
	ask(t, s, "CREATE TABLE kept AS SELECT 1 AS one")
	s.StopImmediately()
	s.Start()
	require.Equal(t, "1\n", ask(t, s, "SELECT one FROM kept"))
	s.Stop()
	s.Backup()
	s.Start()
	ask(t, s, "DROP TABLE kept")
	s.StopImmediately()
	s.Restore()
	s.Start()
	require.Equal(t, "1\n", ask(t, s, "SELECT one FROM kept"))
	standby := s.Standby()
	require.Equal(t, "t\n", ask(t, standby, "SELECT pg_is_in_recovery()"))
	s.Stop()
	standby.Promote()
	require.Equal(t, "f\n", ask(t, standby, "SELECT pg_is_in_recovery()"))
	require.Equal(t, "1\n", ask(t, standby, "SELECT one FROM kept"))
}
