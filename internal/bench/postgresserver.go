package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/postgres"
)

// errNoServer says that a case needs a PostgreSQL server, and that none answers.
var errNoServer = errors.New("there is no PostgreSQL server (OUTBOX_TEST_POSTGRES_URL, else 127.0.0.1:5432)")

// requireServices is whether a service that is not there is a failure, rather than a reason to skip.
func requireServices() bool { return os.Getenv("OUTBOX_REQUIRE_SERVICES") == "1" }

func serverURL() string {
	if url := os.Getenv("OUTBOX_TEST_POSTGRES_URL"); url != "" {
		return url
	}
	return "postgres://postgres@127.0.0.1:5432/postgres"
}

// database is one that is made for a run, and dropped after it. Each journal has a schema of its own in it.
type database struct {
	name    string
	schemas map[shape]string // journals that were made, by what is in them
}

// postgres is the database of this run. It is made when it is asked for first.
func (b *bench) postgres(ctx context.Context) (*database, error) {
	if b.database != nil {
		return b.database, nil
	}
	d := &database{name: "outbox_bench_" + strings.ToLower(rand.Text()), schemas: make(map[shape]string)}
	if err := onServer(ctx, "CREATE DATABASE "+d.name); err != nil {
		return nil, err
	}
	b.database = d
	return d, nil
}

// drop removes the database, even if the run was interrupted.
func (d *database) drop(ctx context.Context) error {
	return onServer(context.WithoutCancel(ctx), "DROP DATABASE IF EXISTS "+d.name+" WITH (FORCE)")
}

// onServer carries out a statement outside of the run's database.
func onServer(ctx context.Context, statement string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, serverURL())
	if err != nil {
		return fmt.Errorf("%w: %w", errNoServer, err)
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	_, err = conn.Exec(ctx, statement)
	return err
}

// config is that of a pool of as many connections as whatever is measured could use.
func (d *database) config() (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(serverURL())
	if err != nil {
		return nil, err
	}
	config.ConnConfig.Database = d.name
	config.MaxConns = writers
	return config, nil
}

// connect opens a pool to the database, to be closed.
func (d *database) connect(ctx context.Context, change ...func(*pgxpool.Config)) (*pgxpool.Pool, error) {
	config, err := d.config()
	if err != nil {
		return nil, err
	}
	for _, c := range change {
		c(config)
	}
	return pgxpool.NewWithConfig(ctx, config)
}

// served is a journal in the database, with a pool of its own.
type served struct {
	*postgres.Journal
	pool *pgxpool.Pool
}

// open opens the journal in a schema, as another process would.
func (d *database) open(ctx context.Context, schema string, change ...func(*pgxpool.Config)) (*served, error) {
	pool, err := d.connect(ctx, change...)
	if err != nil {
		return nil, err
	}
	j, err := postgres.Open(ctx, pool, postgres.WithSchema(schema))
	if err != nil {
		pool.Close()
		return nil, err
	}
	return &served{j, pool}, nil
}

// Close closes the journal and its pool.
func (s *served) Close() error {
	err := s.Journal.Close()
	s.pool.Close()
	return err
}
