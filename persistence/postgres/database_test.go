package postgres_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/postgres"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// serverURL is where the tests make their databases.
func serverURL() string {
	if url := os.Getenv("OUTBOX_TEST_POSTGRES_URL"); url != "" {
		return url
	}
	return "postgres://postgres@127.0.0.1:5432/postgres"
}

// admin runs a statement on the server, apart from all databases of tests. Without a server the test is skipped, unless it is
// required.
func admin(t testing.TB, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, serverURL())
	if err != nil {
		if os.Getenv("OUTBOX_REQUIRE_SERVICES") == "1" {
			require.NoError(t, err, "OUTBOX_REQUIRE_SERVICES=1, but there is no PostgreSQL server")
		}
		t.Skipf("SKIPPED: there is no PostgreSQL server (OUTBOX_TEST_POSTGRES_URL, else 127.0.0.1:5432): %v", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, statement)
	require.NoError(t, err, statement)
}

// newDatabase makes an empty database, which goes with the test.
func newDatabase(t testing.TB, options string) (name string) {
	t.Helper()
	name = "outbox_test_" + strings.ToLower(rand.Text())
	admin(t, "CREATE DATABASE "+name+" "+options)
	t.Cleanup(func() { admin(t, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	return name
}

// connect opens a pool to a database, which is closed before the database goes.
func connect(t testing.TB, database string, change ...func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(serverURL())
	require.NoError(t, err)
	config.ConnConfig.Database = database
	config.MaxConns = 16
	for _, c := range change {
		c(config)
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// migrated is a pool to a database that has a journal, which nobody else uses.
func migrated(t testing.TB) *pgxpool.Pool {
	t.Helper()
	pool := connect(t, newDatabase(t, ""))
	require.NoError(t, postgres.Migrate(context.Background(), pool))
	return pool
}

func open(t testing.TB, pool *pgxpool.Pool, opts ...postgres.Option) *postgres.Journal {
	t.Helper()
	j, err := postgres.Open(context.Background(), pool, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, j.Close()) })
	return j
}

func exec(t testing.TB, pool *pgxpool.Pool, statements ...string) {
	t.Helper()
	for _, s := range statements {
		_, err := pool.Exec(context.Background(), s)
		require.NoError(t, err, s)
	}
}

func event(id string, seq int64) query.Event {
	e := query.Event{PersistenceID: id, SequenceNumber: seq, Type: "test.v1.Happened", Data: fmt.Append(nil, seq)}
	copy(e.UID[:], fmt.Sprintf("%s/%d", id, seq))
	return e
}

func all(t testing.TB, j query.Journal) []query.Event {
	t.Helper()
	page, err := j.Events(context.Background(), 0, query.Filter{}, query.Limits{Events: 100_000})
	require.NoError(t, err)
	return page.Events
}

// countingDialer counts what the server sends.
type countingDialer struct{ read atomic.Int64 }

func (d *countingDialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	return countingConn{conn, &d.read}, err
}

type countingConn struct {
	net.Conn
	read *atomic.Int64
}

func (c countingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.read.Add(int64(n))
	return n, err
}
