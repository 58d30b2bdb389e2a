package postgres_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journaltest"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/postgres"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

func TestConformance(t *testing.T) {
	// A schema for each case costs less than a database.
	pool := connect(t, newDatabase(t, ""))
	schemas := map[journaltest.Journal]postgres.Option{}
	openIn := func(t *testing.T, schema postgres.Option) journaltest.Journal {
		j := open(t, pool, schema)
		schemas[j] = schema
		return j
	}
	journaltest.Run(t, journaltest.Harness{
		New: func(t *testing.T) journaltest.Journal {
			schema := postgres.WithSchema(fmt.Sprintf("case %d", len(schemas)))
			require.NoError(t, postgres.Migrate(t.Context(), pool, schema))
			return openIn(t, schema)
		},
		Reopen: func(t *testing.T, j journaltest.Journal) journaltest.Journal {
			require.NoError(t, j.(*postgres.Journal).Close())
			return openIn(t, schemas[j])
		},
		Crash: func(t *testing.T, j journaltest.Journal) journaltest.Journal {
			return openIn(t, schemas[j]) // the server outlives the process, with whatever it had sent
		},
		Open: func(t *testing.T, j journaltest.Journal) journaltest.Journal {
			return openIn(t, schemas[j])
		},
		Begin: func(t *testing.T, j journaltest.Journal, e query.Event) journaltest.Transaction {
			tx, err := j.(*postgres.Journal).BeginAppend(context.Background(), e)
			require.NoError(t, err)
			return transaction{tx}
		},
		Capabilities: journaltest.Capabilities{
			SnapshotStore: true, Notifier: true, PersistenceIDs: true, Pinger: true, TimeFinder: true, Appender: true, Trimmer: true, Closer: true,
		},
	})
}

// transaction is one that has appended, and ends whenever the suite says so.
type transaction struct{ tx pgx.Tx }

func (t transaction) Commit() error   { return t.tx.Commit(context.Background()) }
func (t transaction) Rollback() error { return t.tx.Rollback(context.Background()) }
