package postgres_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/internal/pgserver"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/postgres"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// to is a pool to a server of the test's own.
func to(t *testing.T, s *pgserver.Server) *pgxpool.Pool {
	t.Helper()
	return withSecret(t, s.URL("postgres"))
}

// newServer is a server with a journal, and a proxy that leads there.
func newServer(t *testing.T, settings ...string) (*pgserver.Server, *wire) {
	t.Helper()
	// What the operating system has outlives a server's end.
	s := pgserver.New(t, append([]string{"fsync = off"}, settings...)...)
	pool := to(t, s)
	require.NoError(t, postgres.Migrate(t.Context(), pool))
	pool.Close()
	return s, newWire(t, s.Address())
}

func startOver(t *testing.T, s *pgserver.Server, w *wire) *app {
	t.Helper()
	return startApp(t, withSecret(t, s.URL("postgres"), w.through))
}

// some waits until so many more appends were acknowledged.
func (a *app) some(n int) {
	a.t.Helper()
	count := func() int {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.written
	}
	before := count()
	await(a.t, "appends go on", func() bool { return count() >= before+n })
}

func TestTheServerStopsImmediatelyAndStartsAgain(t *testing.T) {
	s, w := newServer(t)
	a := startOver(t, s, w)
	a.during(func() {
		for range faultRounds(t, 2) {
			a.some(50)
			s.StopImmediately()
			s.Start()
		}
		a.some(50)
	})
	a.check()
}

// With a standby that each commit waits for, nothing that was acknowledged is lost by the primary.
func TestFailoverToASynchronousStandby(t *testing.T) {
	primary, w := newServer(t)
	a := startOver(t, primary, w)
	standby := primary.Standby()
	synchronous(t, primary)
	a.during(func() {
		a.some(50)
		primary.StopImmediately()
		standby.Promote()
		w.moveTo(standby.Address())
		a.some(50)
	})
	a.check()
	require.Empty(t, a.blocked)
}

