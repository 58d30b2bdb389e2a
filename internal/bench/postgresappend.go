package main

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"
)

// postgresAppend compares persistent actors with a plain program that gives each event a transaction of its own, over the
// same pool, into a table of the same shape. The pool has a connection for each of them.
func postgresAppend(ctx context.Context, b *bench) (err error) {
	d, err := b.postgres(ctx)
	if err != nil {
		return err
	}
	for _, schema := range []string{"append", "append_floor"} {
		if _, err := d.empty(ctx, schema); err != nil {
			return err
		}
	}
	j, err := d.open(ctx, "append")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	many, few := b.scaled(500, 2), b.scaled(250, 1) // events of each writer
	speeds, err := compare(b.rounds(),
		contender{many * writers, func(round int) error { return b.world.persist(ctx, j, round, many) }},
		contender{few * writers, func(round int) error {
			return singleInserts(ctx, j.pool, newPlainLoop("append_floor").insert, round, few)
		}},
	)
	if err != nil {
		return err
	}
	ours, floor := speeds[0], speeds[1]
	b.line("postgres-append", "actors", writers, "connections", j.pool.Config().MaxConns, "events", many*writers,
		"per_s", ours.median(), "floor_per_s", floor.median(), "ratio", ours.over(floor).median())
	b.claim(atLeast("postgres-append: 32 actors, against one event per transaction", "×", 2, 4), ours.over(floor).median())
	return nil
}

// singleInserts commits each event by itself, in a prepared statement, from as many goroutines as there are writers. Each
// keeps its connection.
func singleInserts(ctx context.Context, pool *pgxpool.Pool, insert string, round, events int) error {
	data, err := proto.Marshal(payload())
	if err != nil {
		return err
	}
	all, ctx := errgroup.WithContext(ctx)
	for i := range writers {
		all.Go(func() error {
			conn, err := pool.Acquire(ctx)
			if err != nil {
				return err
			}
			defer conn.Release()
			for n := range events {
				e := shape{ids: 1}.event(n, data)
				e.PersistenceID = writerID(round, i)
				if _, err := conn.Exec(ctx, insert, plainRow(&e)...); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return all.Wait()
}
