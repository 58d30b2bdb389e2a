package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
)

// Open opens the journal in the pool's database. It makes and changes nothing: the tables must be there, made by
// [Migrate] or by the script of [MigrationSQL]. ctx bounds the opening only.
//
// The pool stays the caller's: it may be used for other things, and is closed after the journal. Its configuration decides
// about credentials, TLS and the number of connections; the journal uses up to two for appends, one for each read at the same
// time, one for a moment to wake others, and one more that is not counted there while it has subscribers, see
// [Journal.Subscribe]. A connection is looked at when the journal uses it for the first time, so that what Open refuses is refused later,
// too. PgBouncer has to be in session mode: in others a connection may lead from one server to another unnoticed.
//
// It refuses a journal whose sequence would give offsets again that outboxes may have passed, as where logical replication or COPY has
// filled the table, and one that a subscription still writes to: see the package's limits.
//
// Errors wrap [ErrNotMigrated], [ErrNotJournal], [ErrStandby], [ErrUnsafeOrder], a [*SchemaError] or a [*PrivilegeError], and
// say what to do about it.
func Open(ctx context.Context, pool *pgxpool.Pool, opts ...Option) (*Journal, error) {
	t, err := newTables(opts)
	if err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	if pool == nil {
		return nil, errors.New("open the journal: the pool is nil")
	}
	config := pool.Config().ConnConfig
	j := &Journal{
		tables: t, pool: pool, statements: newStatements(t), mode: execModeOf(config), batches: takesBatches(config),
		nonce: rand.Text(), listenTimes: defaultListenTimes(),
	}
	channel := pgx.Identifier{channelOf(t)}.Sanitize()
	j.listenSQL = "LISTEN " + channel
	j.notifySQL = "NOTIFY " + channel + ", " + quoteLiteral(j.nonce)
	if err := j.open(ctx); err != nil {
		return nil, fmt.Errorf("open the journal %s: %w", t.name, withoutCredentials(err))
	}
	return j, nil
}

func (j *Journal) open(ctx context.Context) error {
	j.provider = journal.NewProvider(j)
	return j.use(ctx, func(conn *pgx.Conn) error {
		m, err := readMeta(ctx, conn, j.tables)
		if err != nil {
			return err
		}
		if err := m.check(j.tables); err != nil {
			return err
		}
		h, err := j.head(ctx, conn)
		j.identity = h.Identity
		return err
	})
}

// execModeOf has every statement planned each time that it is carried out. A plan that was made while the table was small
// would go on to read and sort all of it after it has grown. It also needs no statements that outlive a transaction.
func execModeOf(config *pgx.ConnConfig) pgx.QueryExecMode {
	if config.DescriptionCacheCapacity > 0 {
		return pgx.QueryExecModeCacheDescribe
	}
	return pgx.QueryExecModeDescribeExec
}

// takesBatches reports whether the pool's connections send batches in a mode that knows the types of parameters. With pgx's
// default the statements of a batch are prepared once for each connection.
func takesBatches(config *pgx.ConnConfig) bool {
	switch config.DefaultQueryExecMode {
	case pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec:
		return true
	}
	return false
}
