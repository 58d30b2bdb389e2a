package postgres_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// A place in a stream that is taken while a group is being inserted fails the statement, and none of the others: they are
// inserted together all the same.
func TestAGroupInWhichSomebodyElseIsFaster(t *testing.T) {
	pool := migrated(t)
	exec(t, pool, "CREATE SEQUENCE tries", `CREATE FUNCTION once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF nextval('tries') = 1 THEN RAISE unique_violation; END IF; RETURN NEW; END $$`,
		`CREATE TRIGGER once BEFORE INSERT ON outbox.journal FOR EACH ROW WHEN (NEW.type = 'contested') EXECUTE FUNCTION once()`)
	h := hold(t, pool.Config().ConnConfig.Database)
	e := event("c", 1)
	e.Type = "contested"
	answers := []<-chan error{h.event(event("a", 1)), h.event(event("b", 1)), h.event(e), h.event(event("d", 1))}
	conflict := h.event(event("e", 7))
	h.conn.Release()
	for _, answer := range answers {
		require.NoError(t, <-answer)
	}
	require.ErrorIs(t, <-conflict, journal.ErrSequenceConflict)
	require.Equal(t, 1, transactionsOf(t, pool))
	require.Len(t, all(t, h), len(answers))
}

// Of a stream whose beginning was removed, the last event says which one comes next.
func TestAStreamWhoseBeginningWasRemoved(t *testing.T) {
	pool := migrated(t)
	j := open(t, pool)
	for seq := int64(1); seq <= 3; seq++ {
		require.NoError(t, j.AppendEvent(t.Context(), event("a", seq)))
	}
	exec(t, pool, "DELETE FROM outbox.journal WHERE sequence_number < 3")
	for _, seq := range []int64{1, 2, 3, 5} {
		e := event("a", seq)
		e.UID[15] = 7
		require.ErrorIs(t, j.AppendEvent(t.Context(), e), journal.ErrSequenceConflict, seq)
	}
	require.NoError(t, j.AppendEvent(t.Context(), event("a", 3)), "which is there")
	require.NoError(t, j.AppendEvent(t.Context(), event("a", 4)))
	require.Len(t, all(t, j), 2)
}

// What fails when it is committed has been inserted, and was not appended.
func TestACommitThatFails(t *testing.T) {
	pool := migrated(t)
	exec(t, pool, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused at the end'; END $$`,
		`CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON outbox.journal DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
			WHEN (NEW.persistence_id = 'poison') EXECUTE FUNCTION refuse()`)
	h := hold(t, pool.Config().ConnConfig.Database)
	a, poison, b := h.event(event("a", 1)), h.event(event("poison", 1)), h.event(event("b", 1))
	records := h.records(journal.Record{PersistenceID: "poison", Type: "T"})
	h.conn.Release()
	require.NoError(t, <-a)
	require.NoError(t, <-b)
	require.ErrorContains(t, <-poison, "refused at the end")
	require.ErrorContains(t, <-records, "refused at the end")
	require.Len(t, all(t, h), 2)
}

// While the server works on some, others are appended, and none of the same id.
func TestAnAppendThatTakesLongHoldsUpItsIDAlone(t *testing.T) {
	pool := migrated(t)
	exec(t, pool, `CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			PERFORM set_config('lock_timeout', '0', true), pg_advisory_xact_lock_shared(1); RETURN NEW; END $$`,
		`CREATE TRIGGER linger BEFORE INSERT ON outbox.journal FOR EACH ROW WHEN (NEW.type = 'slow') EXECUTE FUNCTION linger()`)
	j := open(t, pool)
	lock := begin(t, pool, "SELECT pg_advisory_xact_lock(1)")
	start := func(e query.Event) <-chan error {
		answer := make(chan error, 1)
		go func() { answer <- j.AppendEvent(t.Context(), e) }()
		return answer
	}
	e := event("slow", 1)
	e.Type = "slow"
	slow := start(e)
	require.Eventually(t, func() bool {
		var waiting bool
		err := pool.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory')").Scan(&waiting)
		return err == nil && waiting
	}, 20*time.Second, time.Millisecond)

	next := start(event("slow", 2))
	for seq := int64(1); seq <= 5; seq++ {
		require.NoError(t, j.AppendEvent(t.Context(), event("other", seq)))
	}
	require.Empty(t, slow)
	require.Empty(t, next)
	records := make(chan error, 1)
	go func() {
		_, err := j.Append(t.Context(), journal.Record{PersistenceID: "r", Type: "T"}, journal.Record{PersistenceID: "r", Type: "T"})
		records <- err
	}()
	require.Eventually(t, func() bool { return j.Waiting() == 2 }, 20*time.Second, time.Millisecond, "the id's next event, and records")
	require.NoError(t, lock.Rollback(t.Context()))
	require.NoError(t, <-slow)
	require.NoError(t, <-next)
	require.NoError(t, <-records)
}

