package postgres_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// ofSize is an event of an ordinary size.
func ofSize(id string, seq int64, size int) query.Event {
	e := event(id, seq)
	e.ContentType, e.Data = "application/protobuf", make([]byte, size)
	return e
}

// appendAtOnce has actors append events for a while, each one after the other, and returns how many there were in a second.
func appendAtOnce(b *testing.B, actors int, d time.Duration, do func(id string, seq int64) error) float64 {
	b.Helper()
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		total int64
		round = time.Now().UnixNano()
	)
	start := time.Now()
	for a := range actors {
		wg.Go(func() {
			id, seq := fmt.Sprintf("actor-%d-%d", a, round), int64(0)
			for time.Since(start) < d {
				if err := do(id, seq+1); err != nil {
					b.Error(err)
					return
				}
				seq++
			}
			mu.Lock()
			defer mu.Unlock()
			total += seq
		})
	}
	wg.Wait()
	return float64(total) / time.Since(start).Seconds()
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

// Actors that append at the same time share transactions. "ratio" compares with single inserts into a table of the same
// shape, prepared, each a transaction of its own, by as many at once, over a pool of the same size. The two take turns, as
// the machine may have other things to do.
func BenchmarkAppend(b *testing.B) {
	const size, turn, conns = 256, time.Second, 32
	for _, actors := range []int{1, 32, 256} {
		b.Run(fmt.Sprintf("actors=%d", actors), func(b *testing.B) {
			many := func(c *pgxpool.Config) { c.MaxConns = conns }
			pool := migrated(b)
			database := pool.Config().ConnConfig.Database
			j := open(b, connect(b, database, many))
			exec(b, pool, "CREATE TABLE plain (LIKE outbox.journal INCLUDING ALL)")
			plain := connect(b, database, many)
			insert := func(id string, seq int64) error {
				e := ofSize(id, seq, size)
				_, err := plain.Exec(b.Context(), `INSERT INTO plain (persistence_id, sequence_number, slice, uid, type, content_type, data)
					VALUES ($1, $2, $3, $4, $5, $6, $7)`, e.PersistenceID, e.SequenceNumber, int16(query.SliceOf(e.PersistenceID)), e.UID, e.Type, e.ContentType, e.Data)
				return err
			}
			ours := func(id string, seq int64) error { return j.AppendEvent(b.Context(), ofSize(id, seq, size)) }
			appendAtOnce(b, actors, turn/5, insert) // connections are made
			appendAtOnce(b, actors, turn/5, ours)
			var rates, plains, ratios []float64
			for b.Loop() {
				p, o := appendAtOnce(b, actors, turn, insert), appendAtOnce(b, actors, turn, ours)
				rates, plains, ratios = append(rates, o), append(plains, p), append(ratios, o/p)
			}
			b.ReportMetric(0, "ns/op") // says nothing
			b.ReportMetric(median(plains), "plain/s")
			b.ReportMetric(median(rates), "events/s")
			b.ReportMetric(median(ratios), "ratio")
		})
	}
}

// "ratio" compares the feed with a plain loop over the same pages and columns, which saves an offset after each, in the
// same run.
func BenchmarkFeed(b *testing.B) {
	const events, page, size = 50_000, 1_000, 256
	pool := migrated(b)
	j := open(b, pool)
	for i := 0; i < events; i += page {
		var records []journal.Record
		for n := i; n < i+page; n++ {
			records = append(records, journal.Record{PersistenceID: fmt.Sprintf("order-%d", n%1000), Type: "shop.v1.OrderPlaced", ContentType: "application/protobuf", Data: make([]byte, size)})
		}
		_, err := j.Append(b.Context(), records...)
		require.NoError(b, err)
	}
	exec(b, pool, "VACUUM ANALYZE outbox.journal", "CREATE TABLE offsets (reached bigint)", "INSERT INTO offsets VALUES (0)")

	plain := func() {
		n := 0
		for after, more := int64(0), true; more; {
			before := n
			rows, err := pool.Query(b.Context(), `SELECT ordering, persistence_id, sequence_number, uid, type, content_type,
				data, time, tags, metadata, slice FROM outbox.journal WHERE ordering > $1 ORDER BY ordering LIMIT $2`, after, page)
			require.NoError(b, err)
			var (
				e        query.Event
				metadata []byte
			)
			_, err = pgx.ForEachRow(rows, []any{&after, &e.PersistenceID, &e.SequenceNumber, &e.UID, &e.Type, &e.ContentType,
				&e.Data, &e.Time, &e.Tags, &metadata, &e.Slice}, func() error { n++; return nil })
			require.NoError(b, err)
			exec(b, pool, fmt.Sprintf("UPDATE offsets SET reached = %d", after))
			more = n > before
		}
		require.Equal(b, events, n)
	}
	ours := func() {
		n := 0
		for after, more := query.Offset(0), true; more; {
			p, err := j.Events(b.Context(), after, query.Filter{}, query.Limits{Events: page})
			require.NoError(b, err)
			n, after, more = n+len(p.Events), p.Next, p.More
		}
		require.Equal(b, events, n)
	}
	timed := func(do func()) float64 {
		start := time.Now()
		do()
		return events / time.Since(start).Seconds()
	}
	timed(plain)
	timed(ours)
	var rates, plains, ratios []float64
	for b.Loop() {
		p, o := timed(plain), timed(ours)
		rates, plains, ratios = append(rates, o), append(plains, p), append(ratios, o/p)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(plains), "plain/s")
	b.ReportMetric(median(rates), "events/s")
	b.ReportMetric(median(ratios), "ratio")
}
