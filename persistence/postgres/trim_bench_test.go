package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/postgres"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// transactionTimes notes how long transactions take, from BEGIN to the answer to COMMIT.
type transactionTimes struct {
	mu      sync.Mutex
	began   map[*pgx.Conn]time.Time
	looking map[*pgx.Conn]bool
	batches []time.Duration // hold locks
	looks   []time.Duration // only read
}

type traced struct{}

func (t *transactionTimes) TraceQueryStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	t.mu.Lock()
	defer t.mu.Unlock()
	if strings.HasPrefix(data.SQL, "begin") {
		t.began[conn], t.looking[conn] = time.Now(), strings.Contains(data.SQL, "read only")
	}
	return context.WithValue(ctx, traced{}, data.SQL == "commit")
}

func (t *transactionTimes) TraceQueryEnd(ctx context.Context, conn *pgx.Conn, _ pgx.TraceQueryEndData) {
	if commits, _ := ctx.Value(traced{}).(bool); commits {
		t.mu.Lock()
		defer t.mu.Unlock()
		took := time.Since(t.began[conn])
		if t.looking[conn] {
			t.looks = append(t.looks, took)
		} else {
			t.batches = append(t.batches, took)
		}
	}
}

// load is eight appenders, one who rolls back, so that there are gaps, and a reader of all that they append.
type load struct {
	j       *postgres.Journal
	pool    *pgxpool.Pool
	stop    atomic.Bool
	running sync.WaitGroup

	mu       sync.Mutex
	appended int
	waited   []time.Duration // from an event's time to its being read
	gap      time.Duration   // the oldest one
}

func startLoad(b *testing.B, j *postgres.Journal, pool *pgxpool.Pool, name string) *load {
	b.Helper()
	l := &load{j: j, pool: pool}
	head, err := j.Head(b.Context())
	require.NoError(b, err)
	for w := range 8 {
		l.running.Go(func() {
			id := fmt.Sprintf("appender-%s-%d", name, w)
			for seq := int64(1); !l.stop.Load(); seq++ {
				e := event(id, seq)
				e.Data = make([]byte, 256)
				if err := j.AppendEvent(context.Background(), e); err != nil {
					b.Error(err)
					return
				}
				l.note(func() { l.appended++ })
			}
		})
	}
	l.running.Go(func() {
		for !l.stop.Load() {
			if tx, err := pool.Begin(context.Background()); err == nil {
				_, _ = tx.Exec(context.Background(), insertOf("gone", 1))
				_ = tx.Rollback(context.Background())
			}
			<-time.After(5 * time.Millisecond)
		}
	})
	l.running.Go(func() {
		for after := head.Offset; !l.stop.Load(); <-time.After(time.Millisecond) {
			page, err := j.Events(context.Background(), after, query.Filter{}, query.Limits{Events: 1000})
			if err != nil {
				b.Error(err)
				return
			}
			after = page.Next
			l.note(func() {
				for i := range page.Events {
					l.waited = append(l.waited, time.Since(page.Events[i].Time))
				}
				if gap, open := j.Gap(); open {
					l.gap = max(l.gap, time.Since(gap.Since))
				}
			})
		}
	})
	return l
}

func (l *load) note(fn func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fn()
}

// end reports the metrics of the time since the start.
func (l *load) end(b *testing.B, name string, took time.Duration) {
	b.Helper()
	l.stop.Store(true)
	l.running.Wait()
	slices.Sort(l.waited)
	b.ReportMetric(float64(l.appended)/took.Seconds(), name+"-appends/s")
	b.ReportMetric(milliseconds(l.waited[len(l.waited)/2]), name+"-seen-p50-ms")
	b.ReportMetric(milliseconds(l.waited[len(l.waited)*99/100]), name+"-seen-p99-ms")
	b.ReportMetric(milliseconds(l.gap), name+"-gap-max-ms")
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// One iteration removes 100,000 records while eight append; before it they append alone.
func BenchmarkTrimBesideAppenders(b *testing.B) {
	const removable, each = 100_000, 500
	pool := migrated(b)
	times := &transactionTimes{began: map[*pgx.Conn]time.Time{}, looking: map[*pgx.Conn]bool{}}
	j := open(b, pool)
	trims := open(b, connect(b, pool.Config().ConnConfig.Database, func(c *pgxpool.Config) { c.ConnConfig.Tracer = times }))
	for b.Loop() {
		b.StopTimer()
		for i := range removable/each + 1 {
			var records []journal.Record
			for k := range each {
				r := record(fmt.Sprintf("id-%d", k))
				r.Data = make([]byte, 256)
				if i == 0 {
					r.Data = nil // of these, the last ones of the ids are left
				}
				records = append(records, r)
			}
			_, err := j.Append(b.Context(), records...)
			require.NoError(b, err)
		}
		published(b, j)
		began := time.Now()
		alone := startLoad(b, j, pool, "alone")
		<-time.After(5 * time.Second)
		alone.end(b, "alone", time.Since(began))

		beside := startLoad(b, j, pool, "beside")
		b.StartTimer()
		began = time.Now()
		trimmed, err := trims.Trim(b.Context(), journal.Retention{})
		took := time.Since(began)
		b.StopTimer()
		beside.end(b, "beside", took)
		require.NoError(b, err)
		require.EqualValues(b, removable, trimmed.Events)
		for kind, took := range map[string][]time.Duration{"batch": times.batches, "look": times.looks} {
			slices.Sort(took)
			b.ReportMetric(milliseconds(took[len(took)/2]), kind+"-p50-ms")
			b.ReportMetric(milliseconds(took[len(took)-1]), kind+"-max-ms")
		}
		b.StartTimer()
	}
}
