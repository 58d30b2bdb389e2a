package postgres_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/postgres"
)

// as is a pool of a user who has been granted all that the errors of Open ask for, and the user's name in SQL.
func as(t *testing.T, pool *pgxpool.Pool) (restricted *pgxpool.Pool, user string) {
	t.Helper()
	role := "outbox_test_" + strings.ToLower(rand.Text())
	user = pgx.Identifier{role}.Sanitize()
	admin(t, "CREATE ROLE "+user)
	t.Cleanup(func() { admin(t, "DROP ROLE "+user) })
	t.Cleanup(func() { exec(t, pool, "DROP OWNED BY "+user) })
	restricted = connect(t, pool.Config().ConnConfig.Database, func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["role"] = role })
	for range 20 {
		_, err := postgres.Open(t.Context(), restricted)
		missing, ok := errors.AsType[*postgres.PrivilegeError](err)
		if !ok {
			require.NoError(t, err)
			return restricted, user
		}
		for _, privilege := range missing.Missing {
			exec(t, pool, "GRANT "+privilege+" TO "+user)
		}
	}
	require.FailNow(t, "granting what is asked for does not help")
	return nil, ""
}

// A policy may hide rows from one user, and not from the next: nobody would notice.
func TestOpenRefusesRowLevelSecurity(t *testing.T) {
	for _, table := range []string{"meta", "journal", "actor_snapshots", "outbox_snapshots"} {
		t.Run(table, func(t *testing.T) {
			pool := migrated(t)
			restricted, user := as(t, pool)
			exec(t, pool, "ALTER TABLE outbox."+table+" ENABLE ROW LEVEL SECURITY", "CREATE POLICY everything ON outbox."+table+" USING (true)")
			refused := func() {
				t.Helper()
				restricted.Reset()
				_, err := postgres.Open(t.Context(), restricted)
				require.ErrorIs(t, err, postgres.ErrUnsafeOrder)
				require.ErrorContains(t, err, table)
				require.ErrorContains(t, err, strings.Trim(user, `"`))
			}
			refused()
			open(t, pool) // whom it does not concern

			admin(t, "ALTER ROLE "+user+" BYPASSRLS")
			restricted.Reset()
			open(t, restricted)

			admin(t, "ALTER ROLE "+user+" NOBYPASSRLS")
			exec(t, pool, "ALTER TABLE outbox."+table+" OWNER TO "+user)
			restricted.Reset()
			open(t, restricted) // as its owner
			exec(t, pool, "ALTER TABLE outbox."+table+" FORCE ROW LEVEL SECURITY")
			refused()
		})
	}
}

// In another encoding the server would store other text than it was given, or refuse it.
func TestOpenRefusesAnotherClientEncoding(t *testing.T) {
	pool := migrated(t)
	database := pool.Config().ConnConfig.Database
	with := func(encoding string) *pgxpool.Pool {
		return connect(t, database, func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["client_encoding"] = encoding })
	}
	for _, encoding := range []string{"LATIN1", "SQL_ASCII", "win1252"} {
		_, err := postgres.Open(t.Context(), with(encoding))
		require.ErrorContains(t, err, "client_encoding "+strings.ToUpper(encoding))
	}
	open(t, with("utf-8"))

	exec(t, pool, "ALTER DATABASE "+database+" SET client_encoding = 'LATIN1'")
	_, err := postgres.Open(t.Context(), connect(t, database))
	require.ErrorContains(t, err, "client_encoding LATIN1", "not only the pool's configuration has it")
	j := open(t, with("UTF8"))
	require.NoError(t, j.AppendEvent(t.Context(), event("Größe", 1)))
	require.Equal(t, "Größe", all(t, open(t, with("UTF8")))[0].PersistenceID)
}

// What may not even be asked for is named as well.
func TestPrivilegesOnFunctions(t *testing.T) {
	for _, function := range []string{"pg_control_system()", "pg_postmaster_start_time()"} {
		t.Run(function, func(t *testing.T) {
			pool := migrated(t)
			restricted, user := as(t, pool)
			exec(t, pool, "REVOKE EXECUTE ON FUNCTION "+function+" FROM public")
			restricted.Reset()
			_, err := postgres.Open(t.Context(), restricted)
			missing, ok := errors.AsType[*postgres.PrivilegeError](err)
			require.True(t, ok, err)
			require.Equal(t, []string{"EXECUTE ON FUNCTION " + function}, missing.Missing)

			exec(t, pool, "GRANT "+missing.Missing[0]+" TO "+user)
			open(t, restricted)
		})
	}
}

// beforeTLS is a server that reads a client's wish for TLS, and then does something. It returns the address.
func beforeTLS(t *testing.T, do func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.ReadFull(conn, make([]byte, 8))
			do(conn)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	return listener.Addr().String()
}

func TestErrorsOfTLSSayWhatIsWrong(t *testing.T) {
	certified := httptest.NewTLSServer(nil)
	defer certified.Close()
	answer := func(text string) func(net.Conn) { return func(conn net.Conn) { _, _ = io.WriteString(conn, text) } }
	for name, c := range map[string]struct {
		mode string
		do   func(net.Conn)
		says string
	}{
		"the server has none":     {"require", answer("N"), "tls error: server refused TLS connection"},
		"the connection is ended": {"require", answer(""), "tls error: EOF"},
		"nothing in common":       {"require", answer("S\x15\x03\x03\x00\x02\x02\x28"), "handshake failure"},
		"another's certificate": {"verify-full", func(conn net.Conn) {
			answer("S")(conn)
			_ = tls.Server(conn, certified.TLS).Handshake()
		}, "failed to verify certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			pool := connect(t, "there", func(config *pgxpool.Config) {
				changed, err := pgxpool.ParseConfig("postgres://someone:s3cret@" + beforeTLS(t, c.do) + "/there?sslmode=" + c.mode)
				require.NoError(t, err)
				config.ConnConfig = changed.ConnConfig
			})
			_, err := postgres.Open(t.Context(), pool)
			require.ErrorContains(t, err, c.says)
			requireNoCredentials(t, err)
		})
	}
}

// What the application has the driver call may say anything.
func TestErrorsOfTheApplicationsOwnHaveNoPassword(t *testing.T) {
	pool := connect(t, "there", func(c *pgxpool.Config) {
		c.ConnConfig.Password = "s3cret"
		c.ConnConfig.DialFunc = func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("no tunnel for s3cret")
		}
	})
	_, err := postgres.Open(t.Context(), pool)
	require.ErrorContains(t, err, "dial error: no tunnel for …")
	requireNoCredentials(t, err)
}

func requireNoCredentials(t *testing.T, err error) {
	t.Helper()
	for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)} {
		require.NotContains(t, text, "s3cret")
		require.NotContains(t, text, "someone")
	}
	_, leads := errors.AsType[*pgconn.ConnectError](err)
	require.False(t, leads, "to the configuration")
}