// synchronous has commits wait for the standby from now on.
func synchronous(t *testing.T, primary *pgserver.Server) {
	t.Helper()
	pool := to(t, primary)
	defer pool.Close()
	exec(t, pool, "ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
	await(t, "the standby is synchronous", func() bool {
		var n int
		err := pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'").Scan(&n)
		return err == nil && n == 1
	})
}

// An event that is stored here, and whose transaction still waits for a standby when that waiting is given up, is not
// acknowledged by asking again: it would be lost by a failover.
func TestAnEventIsNotAcknowledgedBeforeTheStandbyHasIt(t *testing.T) {
	primary, _ := newServer(t)
	standby := primary.Standby()
	j := open(t, to(t, primary))
	admin := to(t, primary)
	synchronous(t, primary)
	standby.Stop()
	e := event("a", 1)
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() { first <- j.AppendEvent(ctx, e) }()
	await(t, "the commit waits for the standby, and for nobody else", func() bool {
		var n int
		err := admin.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'").Scan(&n)
		return err == nil && n == 1
	})
	cancel()
	require.ErrorIs(t, <-first, context.Canceled)
	// As a backend that is terminated does; what its connection says about it is not heard.
	exec(t, admin, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
	await(t, "it has become visible", func() bool { return len(all(t, j)) == 1 })

	again := make(chan error, 1)
	go func() { again <- j.AppendEvent(t.Context(), e) }()
	await(t, "the answer waits for the standby, too", func() bool {
		require.Empty(t, again, "it was acknowledged without a standby")
		var n int
		err := admin.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'").Scan(&n)
		return err == nil && n == 1
	})
	standby.Start()
	require.NoError(t, <-again)
	require.Len(t, all(t, j), 1)
}

// lostTail are ways to come to a server that lacks what was written last, and was published.
func TestTheTailOfTheJournalIsLost(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, s *pgserver.Server, write func()) (now *pgserver.Server){
		"by a failover to a standby that was behind": func(_ *testing.T, s *pgserver.Server, write func()) *pgserver.Server {
			standby := s.Standby()
			standby.Stop()
			write()
			s.StopImmediately()
			standby.Start()
			standby.Promote()
			return standby
		},
		"by a restore from a backup": func(_ *testing.T, s *pgserver.Server, write func()) *pgserver.Server {
			s.Stop()
			s.Backup()
			s.Start()
			write()
			s.StopImmediately()
			s.Restore()
			s.Start()
			return s
		},
	} {
		for how, others := range map[string]bool{"": false, ", and others write beyond it": true} {
			if others != strings.Contains(name, "failover") && faultRounds(t, 1) == 1 {
				continue
			}
			t.Run(name+how, func(t *testing.T) {
				s, w := newServer(t)
				a := startOver(t, s, w)
				a.during(func() { a.some(30) })
				a.check()
				kept := len(a.table())
				s = lose(t, s, func() {
					a.during(func() { a.some(60) })
					a.flush()
					w.moveTo("127.0.0.1:1") // nobody is there until it is over
				})
				direct := to(t, s)
				now := open(t, direct)
				table := all(t, now)
				require.Len(t, table, kept)
				head := table[kept-1].Offset
				published := a.publishedNow()
				if others {
					straight := startRecords(t, now, 3*len(published))
					require.Greater(t, straight, head)
				}
				w.cutAll()
				w.moveTo(s.Address())

				select {
				case err := <-a.blocked:
					require.ErrorIs(t, err, outbox.ErrJournalChanged)
					t.Log(err)
				case <-time.After(faultPatience):
					require.FailNow(t, "the outbox has not noticed", "%v", a.status())
				}
				a.forget(table)
				a.during(func() { a.some(30) })
				require.Equal(t, outboxv1.State_STATE_BLOCKED, a.status().GetState())
				require.Contains(t, a.status().GetReason(), outbox.ErrJournalChanged.Error())

				// The operator knows up to where the histories agree.
				ctx, cancel := context.WithTimeout(t.Context(), faultPatience)
				defer cancel()
				require.NoError(t, a.AcceptJournal(ctx, a.status().GetJournalIdentity(), head))
				a.during(func() { a.some(30) })
				a.check()
			})
		}
	}
}

// startRecords appends records until there are so many, and returns the offset of the last.
func startRecords(t *testing.T, j *postgres.Journal, n int) query.Offset {
	t.Helper()
	for i := range n {
		r := record("others")
		r.Data = fmt.Append(nil, i)
		_, err := j.Append(t.Context(), r)
		require.NoError(t, err)
	}
	head, err := j.Head(t.Context())
	require.NoError(t, err)
	return head.Offset
}

// forget drops from what is expected all that is not in the table any more.
func (a *app) forget(table []query.Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	kept := map[string]bool{}
	for _, e := range table {
		kept[e.ID()] = true
	}
	var published []string
	for _, name := range a.published {
		if kept[name] {
			published = append(published, name)
		}
	}
	require.Greater(a.t, len(a.published), len(published), "something was lost")
	a.published = published
	for name := range a.stored {
		if !kept[name] {
			delete(a.stored, name)
		}
	}
}

// A dump that is restored into a fresh database is another journal, until an operator says that it is the same.
func TestDumpAndRestore(t *testing.T) {
	before := newDatabase(t, "")
	pool := withSecret(t, databaseURL(t, before))
	require.NoError(t, postgres.Migrate(t.Context(), pool))
	a := startApp(t, pool)
	a.during(func() { a.some(50) })
	a.check()
	head, err := a.j.Head(t.Context())
	require.NoError(t, err)
	require.NoError(t, a.system.Root.StopFuture(a.pid).Wait())

	dir, err := os.MkdirTemp("", "dump") //nolint:usetesting // PostgreSQL's user is not let into t.TempDir
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o777))
	file := filepath.Join(dir, "dump.sql")
	after := newDatabase(t, "")
	pgserver.Run(t, "pg_dump", "--file="+file, "--dbname="+databaseURL(t, before))
	pgserver.Run(t, "psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file="+file, databaseURL(t, after))

	b := startApp(t, withSecret(t, databaseURL(t, after)))
	b.during(func() { b.some(50) })
	select {
	case err := <-b.blocked:
		require.ErrorIs(t, err, outbox.ErrJournalChanged)
		t.Log(err)
	case <-time.After(faultPatience):
		require.FailNow(t, "the outbox has not noticed")
	}
	require.Empty(t, b.publishedNow())
	ctx, cancel := context.WithTimeout(t.Context(), faultPatience)
	defer cancel()
	require.NoError(t, b.AcceptJournal(ctx, b.status().GetJournalIdentity(), head.Offset))
	b.flush()
	require.NotContains(t, b.publishedNow(), a.publishedNow()[0], "only what is new")
	b.published = append(a.publishedNow(), b.publishedNow()...)
	b.check()
}
