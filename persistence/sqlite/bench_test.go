package sqlite_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/sqlite"
)

func openB(b *testing.B, path string) *sqlite.Journal {
	b.Helper()
	j, err := sqlite.Open(b.Context(), path)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, j.Close()) })
	return j
}

// Appends of actors that write at the same time share transactions. "ratio" compares with one that writes alone, one
// event per transaction, in the same run.
func BenchmarkAppend(b *testing.B) {
	var alone float64
	for _, actors := range []int{1, 32, 256} {
		b.Run(fmt.Sprintf("actors=%d", actors), func(b *testing.B) {
			j := openB(b, filepath.Join(b.TempDir(), "journal.db"))
			each := (b.N + actors - 1) / actors
			var wg sync.WaitGroup
			b.ResetTimer()
			start := time.Now()
			for a := range actors {
				wg.Go(func() {
					for seq := range each {
						if err := j.AppendEvent(b.Context(), event(fmt.Sprintf("actor-%d", a), int64(seq+1))); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			rate := float64(each*actors) / time.Since(start).Seconds()
			b.ReportMetric(rate, "events/s")
			if actors == 1 {
				alone = rate
			} else if alone > 0 {
				b.ReportMetric(rate/alone, "ratio")
			}
		})
	}
}

// "ratio" compares the feed with a plain loop over the same pages and columns, in the same run.
func BenchmarkFeed(b *testing.B) {
	const events, page = 20_000, 1_000
	path := filepath.Join(b.TempDir(), "journal.db")
	j := openB(b, path)
	for i := 0; i < events; i += page {
		var records []journal.Record
		for n := i; n < i+page; n++ {
			records = append(records, journal.Record{PersistenceID: fmt.Sprintf("order-%d", n%1000), Type: "shop.v1.OrderPlaced", ContentType: "application/protobuf", Data: make([]byte, 100)})
		}
		_, err := j.Append(b.Context(), records...)
		require.NoError(b, err)
	}
	db, err := sql.Open("sqlite", "file:"+path)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, db.Close()) })

	var plain float64
	b.Run("plain loop", func(b *testing.B) {
		for b.Loop() {
			n := 0
			for after, more := int64(0), true; more; {
				before := n
				rows, err := db.QueryContext(b.Context(), `SELECT offset, persistence_id, sequence_number, uid, type, content_type,
					data, time, tags, metadata, slice FROM events WHERE offset > ? ORDER BY offset LIMIT ?`, after, page)
				require.NoError(b, err)
				for rows.Next() {
					var (
						e              query.Event
						uid            []byte
						tags, metadata sql.NullString
						micros, slice  int64
					)
					if err := rows.Scan(&after, &e.PersistenceID, &e.SequenceNumber, &uid, &e.Type, &e.ContentType,
						&e.Data, &micros, &tags, &metadata, &slice); err != nil {
						b.Fatal(err)
					}
					n++
				}
				require.NoError(b, rows.Err())
				require.NoError(b, rows.Close())
				more = n > before
			}
			require.Equal(b, events, n)
		}
		plain = float64(events*b.N) / b.Elapsed().Seconds()
		b.ReportMetric(plain, "events/s")
	})
	b.Run("journal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			n := 0
			for after, more := query.Offset(0), true; more; {
				p, err := j.Events(b.Context(), after, query.Filter{}, query.Limits{Events: page})
				require.NoError(b, err)
				n, after, more = n+len(p.Events), p.Next, p.More
			}
			require.Equal(b, events, n)
		}
		rate := float64(events*b.N) / b.Elapsed().Seconds()
		b.ReportMetric(rate, "events/s")
		if plain > 0 {
			b.ReportMetric(rate/plain, "ratio")
		}
	})
}
