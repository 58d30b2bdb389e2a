package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/postgres"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// empty makes a schema with a journal without events. It is also what floors write to: a table of the same shape.
func (d *database) empty(ctx context.Context, schema string) (string, error) {
	pool, err := d.connect(ctx)
	if err != nil {
		return "", err
	}
	defer pool.Close()
	return schema, postgres.Migrate(ctx, pool, postgres.WithSchema(schema))
}

// filled makes a schema with a journal of that shape, once.
func (d *database) filled(ctx context.Context, b *bench, s shape) (string, error) {
	if schema := d.schemas[s]; schema != "" {
		return schema, nil
	}
	begun := time.Now()
	schema, err := d.empty(ctx, fmt.Sprintf("journal_%d_%d_%d", s.ids, s.events, s.size))
	if err != nil {
		return "", err
	}
	pool, err := d.connect(ctx)
	if err != nil {
		return "", err
	}
	defer pool.Close()
	if err := s.copyTo(ctx, pool, schema); err != nil {
		return "", fmt.Errorf("make a journal of %d events: %w", s.events, err)
	}
	b.line("made", "journal", "postgres", "ids", s.ids, "events", s.events, "bytes_per_event", s.size, "s", time.Since(begun).Seconds())
	d.schemas[s] = schema
	return schema, nil
}

// plainColumns are what whoever writes past the journal has to give. The order is the server's to number.
var plainColumns = []string{"persistence_id", "sequence_number", "slice", "uid", "type", "content_type", "data"}

func plainRow(e *query.Event) []any {
	return []any{e.PersistenceID, e.SequenceNumber, int16(query.SliceOf(e.PersistenceID)), e.UID, e.Type, e.ContentType, e.Data}
}

// copyTo fills a journal in one transaction. What the server would still have to do for it some time, it does now: it marks
// the rows as committed, counts them for its planner, and writes them to their files.
func (s shape) copyTo(ctx context.Context, pool *pgxpool.Pool, schema string) error {
	table, data := pgx.Identifier{schema, "journal"}, s.data()
	_, err := pool.CopyFrom(ctx, table, plainColumns, pgx.CopyFromSlice(s.events, func(n int) ([]any, error) {
		e := s.event(n, data)
		return plainRow(&e), nil
	}))
	if err != nil {
		return err
	}
	for _, statement := range []string{"VACUUM (ANALYZE) " + table.Sanitize(), "CHECKPOINT"} {
		if _, err := pool.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}
