package takeover

import (
	"context"
	"io"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/postgres"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/sqlite"
)

// Storage is a journal of either kind.
type Storage interface {
	query.Journal
	query.SnapshotStore
	journal.Appender
	io.Closer
}

// Open opens the journal at a path, or at a URL; there, the tables must exist. It counts the statements that a PostgreSQL
// database is sent.
func Open(ctx context.Context, place string) (Storage, *atomic.Int64, error) {
	counter := &statementCounter{}
	if !strings.Contains(place, "://") {
		j, err := sqlite.Open(ctx, place)
		return j, &counter.n, err
	}
	config, err := pgxpool.ParseConfig(place)
	if err != nil {
		return nil, nil, err
	}
	config.MaxConns = 16
	config.ConnConfig.Tracer = counter
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, nil, err
	}
	j, err := postgres.Open(ctx, pool)
	if err != nil {
		pool.Close()
		return nil, nil, err
	}
	return pooled{j, pool}, &counter.n, nil
}

// pooled is a journal that closes its pool, too.
type pooled struct {
	*postgres.Journal
	pool *pgxpool.Pool
}

// Close implements io.Closer.
func (p pooled) Close() error {
	defer p.pool.Close()
	return p.Journal.Close()
}

type statementCounter struct{ n atomic.Int64 }

func (c *statementCounter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.n.Add(1)
	return ctx
}

func (*statementCounter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
