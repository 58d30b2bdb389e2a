package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/postgres"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// held is a journal whose only connection is taken, so that appends wait and then share a transaction.
type held struct {
	*postgres.Journal
	t    *testing.T
	pool *pgxpool.Pool
	conn *pgxpool.Conn
}

func hold(t *testing.T, database string) *held {
	t.Helper()
	h := &held{t: t, pool: connect(t, database, func(c *pgxpool.Config) { c.MaxConns = 1 })}
	h.Journal = open(t, h.pool)
	h.take()
	return h
}

func (h *held) take() {
	h.t.Helper()
	var err error
	h.conn, err = h.pool.Acquire(h.t.Context())
	require.NoError(h.t, err)
}

// start appends in the background, and waits until the call is in the queue.
func (h *held) start(ctx context.Context, do func(context.Context) error) <-chan error {
	h.t.Helper()
	answer, before := make(chan error, 1), h.Waiting()
	go func() { answer <- do(ctx) }()
	require.Eventually(h.t, func() bool { return h.Waiting() > before }, 20*time.Second, time.Millisecond)
	return answer
}

func (h *held) event(e query.Event) <-chan error {
	h.t.Helper()
	return h.start(h.t.Context(), func(ctx context.Context) error { return h.AppendEvent(ctx, e) })
}

func (h *held) records(records ...journal.Record) <-chan error {
	h.t.Helper()
	return h.start(h.t.Context(), func(ctx context.Context) error {
		_, err := h.Append(ctx, records...)
		return err
	})
}

func transactionsOf(t *testing.T, pool *pgxpool.Pool) (n int) {
	t.Helper()
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT count(DISTINCT xmin::text) FROM outbox.journal").Scan(&n))
	return n
}

func TestAppendsAtTheSameTimeShareATransaction(t *testing.T) {
	pool := migrated(t)
	h := hold(t, pool.Config().ConnConfig.Database)
	var answers []<-chan error
	for i := range 20 {
		answers = append(answers, h.event(event(fmt.Sprintf("id-%d", i), 1)))
	}
	h.conn.Release()
	for _, answer := range answers {
		require.NoError(t, <-answer)
	}
	require.Equal(t, 1, transactionsOf(t, pool))
	require.Len(t, all(t, h), 20)
}

