package postgres_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journaltest"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/postgres"
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
		Capabilities: journaltest.Capabilities{
			SnapshotStore: true, Notifier: true, PersistenceIDs: true, Pinger: true, TimeFinder: true, Closer: true,
		},
	})
}
