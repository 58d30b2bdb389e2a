package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
)

// stateOf is the SQLSTATE of the server's error, which errors of the journal lead to.
func stateOf(err error) string {
	if server, ok := errors.AsType[*pgconn.PgError](err); ok {
		return server.Code
	}
	return ""
}

// failedWith counts the errors so far that have this SQLSTATE.
func (a *app) failedWith(state string) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, err := range a.errs {
		if stateOf(err) == state {
			n++
		}
	}
	return n
}

// The pool's connections have a statement_timeout, and somebody holds a lock on the table for longer than that.
func TestStatementsTimeOut(t *testing.T) {
	direct := migrated(t)
	a := startApp(t, withSecret(t, databaseURL(t, direct.Config().ConnConfig.Database), func(c *pgxpool.Config) {
		c.ConnConfig.RuntimeParams["statement_timeout"] = "100ms"
	}))
	a.during(func() {
		for range faultRounds(t, 2) {
			a.some(20)
			before := a.failedWith("57014")
			tx := begin(t, direct, "LOCK TABLE outbox.journal, outbox.outbox_snapshots IN ACCESS EXCLUSIVE MODE")
			await(t, "appends time out", func() bool { return a.failedWith("57014") > before })
			require.NoError(t, tx.Rollback(t.Context()))
		}
		a.some(20)
	})
	a.check()
}

// The server has no connection left for a while.
func TestTooManyConnections(t *testing.T) {
	s, w := newServer(t, "max_connections = 12", "superuser_reserved_connections = 0")
	a := startOver(t, s, w)
	a.during(func() {
		for range faultRounds(t, 2) {
			a.some(20)
			before := a.failedWith("53300")
			w.cutAll()
			var taken []*pgx.Conn
			await(t, "appends find no connection", func() bool {
				if conn, err := pgx.Connect(t.Context(), s.URL("postgres")); err == nil {
					taken = append(taken, conn)
				}
				w.cutAll()
				return a.failedWith("53300") > before
			})
			for _, conn := range taken {
				require.NoError(t, conn.Close(t.Context()))
			}
		}
		a.some(20)
	})
	a.check()
}

// The database's default is the strictest isolation, in which transactions fail that are to be run again.
func TestSerializableByDefault(t *testing.T) {
	direct := migrated(t)
	database := direct.Config().ConnConfig.Database
	admin(t, "ALTER DATABASE "+database+" SET default_transaction_isolation = 'serializable'")
	a := startApp(t, withSecret(t, databaseURL(t, database)))
	var isolation string
	require.NoError(t, a.pool.QueryRow(t.Context(), "SHOW transaction_isolation").Scan(&isolation))
	require.Equal(t, "serializable", isolation)
	a.during(func() {
		var rivals sync.WaitGroup
		for n := range 4 {
			rivals.Go(func() {
				for i := range faultRounds(t, 30) {
					a.transaction(t.Context(), "rivals", fmt.Sprintf("rival %d.%d", n, i))
				}
			})
		}
		rivals.Wait()
		a.some(20)
	})
	a.check()
	require.NotZero(t, a.failedWith("40001")+a.failedWith("23505"), "transactions that are to be run again")
}

// Transactions of the application take ids in an order of their own, one after another.
func TestDeadlocks(t *testing.T) {
	direct := migrated(t)
	a := startApp(t, withSecret(t, databaseURL(t, direct.Config().ConnConfig.Database), func(c *pgxpool.Config) {
		c.ConnConfig.RuntimeParams["deadlock_timeout"] = "20ms"
	}))
	a.during(func() {
		for range faultRounds(t, 3) {
			var deadlocks atomic.Int64
			one, other := begin(t, a.pool), begin(t, a.pool)
			both := make(chan error, 2)
			appendTo := func(tx pgx.Tx, id string) error {
				_, err := a.j.AppendTx(t.Context(), tx, journal.Record{PersistenceID: id, Type: "T", Data: []byte(rands())})
				return err
			}
			require.NoError(t, appendTo(one, "x"))
			require.NoError(t, appendTo(other, "y"))
			for tx, id := range map[pgx.Tx]string{one: "y", other: "x"} {
				go func() {
					err := appendTo(tx, id)
					if stateOf(err) == "40P01" {
						deadlocks.Add(1)
						both <- tx.Rollback(context.Background())
						return
					}
					both <- errors.Join(err, tx.Commit(context.Background()))
				}()
			}
			// Meanwhile others append to the same ids, and wait for nobody who waits for them.
			done := make(chan error, 2)
			for _, id := range []string{"x", "y"} {
				go func() {
					_, err := a.j.Append(t.Context(), journal.Record{PersistenceID: id, Type: "T", Data: []byte(rands())})
					done <- err
				}()
			}
			for range 2 {
				require.NoError(t, <-both)
				require.NoError(t, <-done)
			}
			require.EqualValues(t, 1, deadlocks.Load(), "one of them is to be run again")
		}
	})
	a.check()
}

var randsLast atomic.Int64

// rands is a text that occurs once.
func rands() string { return fmt.Sprint("text ", randsLast.Add(1)) }

// smallDisk mounts a file system of so many MiB. The test is skipped where that is not allowed.
func smallDisk(t *testing.T, mib int, dir string) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=0700", mib)); err != nil {
		t.Skipf("SKIPPED: a small file system cannot be mounted here (it takes root): %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
}

// fill takes what is left of the disk, but for a little.
func fill(t *testing.T, dir string) (empty func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	file, err := os.Create(path)
	require.NoError(t, err)
	chunk := make([]byte, 4096)
	for err == nil {
		_, err = file.Write(chunk)
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.NoError(t, file.Close())
	return func() { require.NoError(t, os.Remove(path)) }
}

// The disk of the journal's table is full: appends are refused, and readers go on.
func TestTheDiskOfTheTableIsFull(t *testing.T) {
	s, w := newServer(t)
	dir := s.Folder("table")
	smallDisk(t, 8, dir)
	s.Own(dir)
	pool := to(t, s)
	exec(t, pool, "CREATE TABLESPACE small LOCATION '"+dir+"'", "ALTER TABLE outbox.journal SET TABLESPACE small")
	a := startOver(t, s, w)
	a.during(func() {
		a.some(20)
		empty := fill(t, dir)
		await(t, "appends are refused", func() bool { return a.failedWith("53100") > 0 })
		a.flush()
		empty()
		a.some(20)
	})
	a.check()
}

// The disk of the server's log is full: it panics, and cannot start before there is room.
func TestTheDiskOfTheLogIsFull(t *testing.T) {
	s, w := newServer(t, "min_wal_size = 32MB", "max_wal_size = 32MB", "wal_recycle = off", "wal_init_zero = on")
	dir := s.Folder("wal")
	smallDisk(t, 64, dir)
	s.Own(dir)
	s.Stop()
	s.MoveLog(dir)
	s.Start()
	pool := to(t, s)
	exec(t, pool, "CREATE TABLE filler (data text)", "ALTER TABLE filler ALTER data SET STORAGE EXTERNAL")
	a := startOver(t, s, w)
	a.during(func() {
		a.some(20)
		empty := fill(t, dir)
		ended := func() bool {
			// Whoever writes most comes to the end of the log first.
			_, err := pool.Exec(t.Context(), "INSERT INTO filler SELECT repeat('x', 100000) FROM generate_series(1, 20)")
			return err != nil && pool.Ping(t.Context()) != nil
		}
		await(t, "the server is gone", ended)
		empty()
		s.StopImmediately()
		s.Start()
		a.some(20)
	})
	a.check()
}