func TestOneCallDoesNotFailItsNeighbours(t *testing.T) {
	pool := migrated(t)
	exec(t, pool, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'poison was refused'; END $$`,
		`CREATE TRIGGER refuse BEFORE INSERT ON outbox.journal FOR EACH ROW WHEN (NEW.persistence_id = 'poison') EXECUTE FUNCTION refuse()`,
		`ALTER TABLE outbox.journal ADD CONSTRAINT no_zero CHECK (type <> 'zero')`)
	h := hold(t, pool.Config().ConnConfig.Database)
	a1 := h.event(event("a", 1))
	poison := h.event(event("poison", 1))
	conflict := h.event(event("b", 7))
	a2 := h.event(event("a", 2)) // of the same id: in a later transaction
	e := event("z", 1)
	e.Type = "zero"
	zero := h.event(e)
	records := h.records(journal.Record{PersistenceID: "r", Type: "T"}, journal.Record{PersistenceID: "r", Type: "T"})
	none := h.records(journal.Record{PersistenceID: "r", Type: "T"}, journal.Record{PersistenceID: "poison", Type: "T"})
	c1 := h.event(event("c", 1))
	gone, cancel := context.WithCancel(t.Context())
	left := h.start(gone, func(ctx context.Context) error { return h.AppendEvent(ctx, event("left", 1)) })
	cancel()
	require.ErrorIs(t, <-left, context.Canceled)
	h.conn.Release()

	for _, answer := range []<-chan error{a1, a2, c1, records} {
		require.NoError(t, <-answer)
	}
	for _, answer := range []<-chan error{poison, none} {
		err := <-answer
		require.ErrorContains(t, err, "poison was refused")
		require.False(t, journal.IsFinal(err), "whoever made the trigger can drop it")
	}
	require.ErrorIs(t, <-conflict, journal.ErrSequenceConflict)
	err := <-zero
	require.ErrorIs(t, err, journal.ErrNotEncodable)
	require.ErrorContains(t, err, "no_zero")
	ids := map[string]int{}
	for _, e := range all(t, h) {
		ids[e.PersistenceID]++
	}
	require.Equal(t, map[string]int{"a": 2, "c": 1, "r": 2}, ids)
}

func TestASubscriberThatEndsItsGoroutineLeavesNobodyWithoutAnAnswer(t *testing.T) {
	j := open(t, migrated(t))
	defer j.Subscribe(runtime.Goexit)()
	for seq := int64(1); seq <= 3; seq++ {
		require.NoError(t, j.AppendEvent(t.Context(), event("a", seq)))
	}
}

// An id that somebody is at work on holds up no other id, however he appends.
func TestABusyIDHoldsUpNoOther(t *testing.T) {
	pool := migrated(t)
	j := open(t, pool)
	for name, tx := range map[string]interface{ Commit(context.Context) error }{
		"ours":    func() interface{ Commit(context.Context) error } { return mustBeginAppend(t, j, event("ours", 1)) }(),
		"another": begin(t, pool, insertOf("another", 1)),
	} {
		waits := make(chan error, 2)
		e := event(name, 1)
		e.UID[15] = 7
		go func() { waits <- j.AppendEvent(t.Context(), e) }()
		for i := range 10 {
			require.NoError(t, j.AppendEvent(t.Context(), event(fmt.Sprintf("other-%s-%d", name, i), 1)))
			_, err := j.Append(t.Context(), journal.Record{PersistenceID: "records", Type: "T"})
			require.NoError(t, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		_, err := j.Append(ctx, journal.Record{PersistenceID: name, Type: "T"})
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded, name)
		require.Empty(t, waits, name)
		require.NoError(t, tx.Commit(t.Context()))
		require.ErrorIs(t, <-waits, journal.ErrSequenceConflict, name)
		pointers, err := j.Append(t.Context(), journal.Record{PersistenceID: name, Type: "T"})
		require.NoError(t, err)
		require.Equal(t, []query.Pointer{{PersistenceID: name, SequenceNumber: 2}}, pointers, "nothing was appended after the caller had left")
	}
}

// A connection that is lost leaves the outcome open. Appending again settles it.
func TestAConnectionThatIsLost(t *testing.T) {
	pool := migrated(t)
	database := pool.Config().ConnConfig.Database
	exec(t, pool, `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$`,
		`CREATE TRIGGER slow BEFORE INSERT ON outbox.journal FOR EACH ROW WHEN (NEW.type = 'slow') EXECUTE FUNCTION slow()`)
	j := open(t, connect(t, database))
	answer := make(chan error, 1)
	e := event("a", 1)
	e.Type = "slow"
	go func() { answer <- j.AppendEvent(t.Context(), e) }()
	require.Eventually(t, func() bool {
		var killed int
		err := pool.QueryRow(t.Context(), `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event = 'PgSleep'`).Scan(&killed)
		return err == nil && killed > 0
	}, 20*time.Second, 5*time.Millisecond)
	err := <-answer
	require.Error(t, err)
	require.False(t, journal.IsFinal(err), "%v", err)
	exec(t, pool, "DROP TRIGGER slow ON outbox.journal")
	require.NoError(t, j.AppendEvent(t.Context(), e))
	require.NoError(t, j.AppendEvent(t.Context(), e), "as after a commit that nobody heard of")
	require.Len(t, all(t, j), 1)
}

func TestNobodyIsLeftWaitingByAServerThatIsGone(t *testing.T) {
	database := newDatabase(t, "")
	pool := connect(t, database)
	require.NoError(t, postgres.Migrate(t.Context(), pool))
	j := open(t, pool)
	require.NoError(t, j.AppendEvent(t.Context(), event("a", 1)))
	admin(t, "ALTER DATABASE "+database+" ALLOW_CONNECTIONS false")
	pool.Reset()
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() { errs[i] = j.AppendEvent(t.Context(), event(fmt.Sprintf("id-%d", i), 1)) })
	}
	wg.Wait()
	for _, err := range errs {
		require.ErrorContains(t, err, "connect to the server")
		require.False(t, journal.IsFinal(err))
	}
	admin(t, "ALTER DATABASE "+database+" ALLOW_CONNECTIONS true")
	require.NoError(t, j.AppendEvent(t.Context(), event("a", 2)))
	require.Len(t, all(t, j), 2)
}

func TestHundredsAppendAtOnce(t *testing.T) {
	const actors, rivals, recorders, each = 150, 40, 20, 5
	j := open(t, migrated(t))
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		stored = map[query.Pointer]bool{}
	)
	note := func(pointers ...query.Pointer) {
		mu.Lock()
		defer mu.Unlock()
		for _, p := range pointers {
			if stored[p] {
				t.Errorf("%v was given twice", p)
			}
			stored[p] = true
		}
	}
	for n := range actors {
		wg.Go(func() {
			id := fmt.Sprintf("actor-%d", n)
			for seq := int64(1); seq <= each; seq++ {
				// Every other one is told too late, and appends again.
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(seq%2)*time.Millisecond+time.Nanosecond)
				err := j.AppendEvent(ctx, event(id, seq))
				cancel()
				if err != nil {
					err = j.AppendEvent(t.Context(), event(id, seq))
				}
				if err != nil {
					t.Error(err)
					return
				}
				note(query.Pointer{PersistenceID: id, SequenceNumber: seq})
			}
		})
	}
	for n := range rivals {
		wg.Go(func() {
			for range each {
				id := fmt.Sprintf("shared-%d", n%3)
				last, err := j.LastSequenceNumber(t.Context(), id)
				e := event(id, last+1)
				e.UID[15] = byte(n + 1)
				if err == nil {
					err = j.AppendEvent(t.Context(), e)
				}
				if err == nil {
					note(query.Pointer{PersistenceID: id, SequenceNumber: last + 1})
				} else if !errors.Is(err, journal.ErrSequenceConflict) {
					t.Error(err)
				}
			}
		})
	}
	for range recorders {
		wg.Go(func() {
			for n := range each {
				r := journal.Record{PersistenceID: fmt.Sprintf("records-%d", n), Type: "T"}
				pointers, err := j.Append(t.Context(), r, r, journal.Record{PersistenceID: "shared-0", Type: "T"})
				if err != nil {
					t.Error(err)
					return
				}
				note(pointers...)
			}
		})
	}
	wg.Wait()
	last := map[string]int64{}
	for _, e := range all(t, j) {
		require.Equal(t, last[e.PersistenceID]+1, e.SequenceNumber, "%s comes in order", e.PersistenceID)
		last[e.PersistenceID]++
		p := query.Pointer{PersistenceID: e.PersistenceID, SequenceNumber: e.SequenceNumber}
		require.True(t, stored[p], "nobody was told of %v", p)
		delete(stored, p)
	}
	require.Empty(t, stored)
}

func mustBeginAppend(t *testing.T, j *postgres.Journal, e query.Event) interface{ Commit(context.Context) error } {
	t.Helper()
	tx, err := j.BeginAppend(t.Context(), e)
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	return tx
}
