package postgres_test

import (
	"crypto/rand"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/postgres"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// operatorsSQL returns the block of SQL in docs/postgres.md that contains a text.
func operatorsSQL(t *testing.T, text string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/postgres.md")
	require.NoError(t, err)
	for _, block := range strings.Split(string(page), "```sql\n")[1:] {
		if sql, _, _ := strings.Cut(block, "```"); strings.Contains(sql, text) {
			return sql
		}
	}
	require.FailNow(t, "docs/postgres.md has no such SQL", text)
	return ""
}

// A role that has been granted what the page for operators says can do everything.
func TestTheDocumentedGrantsAreEnough(t *testing.T) {
	pool := migrated(t)
	role := "shop_" + strings.ToLower(rand.Text())
	admin(t, "CREATE ROLE "+role)
	t.Cleanup(func() { admin(t, "DROP ROLE "+role) })
	t.Cleanup(func() { exec(t, pool, "DROP OWNED BY "+role) })
	exec(t, pool, strings.ReplaceAll(operatorsSQL(t, "GRANT"), " TO shop;", " TO "+role+";"))

	restricted := connect(t, pool.Config().ConnConfig.Database, func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["role"] = role })
	j := open(t, restricted)
	require.NoError(t, j.AppendEvent(t.Context(), event("a", 1)))
	require.NoError(t, j.AppendEvent(t.Context(), event("a", 2)))
	require.NoError(t, j.HideEvents(t.Context(), "a", 1))
	require.NoError(t, j.SaveActorSnapshot(t.Context(), "a", journal.ActorSnapshot{Index: 2, Type: "T"}))
	require.NoError(t, j.DeleteActorSnapshots(t.Context(), "a", 2))
	saved, err := j.Acquire(t.Context(), "outbox/x", 0, 0)
	require.NoError(t, err)
	require.NoError(t, j.Save(t.Context(), "outbox/x", query.Saved{Epoch: saved.Epoch, Index: 1, Keep: query.Keep{Watermark: 2}}))
	trimmed, err := j.Trim(t.Context(), journal.Retention{})
	require.NoError(t, err)
	require.EqualValues(t, 1, trimmed.Events)
	require.Error(t, postgres.Migrate(t.Context(), restricted, postgres.WithSchema("other")))
}

// The page's query names who holds readers up, and nobody else.
func TestTheDocumentedQueryFindsWhoHoldsAGapOpen(t *testing.T) {
	pool := migrated(t)
	exec(t, pool, insertOf("a", 1), "CREATE TABLE other (n int)")
	begin(t, pool, "SELECT * FROM outbox.journal FOR UPDATE")
	begin(t, pool, "INSERT INTO other VALUES (1)")
	culprits := func() (pids []int32) {
		rows, err := pool.Query(t.Context(), "SELECT pid FROM ("+strings.TrimSuffix(strings.TrimSpace(operatorsSQL(t, "pg_locks")), ";")+") AS found")
		require.NoError(t, err)
		pids, err = pgx.CollectRows(rows, pgx.RowTo[int32])
		require.NoError(t, err)
		return pids
	}
	require.Empty(t, culprits())
	first := begin(t, pool, "UPDATE outbox.journal SET hidden = true WHERE false")
	second := begin(t, pool, insertOf("late", 1))
	require.Equal(t, []int32{int32(first.Conn().PgConn().PID()), int32(second.Conn().PgConn().PID())}, culprits())
	require.NoError(t, first.Rollback(t.Context()))
	require.NoError(t, second.Commit(t.Context()))
	require.Empty(t, culprits())
}
