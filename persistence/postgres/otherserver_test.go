package postgres_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/postgres"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// onceBefore carries something out once, before a connection sends a statement that contains a text.
type onceBefore struct {
	text string
	do   func()
	done atomic.Bool
}

func (o *onceBefore) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if strings.Contains(data.SQL, o.text) && o.done.CompareAndSwap(false, true) {
		o.do()
	}
	return ctx
}

func (*onceBefore) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// failingOver is a journal whose new connections lead to another database from the moment at which an old one sends a statement
// with that text for the first time. Then it does the rest.
func failingOver(t *testing.T, from, to *pgxpool.Pool, text string) (j *postgres.Journal, failover *onceBefore) {
	t.Helper()
	var moved atomic.Bool
	failover = &onceBefore{text: text}
	j = open(t, connect(t, from.Config().ConnConfig.Database, func(c *pgxpool.Config) {
		c.ConnConfig.Tracer = failover
		c.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
			if moved.Load() {
				c.Database = to.Config().ConnConfig.Database
			}
			return nil
		}
	}))
	failover.do = func() { moved.Store(true) }
	return j, failover
}

// then adds to what is done.
func (o *onceBefore) then(do func()) {
	first := o.do
	o.do = func() { first(); do() }
}

// A failover happens while somebody reads, and the old server goes on answering him. What others find out meanwhile about the new
// one is not true of the old one.
func TestAReaderOnTheOldServerDoesNotBelieveInTheNewOne(t *testing.T) {
	for name, filter := range everyFilter {
		t.Run(name, func(t *testing.T) {
			older, newer := migrated(t), migrated(t)
			for pool, n := range map[*pgxpool.Pool]int64{older: 2, newer: 6} {
				for seq := range n {
					exec(t, pool, insertOf("a", seq+1))
				}
			}
			j, failover := failingOver(t, older, newer, "pg_locks")
			failover.then(func() {
				names, next := sees(t, j, 0, filter)
				require.Contains(t, names, "a/6")
				require.EqualValues(t, 6, next)
			})
			page, err := j.Events(t.Context(), 0, filter, query.Limits{Events: 100})
			require.True(t, failover.done.Load())
			if err == nil {
				require.LessOrEqual(t, int(page.Next), 2, "the old server had no more")
			}
			names, _ := sees(t, j, page.Next, filter)
			require.Contains(t, names, "a/3 a/4 a/5 a/6")
		})
	}
}

// The other way round: who is at work on the old server says nothing about the new one.
func TestAReaderOnTheNewServerDoesNotBelieveInTheOldOne(t *testing.T) {
	for name, filter := range everyFilter {
		t.Run(name, func(t *testing.T) {
			older, newer := migrated(t), migrated(t)
			exec(t, newer, insertOf("a", 1))
			late := begin(t, newer, insertOf("late", 1))
			exec(t, newer, insertOf("b", 1))
			exec(t, older, insertOf("a", 1), insertOf("a", 2), insertOf("a", 3))

			j, failover := failingOver(t, older, newer, "ORDER BY ordering LIMIT")
			failover.then(func() {
				names, _ := sees(t, j, 1, filter)
				require.Empty(t, names)
			})
			require.NoError(t, j.Ping(t.Context()))
			openGap := begin(t, older, insertOf("gone", 1))
			exec(t, older, insertOf("a", 4))
			failover.then(func() { require.NoError(t, openGap.Rollback(t.Context())) })
			_, err := j.Events(t.Context(), 0, filter, query.Limits{Events: 100})
			require.True(t, failover.done.Load())
			t.Log("on the old server:", err)

			names, next := sees(t, j, 1, filter)
			require.Empty(t, names)
			require.NoError(t, late.Commit(t.Context()))
			names, _ = sees(t, j, next, filter)
			require.Equal(t, "late/1 b/1", names)
		})
	}
}
