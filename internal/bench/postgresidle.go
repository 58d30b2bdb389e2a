package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// postgresIdle counts what an outbox asks of the server while nothing happens.
func postgresIdle(ctx context.Context, b *bench) error {
	for _, ids := range []int{10, 10_000} {
		n := b.scaled(ids, 10)
		if err := postgresIdleOn(ctx, b, shape{ids: n, events: n, size: 16}); err != nil {
			return err
		}
	}
	return postgresIdleOn(ctx, b, b.million())
}

func postgresIdleOn(ctx context.Context, b *bench, s shape) (err error) {
	d, err := b.postgres(ctx)
	if err != nil {
		return err
	}
	schema, err := d.filled(ctx, b, s)
	if err != nil {
		return err
	}
	traffic := new(traffic)
	j, err := d.open(ctx, schema, traffic.watch)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	// What asks the server for its counts is not counted itself.
	server, err := d.connect(ctx)
	if err != nil {
		return err
	}
	defer server.Close()
	o, err := b.world.spawn("idle", j, noop{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.stop()) }()
	if err := o.Flush(ctx); err != nil {
		return err
	}
	stateBefore, err := stateOf(ctx, server, schema)
	if err != nil {
		return err
	}
	begun, before := time.Now(), traffic.sums()
	select {
	case <-time.After(time.Duration(b.scaled(int(10*time.Second), int(200*time.Millisecond)))):
	case <-ctx.Done():
		return ctx.Err()
	}
	after, seconds := traffic.sums(), time.Since(begun).Seconds()
	state, err := stateOf(ctx, server, schema)
	if err != nil {
		return err
	}
	perSecond, written := float64(after.statements-before.statements)/seconds, after.written-before.written
	b.line("postgres-idle", "ids", s.ids, "s", seconds, "statements_per_s", perSecond,
		"pings_per_s", float64(after.pings-before.pings)/seconds, "connects", after.connects-before.connects,
		"rows_written", written, "tables_changed", state != stateBefore)
	if state != stateBefore {
		written = max(1, written)
	}
	what := fmt.Sprintf("postgres-idle: %d ids, ", s.ids)
	b.claim(atMost(what+"statements/s", "/s", 2, 2), perSecond)
	b.claim(atMost(what+"rows written", "", 0, 0), float64(written))
	return nil
}

// stateOf changes with each row that is appended, and each snapshot that is written, whoever does it.
func stateOf(ctx context.Context, pool *pgxpool.Pool, schema string) (state string, err error) {
	journal, snapshots := pgx.Identifier{schema, "journal"}.Sanitize(), pgx.Identifier{schema, "outbox_snapshots"}.Sanitize()
	err = pool.QueryRow(ctx, `SELECT concat_ws(' ', (SELECT max(ordering) FROM `+journal+`),
		(SELECT string_agg(concat_ws('@', key, ctid, xmin), ' ' ORDER BY key) FROM `+snapshots+`))`).Scan(&state)
	return state, err
}
