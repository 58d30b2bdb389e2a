package postgres_test

import (
	"math/rand/v2"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
)

// startWired starts an application whose connections go through a proxy.
func startWired(t *testing.T) (*app, *wire, *pgxpool.Pool) {
	t.Helper()
	direct := migrated(t)
	w := newWire(t, serverAddress(t))
	return startApp(t, withSecret(t, databaseURL(t, direct.Config().ConnConfig.Database), w.through)), w, direct
}

// Connections are cut again and again, after a few messages, while everybody writes, reads and publishes.
func TestConnectionsAreLostWhileEverybodyIsAtWork(t *testing.T) {
	a, w, _ := startWired(t)
	random := rand.New(rand.NewPCG(seedOf(t), 0))
	a.during(func() {
		for cut := 1; cut <= faultRounds(t, 60); cut++ {
			w.cutAfter(1 + random.IntN(150))
			await(t, "a connection was cut", func() bool {
				w.mu.Lock()
				defer w.mu.Unlock()
				return w.cuts == cut
			})
		}
	})
	w.heal()
	a.check()
}

// Backends are killed, all of them at once, again and again.
func TestBackendsAreKilledWhileEverybodyIsAtWork(t *testing.T) {
	a, _, direct := startWired(t)
	random := rand.New(rand.NewPCG(seedOf(t), 1))
	killed := 0
	a.during(func() {
		for range faultRounds(t, 25) {
			var n int
			<-time.After(time.Duration(random.Int64N(int64(60 * time.Millisecond)))) // somewhere in the middle of what they do
			require.NoError(t, direct.QueryRow(t.Context(), `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
				WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`).Scan(&n))
			killed += n
		}
	})
	t.Logf("%d backends killed", killed)
	a.check()
}

// databaseURL is the URL of a database of the tests' server.
func databaseURL(t testing.TB, database string) string {
	t.Helper()
	u, err := url.Parse(serverURL())
	require.NoError(t, err)
	u.Path = "/" + database
	return u.String()
}
