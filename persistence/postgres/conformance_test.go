package postgres_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journaltest"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/postgres"
)

func TestConformance(t *testing.T) {
	pools := map[journaltest.Journal]*pgxpool.Pool{}
	openOn := func(t *testing.T, pool *pgxpool.Pool) journaltest.Journal {
		j := open(t, pool)
		pools[j] = pool
		return j
	}
	journaltest.Run(t, journaltest.Harness{
		New: func(t *testing.T) journaltest.Journal {
			return openOn(t, migrated(t))
		},
		Reopen: func(t *testing.T, j journaltest.Journal) journaltest.Journal {
			require.NoError(t, j.(*postgres.Journal).Close())
			return openOn(t, pools[j])
		},
		Capabilities: journaltest.Capabilities{
			SnapshotStore: true, Notifier: true, PersistenceIDs: true, Pinger: true, TimeFinder: true, Closer: true,
		},
	})
}
