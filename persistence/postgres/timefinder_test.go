package postgres_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// windows are the searches for a time, each one's statements by where they begin. One of them is given up before it is sent.
type windows struct {
	mu     sync.Mutex
	begins []int64
	giveUp func()
	at     int
}

func (w *windows) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if strings.Contains(data.SQL, "FILTER (WHERE time") {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.begins = append(w.begins, data.Args[2].(int64))
		if len(w.begins) == w.at && w.giveUp != nil {
			w.giveUp()
		}
	}
	return ctx
}

func (*windows) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// Each search reads what comes before, however much that is; clocks are set back now and then.
func TestATimeIsFoundInALongJournal(t *testing.T) {
	pool := migrated(t)
	const n = 50_000
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	// Time goes on by a second for each event; every 10,000 events the clock is set back by an hour and a bit.
	at := func(i int) time.Time {
		return start.Add(time.Duration(i)*time.Second - time.Duration(i/10_000)*time.Hour)
	}
	exec(t, pool, fmt.Sprintf(`INSERT INTO outbox.journal (persistence_id, sequence_number, slice, uid, type, content_type, time)
		SELECT 'a', i + 1, %d, gen_random_uuid(), 'T', '', timestamptz '2026-01-01 00:00Z' + i * interval '1 second' - i / 10000 * interval '1 hour'
		FROM generate_series(0, %d) AS i`, query.SliceOf("a"), n-1),
		"SELECT setval('outbox.journal_ordering_seq', 1000000000000)", insertOf("b", 1))
	w := &windows{}
	j := open(t, connect(t, pool.Config().ConnConfig.Database, func(c *pgxpool.Config) { c.ConnConfig.Tracer = w }))
	naive := func(when time.Time) query.Offset {
		for i := range n {
			if !at(i).Before(when) {
				return query.Offset(i)
			}
		}
		return 1_000_000_000_000 // before the one of now
	}
	for _, i := range []int{0, 1, 9_999, 10_000, 10_500, 16_383, 16_384, 16_385, 30_000, 39_999, 43_700, n - 1} {
		for _, when := range []time.Time{at(i), at(i).Add(time.Microsecond)} {
			got, err := j.OffsetAt(t.Context(), when)
			require.NoError(t, err)
			require.Equal(t, naive(when), got, "%d, %v", i, when)
		}
	}
	got, err := j.OffsetAt(t.Context(), time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.EqualValues(t, 1_000_000_000_001, got)
}

// A search that takes longer than a reader is patient comes to an end all the same.
func TestASearchForATimeIsContinued(t *testing.T) {
	pool := migrated(t)
	exec(t, pool, fmt.Sprintf(`INSERT INTO outbox.journal (persistence_id, sequence_number, slice, uid, type, content_type, time)
		SELECT 'a', i + 1, %d, gen_random_uuid(), 'T', '', timestamptz '2026-01-01 00:00Z' + i * interval '1 second'
		FROM generate_series(0, 39999) AS i`, query.SliceOf("a")))
	ctx, cancel := context.WithCancel(t.Context())
	w := &windows{giveUp: cancel, at: 3}
	j := open(t, connect(t, pool.Config().ConnConfig.Database, func(c *pgxpool.Config) { c.ConnConfig.Tracer = w }))
	when := time.Date(2026, 1, 1, 0, 0, 39_000, 0, time.UTC)
	_, err := j.OffsetAt(ctx, when)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, []int64{0, 16384, 32768}, w.begins)

	asks := func(when time.Time, want query.Offset, begins ...int64) {
		t.Helper()
		w.begins = nil
		got, err := j.OffsetAt(t.Context(), when)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, begins, w.begins)
	}
	asks(when.Add(-10_000*time.Second), 29_000, 0, 16384) // another time is another search
	asks(when, 39_000, 32768)
	asks(when, 39_000, 0, 16384, 32768) // one that has come to its end is not remembered
}