// Whatever a pool's connections do with statements, they take appends.
func TestEveryModeOfThePool(t *testing.T) {
	pool := migrated(t)
	database, seq := pool.Config().ConnConfig.Database, int64(0)
	for _, c := range []struct {
		mode                    pgx.QueryExecMode
		statements, description int // capacities of caches
	}{
		{pgx.QueryExecModeCacheStatement, 1, 1}, {pgx.QueryExecModeCacheStatement, 2, 0},
		{pgx.QueryExecModeCacheDescribe, 0, 1}, {pgx.QueryExecModeDescribeExec, 0, 0},
		{pgx.QueryExecModeExec, 0, 0}, {pgx.QueryExecModeExec, 1, 1}, {pgx.QueryExecModeSimpleProtocol, 0, 0},
	} {
		j := open(t, connect(t, database, func(config *pgxpool.Config) {
			config.ConnConfig.DefaultQueryExecMode = c.mode
			config.ConnConfig.StatementCacheCapacity, config.ConnConfig.DescriptionCacheCapacity = c.statements, c.description
		}))
		for range 3 {
			seq++
			e := event("a", seq)
			e.Tags, e.Metadata = []string{"x", "y"}, map[string]string{"k": "v"}
			require.NoError(t, j.AppendEvent(t.Context(), e), "%+v", c)
		}
		seq++
		_, err := j.Append(t.Context(), journal.Record{PersistenceID: "a", Type: "T"})
		require.NoError(t, err, "%+v", c)
		require.ErrorIs(t, j.AppendEvent(t.Context(), event("a", seq+2)), journal.ErrSequenceConflict, "%+v", c)
		require.ErrorIs(t, j.AppendEvent(t.Context(), event("a", seq)), journal.ErrSequenceConflict, "%+v", c)
	}
	require.Len(t, all(t, open(t, pool)), int(seq))
}

// A statement that is prepared while the table is small would best read all of it. It is to be used when it has grown.
func TestAPreparedAppendSearchesTheIndex(t *testing.T) {
	pool := migrated(t)
	one := connect(t, pool.Config().ConnConfig.Database, func(c *pgxpool.Config) { c.MaxConns = 1 })
	j := open(t, one)
	settings := func() (values [4]string) {
		t.Helper()
		require.NoError(t, one.QueryRow(t.Context(), `SELECT current_setting('lock_timeout'), current_setting('plan_cache_mode'),
			current_setting('enable_seqscan'), current_setting('enable_bitmapscan')`).Scan(&values[0], &values[1], &values[2], &values[3]))
		return values
	}
	before := settings()
	for seq := int64(1); seq <= 10; seq++ {
		require.NoError(t, j.AppendEvent(t.Context(), event("a", seq)))
		exec(t, pool, "VACUUM ANALYZE outbox.journal") // whereupon it is planned again
	}
	require.NoError(t, j.AppendEvent(t.Context(), event("a", 11)))
	require.Equal(t, before, settings(), "the session is the application's")

	var name string
	require.NoError(t, one.QueryRow(t.Context(), `SELECT name FROM pg_prepared_statements WHERE statement LIKE 'INSERT INTO "outbox"."journal"%'`,
		pgx.QueryExecModeExec).Scan(&name))
	tx := begin(t, one, "SET LOCAL plan_cache_mode = force_generic_plan") // shows the plan that is there
	rows, err := tx.Query(t.Context(), "EXPLAIN EXECUTE "+name+" ('{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')", pgx.QueryExecModeExec)
	require.NoError(t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	plan := strings.Join(lines, "\n")
	require.Contains(t, plan, "using journal_pkey", plan)
	require.NotContains(t, plan, "Seq Scan", plan)
	require.NotContains(t, plan, "Sort", plan)
}
