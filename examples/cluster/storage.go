package main

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/postgres"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/sqlite"
)

// storage is the journal that all members share.
type storage struct {
	orders journal.Store
	outbox feed
	close  func() error
}

// feed is what an outbox needs of a journal.
type feed interface {
	query.Journal
	query.SnapshotStore
}

// polled is a feed that wakes nobody. A SQLite journal wakes an outbox at what its own process appends, so that the outbox
// looks less often by itself; here, most is appended by others.
type polled struct{ feed }

// isDatabase tells the URL of a PostgreSQL database from the path of a SQLite file.
func isDatabase(place string) bool { return strings.Contains(place, "://") }

// openStorage opens the journal. SQLite makes its file if there is none; in PostgreSQL the tables must exist.
func openStorage(ctx context.Context, place string) (storage, error) {
	if !isDatabase(place) {
		j, err := sqlite.Open(ctx, place)
		if err != nil {
			return storage{}, err
		}
		return storage{orders: j, outbox: polled{j}, close: j.Close}, nil
	}
	pool, err := pgxpool.New(ctx, place)
	if err != nil {
		return storage{}, err
	}
	j, err := postgres.Open(ctx, pool)
	if err != nil {
		pool.Close()
		return storage{}, err
	}
	return storage{orders: j, outbox: j, close: func() error {
		defer pool.Close()
		return j.Close()
	}}, nil
}

// makeStorage makes what the members find when they open it.
func makeStorage(ctx context.Context, place string) error {
	if isDatabase(place) {
		pool, err := pgxpool.New(ctx, place)
		if err != nil {
			return err
		}
		defer pool.Close()
		return postgres.Migrate(ctx, pool)
	}
	j, err := openStorage(ctx, place)
	if err != nil {
		return err
	}
	return j.close()
}
