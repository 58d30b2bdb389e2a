package postgres_test

import (
	"strconv"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/internal/pgserver"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/postgres"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// When one of its processes is killed, the server recovers from its log without a new start. What was committed with
// synchronous_commit = off can be gone, together with the numbers that it had: they are given again.
func TestAServerThatRecoversIsAnotherOne(t *testing.T) {
	s := pgserver.New(t)
	config, err := pgxpool.ParseConfig(s.URL("postgres"))
	require.NoError(t, err)
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	require.NoError(t, postgres.Migrate(t.Context(), pool))
	j := open(t, pool)
	for seq := range int64(10) {
		exec(t, pool, insertOf("a", seq+1))
	}
	require.Len(t, all(t, j), 10)

	var pid int
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT pg_backend_pid()").Scan(&pid))
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL), "process "+strconv.Itoa(pid))
	awaitThat(t, func() bool {
		pool.Reset()
		_, err := pool.Exec(t.Context(), "SELECT 1")
		return err == nil
	}, "the server has recovered")
	exec(t, pool, "DELETE FROM outbox.journal WHERE ordering > 5", "SELECT setval('outbox.journal_ordering_seq', 5)") // as if lost

	late := begin(t, pool, insertOf("late", 1))
	exec(t, pool, insertOf("b", 1))
	names, next := sees(t, j, 5, query.Filter{})
	require.Empty(t, names)
	require.NoError(t, late.Commit(t.Context()))
	names, _ = sees(t, j, next, query.Filter{})
	require.Equal(t, "late/1 b/1", names)
}
