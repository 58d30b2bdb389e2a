package postgres_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/postgres"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// A pool that resets its sessions takes away what the driver has prepared in them, and the driver does not know.
func TestAPoolThatResetsItsSessions(t *testing.T) {
	database := migrated(t).Config().ConnConfig.Database
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec} {
		t.Run(mode.String(), func(t *testing.T) {
			pool := connect(t, database, func(c *pgxpool.Config) {
				c.MaxConns = 1 // each call gets the session that was reset before
				c.ConnConfig.DefaultQueryExecMode = mode
				c.AfterRelease = func(conn *pgx.Conn) bool {
					_, err := conn.Exec(context.Background(), "DISCARD ALL", pgx.QueryExecModeSimpleProtocol)
					return err == nil
				}
			})
			id := mode.String()
			for round := range int64(4) {
				j, err := postgres.Open(t.Context(), pool) // each time on a session that has been used
				require.NoError(t, err)
				require.NoError(t, j.AppendEvent(t.Context(), event(id, round+1)))
				require.NoError(t, j.AppendEvent(t.Context(), event(fmt.Sprint(id, round), 1)))
				_, err = j.Append(t.Context(), journal.Record{PersistenceID: id + "-records", Type: "T"})
				require.NoError(t, err)
				require.NoError(t, j.SaveActorSnapshot(t.Context(), id, journal.ActorSnapshot{Index: 1, Type: "T"}))
				saved, err := j.Acquire(t.Context(), "outbox/"+id, 0, round)
				require.NoError(t, err)
				require.NoError(t, j.Save(t.Context(), "outbox/"+id, query.Saved{Epoch: saved.Epoch, Index: saved.Index + 1}))
				require.NoError(t, j.HideEvents(t.Context(), id, round))
				_, err = j.Trim(t.Context(), journal.Retention{})
				require.NoError(t, err)
				tx, err := pool.Begin(t.Context())
				require.NoError(t, err)
				_, err = j.AppendTx(t.Context(), tx, journal.Record{PersistenceID: id + "-records", Type: "T"})
				require.NoError(t, err)
				require.NoError(t, tx.Commit(t.Context()))
				n, err := j.LastSequenceNumber(t.Context(), id+"-records")
				require.NoError(t, err)
				require.Equal(t, 2*(round+1), n)
				for _, filter := range everyFilter {
					_, err = j.Events(t.Context(), 0, filter, query.Limits{Events: 100})
					require.NoError(t, err)
				}
				require.NoError(t, j.Close())
				require.NoError(t, postgres.Migrate(t.Context(), pool))
			}
		})
	}
}
