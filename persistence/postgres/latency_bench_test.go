package postgres_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/postgres"
)

// How long it takes from just before COMMIT until an event is with its publisher, one event every 20 ms: for an outbox in another
// process, for one in the process that appends, and for the floor: LISTEN, SELECT, callback, with NOTIFY in the transaction.
// "p50x" and "p99x" are times that of the floor, in the same run. They take turns, so that what else the machine does meets all.
//
//	go test -run '^$' -bench Latency -benchtime 500x .
func BenchmarkLatency(b *testing.B) {
	pool := migrated(b)
	require.NoError(b, postgres.Migrate(b.Context(), pool, postgres.WithSchema("own")))
	require.NoError(b, postgres.Migrate(b.Context(), pool, postgres.WithSchema("floor")))
	database := pool.Config().ConnConfig.Database

	writer := open(b, pool)
	reader := open(b, connect(b, database))
	own := open(b, pool, postgres.WithSchema("own"))
	floor := open(b, pool, postgres.WithSchema("floor"))
	kinds := []*latencyKind{
		{name: "floor", j: floor, notify: "NOTIFY floor", arrived: floorListener(b, connect(b, database))},
		{name: "other", j: writer, arrived: latencyOutbox(b, reader)},
		{name: "own", j: own, arrived: latencyOutbox(b, own)},
	}
	awaitThat(b, func() bool { return reader.Waking().Listening && own.Waking().Listening }, "they listen")
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	const turn = 50
	for b.Loop() {
		for _, k := range kinds {
			for range turn {
				<-ticker.C
				k.measure(b, pool)
			}
		}
	}
	for _, k := range kinds {
		slices.Sort(k.latencies)
	}
	for _, k := range kinds {
		for _, q := range []struct {
			name string
			of   float64
		}{{"p50", 0.5}, {"p99", 0.99}} {
			b.ReportMetric(float64(k.quantile(q.of).Microseconds())/1000, k.name+"-"+q.name+"-ms")
			if k != kinds[0] {
				b.ReportMetric(float64(k.quantile(q.of))/float64(kinds[0].quantile(q.of)), k.name+"-"+q.name+"x")
			}
		}
	}
}

type latencyKind struct {
	name      string
	j         *postgres.Journal
	notify    string // in the transaction
	arrived   <-chan time.Time
	latencies []time.Duration
}

func (k *latencyKind) measure(b *testing.B, pool *pgxpool.Pool) {
	tx, err := pool.Begin(b.Context())
	require.NoError(b, err)
	_, err = k.j.AppendTx(b.Context(), tx, journal.Record{PersistenceID: "a", Type: "T", Data: make([]byte, 256)})
	require.NoError(b, err)
	if k.notify != "" {
		_, err := tx.Exec(b.Context(), k.notify)
		require.NoError(b, err)
	}
	began := time.Now()
	require.NoError(b, tx.Commit(b.Context()))
	if k.notify == "" {
		k.j.Notify()
	}
	k.latencies = append(k.latencies, (<-k.arrived).Sub(began))
}

func (k *latencyKind) quantile(q float64) time.Duration {
	return k.latencies[min(int(q*float64(len(k.latencies))), len(k.latencies)-1)]
}

// latencyOutbox publishes what is in the journal, and tells when.
func latencyOutbox(b *testing.B, j *postgres.Journal) <-chan time.Time {
	arrived := make(chan time.Time, 1)
	sink := publisher.Func(func(context.Context, publisher.Event) error { arrived <- time.Now(); return nil })
	props, err := outbox.Props("latency", j, publisher.Props(sink))
	require.NoError(b, err)
	system := actor.NewActorSystem()
	pid := system.Root.Spawn(props)
	b.Cleanup(func() {
		require.NoError(b, system.Root.StopFuture(pid).Wait())
		system.Shutdown()
	})
	return arrived
}

// floorListener is the least that a program must do which is told of each event.
func floorListener(b *testing.B, pool *pgxpool.Pool) <-chan time.Time {
	arrived := make(chan time.Time, 1)
	conn, err := pool.Acquire(b.Context())
	require.NoError(b, err)
	_, err = conn.Exec(b.Context(), "LISTEN floor")
	require.NoError(b, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		last := int64(0)
		for {
			if _, err := conn.Conn().WaitForNotification(ctx); err != nil {
				return
			}
			rows, _ := conn.Query(ctx, "SELECT ordering, persistence_id, sequence_number, data FROM floor.journal WHERE ordering > $1 ORDER BY ordering LIMIT 1000", last)
			var id string
			var seq int64
			var data []byte
			_, err := pgx.ForEachRow(rows, []any{&last, &id, &seq, &data}, func() error { arrived <- time.Now(); return nil })
			if err != nil {
				return
			}
		}
	}()
	b.Cleanup(func() {
		cancel()
		<-done
		_ = conn.Hijack().Close(context.Background())
	})
	return arrived
}
