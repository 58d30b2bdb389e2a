package postgres_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/postgres"
)

// With a stricter isolation, whoever waits for somebody else to migrate would not see what that one has made.
func TestMigrateWaitsWhateverTheIsolation(t *testing.T) {
	for _, isolation := range []string{"read committed", "repeatable read", "serializable"} {
		t.Run(isolation, func(t *testing.T) {
			database := newDatabase(t, "")
			pool := connect(t, database, func(c *pgxpool.Config) {
				c.ConnConfig.RuntimeParams["default_transaction_isolation"] = isolation
			})
			// The first one is held up before it makes anything.
			first, second := &onceBefore{text: "CREATE TABLE"}, make(chan error, 1)
			first.do = func() {
				go func() { second <- postgres.Migrate(t.Context(), pool) }()
				awaitThat(t, func() (waits bool) {
					err := pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
						AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`).Scan(&waits)
					require.NoError(t, err)
					return waits
				}, "the second one waits")
			}
			require.NoError(t, postgres.Migrate(t.Context(), connect(t, database, func(c *pgxpool.Config) { c.ConnConfig.Tracer = first })))
			require.True(t, first.done.Load())
			require.NoError(t, <-second)
		})
	}
}
