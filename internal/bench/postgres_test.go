package main

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// noServer is an address where nothing listens.
const noServer = "postgres://nobody@127.0.0.1:1/none"

func TestWithoutAServerItsCasesAreSkippedAloud(t *testing.T) {
	t.Setenv("OUTBOX_TEST_POSTGRES_URL", noServer)
	t.Setenv("OUTBOX_REQUIRE_SERVICES", "")
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-run=postgres-(drain|idle)", "-scale=" + tiny, "-dir=" + t.TempDir(), "-check"}, &out))
	assert.Regexp(t, `(?m)^SKIPPED postgres-drain: there is no PostgreSQL server`, out.String())
	assert.Contains(t, out.String(), "SKIPPED, and not judged: postgres-drain, postgres-idle.")
	assert.NotContains(t, out.String(), "MISS")
}

func TestAServerThatIsRequiredMustBeThere(t *testing.T) {
	t.Setenv("OUTBOX_TEST_POSTGRES_URL", noServer)
	t.Setenv("OUTBOX_REQUIRE_SERVICES", "1")
	err := run(t.Context(), []string{"-run=postgres-drain", "-scale=" + tiny, "-dir=" + t.TempDir()}, new(bytes.Buffer))
	require.ErrorIs(t, err, errNoServer)
}

// onDatabase gives a test a database, and sees that it is gone afterwards, even though the test's context has ended.
func onDatabase(t *testing.T) (*bench, *database) {
	t.Helper()
	b := newBench(new(bytes.Buffer), t.TempDir(), 1)
	d, err := b.postgres(t.Context())
	if errors.Is(err, errNoServer) && !requireServices() {
		t.Skip("SKIPPED:", err)
	}
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() {
		cancel()
		require.NoError(t, b.close(ctx))
		conn, err := pgx.Connect(context.Background(), serverURL())
		require.NoError(t, err)
		defer func() { assert.NoError(t, conn.Close(context.Background())) }()
		var left int
		require.NoError(t, conn.QueryRow(context.Background(), "SELECT count(*) FROM pg_database WHERE datname = $1", d.name).Scan(&left))
		assert.Zero(t, left, "the database is still there")
	})
	return b, d
}

func TestPlainLoopPublishesEachEventOnceAndSavesItsOffset(t *testing.T) {
	b, d := onDatabase(t)
	s := shape{ids: 3, events: 2*plainPage + 1, size: 4}
	schema, err := d.filled(t.Context(), b, s)
	require.NoError(t, err)
	j, err := d.open(t.Context(), schema)
	require.NoError(t, err)
	defer func() { require.NoError(t, j.Close()) }()
	plain := newPlainLoop(schema)
	require.NoError(t, plain.drain(t.Context(), j.pool, "plain", s.events))
	var saves, watermark int64
	require.NoError(t, j.pool.QueryRow(t.Context(), "SELECT idx, watermark FROM "+schema+".outbox_snapshots WHERE key = 'plain'").Scan(&saves, &watermark))
	assert.Equal(t, []int64{3, int64(s.events)}, []int64{saves, watermark}, "a save for each page")
	require.ErrorContains(t, plain.drain(t.Context(), j.pool, "more", s.events+1), "only 2001 events")

	conn, err := j.pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	page, err := plain.read(t.Context(), conn.Conn(), plainPage)
	require.NoError(t, err)
	want, _, err := j.EventsByPersistenceID(t.Context(), page[0].PersistenceID, page[0].SequenceNumber, query.Limits{Events: 1})
	require.NoError(t, err)
	assert.Equal(t, want[0].UID, page[0].UID)
	assert.Equal(t, want[0].Offset, page[0].Offset)
	assert.Equal(t, want[0].Slice, page[0].Slice)
	assert.Equal(t, want[0].Data, page[0].Data)
	assert.True(t, want[0].Time.Equal(page[0].Time))
}

func TestTrafficCountsWhatGoesToTheServer(t *testing.T) {
	_, d := onDatabase(t)
	schema, err := d.empty(t.Context(), "traffic")
	require.NoError(t, err)
	traffic := new(traffic)
	j, err := d.open(t.Context(), schema, traffic.watch)
	require.NoError(t, err)
	defer func() { require.NoError(t, j.Close()) }()
	state, err := stateOf(t.Context(), j.pool, schema)
	require.NoError(t, err)

	before := traffic.sums()
	for _, statement := range []string{"SELECT 1", "CREATE TABLE t AS SELECT 1 AS n", "UPDATE t SET n = 2", "INSERT INTO t VALUES (1), (2)"} {
		_, err := j.pool.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	batch := new(pgx.Batch)
	batch.Queue("DELETE FROM t")
	batch.Queue("SELECT 1")
	require.NoError(t, j.pool.SendBatch(t.Context(), batch).Close())
	after := traffic.sums()
	assert.Equal(t, int64(6), after.statements-before.statements)
	assert.Equal(t, int64(1+2+3), after.written-before.written)

	same, err := stateOf(t.Context(), j.pool, schema)
	require.NoError(t, err)
	assert.Equal(t, state, same)
	saved, err := j.Acquire(t.Context(), "outbox", 0, 0)
	require.NoError(t, err)
	acquired, err := stateOf(t.Context(), j.pool, schema)
	require.NoError(t, err)
	assert.NotEqual(t, state, acquired)
	saved.Index++
	require.NoError(t, j.Save(t.Context(), "outbox", saved))
	savedState, err := stateOf(t.Context(), j.pool, schema)
	require.NoError(t, err)
	assert.NotEqual(t, acquired, savedState)
}

func TestWatermillStallsBehindATransactionInAnotherDatabase(t *testing.T) {
	_, d := onDatabase(t)
	pool, err := d.connect(t.Context())
	require.NoError(t, err)
	defer pool.Close()
	w := &watermillPeer{pool, "stalled", 16, 100 * time.Millisecond}

	elsewhere, err := pgx.Connect(t.Context(), serverURL())
	require.NoError(t, err)
	defer func() { assert.NoError(t, elsewhere.Close(context.Background())) }()
	_, err = elsewhere.Exec(t.Context(), "BEGIN")
	require.NoError(t, err)
	_, err = elsewhere.Exec(t.Context(), "SELECT pg_current_xact_id()")
	require.NoError(t, err)
	require.ErrorIs(t, w.prepare(t.Context(), 0, 10), errStalled)
}
