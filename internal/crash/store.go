package crash

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/postgres"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/sqlite"
)

const (
	// openTimeout bounds the opening of a journal, with all that it takes until its server is there.
	openTimeout = 30 * time.Second
	// openAgainAfter is how long a worker waits before it tries once more to open a journal.
	openAgainAfter = 50 * time.Millisecond
)

// store is what a worker needs of a journal, and what an outbox asks one for besides.
type store interface {
	journal.Store
	query.Journal
	query.SnapshotStore
	query.Notifier
	query.PersistenceIDs
	query.Pinger
	query.TimeFinder
	Close() error
}

var (
	_ store = (*sqlite.Journal)(nil)
	_ store = (*postgres.Journal)(nil)
)

// openStore opens the job's journal, which is made if there is none. A server may be down: then it is tried again.
func openStore(ctx context.Context, r *reporter) (s store, err error) {
	if !strings.HasPrefix(r.job.Journal, "postgres://") {
		err = r.around(ctx, opens, 0, func() (err error) {
			s, err = sqlite.Open(ctx, r.job.Journal)
			return err
		})
		return s, err
	}
	pool, err := pgxpool.New(ctx, r.job.Journal)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	for {
		err := r.around(ctx, opens, 0, func() (err error) {
			s, err = openPostgres(ctx, pool)
			return err
		})
		if err == nil {
			return s, nil
		}
		select {
		case <-time.After(openAgainAfter):
		case <-ctx.Done():
			pool.Close()
			return nil, fmt.Errorf("the journal could not be opened within %v: %w", openTimeout, err)
		}
	}
}

// openPostgres makes the journal as well: two programs that do so at once do not get into each other's way.
func openPostgres(ctx context.Context, pool *pgxpool.Pool) (store, error) {
	if err := postgres.Migrate(ctx, pool); err != nil {
		return nil, err
	}
	j, err := postgres.Open(ctx, pool)
	if err != nil {
		return nil, err
	}
	return pooled{j, pool}, nil
}

// pooled is a journal that has a pool to itself.
type pooled struct {
	*postgres.Journal
	pool *pgxpool.Pool
}

func (p pooled) Close() error {
	defer p.pool.Close()
	return p.Journal.Close()
}
