package main

import (
	"context"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// postgresIDs measures what the cases restart and memory do, in a database of a million ids.
func postgresIDs(ctx context.Context, b *bench) error {
	d, err := b.postgres(ctx)
	if err != nil {
		return err
	}
	schema, err := d.filled(ctx, b, b.million())
	if err != nil {
		return err
	}
	err = restartOn(ctx, b, "postgres-ids", "postgres", b.million(), func() (restartJournal, func() error, error) {
		j, err := d.open(ctx, schema)
		if err != nil {
			return nil, nil, err
		}
		return j, j.Close, nil
	})
	if err != nil {
		return err
	}
	return b.memoryOn(ctx, "postgres-ids", func(ctx context.Context, s shape) (query.Journal, func() error, error) {
		schema, err := d.filled(ctx, b, s)
		if err != nil {
			return nil, nil, err
		}
		j, err := d.open(ctx, schema)
		if err != nil {
			return nil, nil, err
		}
		return j, j.Close, nil
	})
}
