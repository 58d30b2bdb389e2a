package crash_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/internal/crash"
	"github.com/protoactor-contrib/protoactor-outbox/internal/pgserver"
)

// postgresDatabase is a database of a server of the test's own. The server has to run when a method is called.
type postgresDatabase struct {
	server *pgserver.Server
	name   string
}

var databases atomic.Int64 // so far

func newPostgresDatabase(t *testing.T, server *pgserver.Server) database {
	t.Helper()
	d := postgresDatabase{server, fmt.Sprintf("crash%d", databases.Add(1))}
	d.execute(t, "postgres", "CREATE DATABASE "+d.name)
	return d
}

func (d postgresDatabase) journal() string { return d.server.URL(d.name) }

// with runs do with a connection of its own.
func (d postgresDatabase) with(t *testing.T, database string, do func(context.Context, *pgx.Conn)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, d.server.URL(database))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(ctx)) }()
	do(ctx, conn)
}

func (d postgresDatabase) execute(t *testing.T, database string, statements ...string) {
	t.Helper()
	d.with(t, database, func(ctx context.Context, conn *pgx.Conn) {
		for _, s := range statements {
			_, err := conn.Exec(ctx, s)
			require.NoError(t, err, s)
		}
	})
}

func ask[T any](t *testing.T, d postgresDatabase, question string, args ...any) (answer T) {
	t.Helper()
	d.with(t, d.name, func(ctx context.Context, conn *pgx.Conn) {
		require.NoError(t, conn.QueryRow(ctx, question, args...).Scan(&answer), question)
	})
	return answer
}

// How far the making of a journal may have come: it is made in one transaction.
const (
	schemaMissing = "no schema"
	schemaMade    = "the schema"
)

func (d postgresDatabase) state(t *testing.T) (state string, made bool) {
	t.Helper()
	if ask[bool](t, d, "SELECT to_regnamespace('outbox') IS NOT NULL") {
		return schemaMade, true
	}
	return schemaMissing, false
}

// unmake makes the database anew. That ends whoever may still be at work in it for a killed worker.
func (d postgresDatabase) unmake(t *testing.T) {
	t.Helper()
	d.execute(t, "postgres", "DROP DATABASE "+d.name+" WITH (FORCE)", "CREATE DATABASE "+d.name)
}

// savedIndex may be changed once more by a save that a killed worker has begun: the server carries it on.
func (d postgresDatabase) savedIndex(t *testing.T) int64 {
	t.Helper()
	return ask[int64](t, d, "SELECT idx FROM outbox.outbox_snapshots WHERE key = $1", crash.OutboxKey)
}

func (d postgresDatabase) settle(t *testing.T) {
	t.Helper()
	require.NoError(t, testkit.AwaitCondition(t.Context(), func() bool {
		return ask[int](t, d, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()") == 0
	}, patience, "the server is still at work for killed workers"))
}

// cut ends all connections to the database, and returns how many there were.
func (d postgresDatabase) cut(t *testing.T) int {
	t.Helper()
	return ask[int](t, d, `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid()`)
}

func (d postgresDatabase) events(t *testing.T) map[event]string {
	t.Helper()
	events := map[event]string{}
	d.with(t, d.name, func(ctx context.Context, conn *pgx.Conn) {
		rows, err := conn.Query(ctx, "SELECT persistence_id, sequence_number, data FROM outbox.journal")
		require.NoError(t, err)
		var (
			e    event
			data []byte
		)
		_, err = pgx.ForEachRow(rows, []any{&e.id, &e.seq, &data}, func() error {
			events[e] = payloadOf(t, data)
			return nil
		})
		require.NoError(t, err)
	})
	return events
}
