package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// plainPage is how many events the floors read at a time.
const plainPage = 1000

// plainLoop is a plain loop over a journal's table: a page, a call of the publisher, an offset saved. It takes for granted
// that offsets become visible in their order, and promises nothing.
type plainLoop struct{ page, begin, save, insert, notify, listen string }

func newPlainLoop(schema string) plainLoop {
	journal, snapshots := pgx.Identifier{schema, "journal"}.Sanitize(), pgx.Identifier{schema, "outbox_snapshots"}.Sanitize()
	channel := pgx.Identifier{schema + "_plain"}.Sanitize()
	return plainLoop{
		page: `SELECT ordering, sequence_number, uid, time, slice, persistence_id, type, content_type, data, tags, metadata
			FROM ` + journal + ` WHERE ordering > $1 ORDER BY ordering LIMIT $2`,
		begin: `INSERT INTO ` + snapshots + ` (key, registered, epoch) VALUES ($1, false, 1)`,
		save:  `UPDATE ` + snapshots + ` SET idx = idx + 1, watermark = $2, saved_at = clock_timestamp() WHERE key = $1`,
		insert: `INSERT INTO ` + journal + ` (persistence_id, sequence_number, slice, uid, type, content_type, data)
			VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		notify: `NOTIFY ` + channel,
		listen: `LISTEN ` + channel,
	}
}

// drain publishes so many events over one connection.
func (l plainLoop) drain(ctx context.Context, pool *pgxpool.Pool, key string, events int) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, l.begin, key); err != nil {
		return err
	}
	var c counter
	for after := int64(0); c.n.Load() < int64(events); {
		page, err := l.read(ctx, conn.Conn(), after)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return fmt.Errorf("the table has only %d events", c.n.Load())
		}
		if err := c.Publish(ctx, page); err != nil {
			return err
		}
		after = int64(page[len(page)-1].Offset)
		if _, err := conn.Exec(ctx, l.save, key, after); err != nil {
			return err
		}
	}
	return nil
}

// read has pgx scan a page, into variables of types that it has a short way for.
func (l plainLoop) read(ctx context.Context, conn *pgx.Conn, after int64) ([]publisher.Event, error) {
	rows, err := conn.Query(ctx, l.page, after, plainPage)
	if err != nil {
		return nil, err
	}
	var (
		page   = make([]publisher.Event, 0, plainPage)
		e      query.Event
		offset int64
		slice  int16
	)
	_, err = pgx.ForEachRow(rows, []any{
		&offset, &e.SequenceNumber, &e.UID, &e.Time, &slice, &e.PersistenceID, &e.Type, &e.ContentType, &e.Data, &e.Tags, &e.Metadata,
	}, func() error {
		e.Offset, e.Slice = query.Offset(offset), uint16(slice)
		page = append(page, publisher.Event{Event: e})
		return nil
	})
	return page, err
}

// follow publishes what is appended, each time that it is notified, until ctx ends. ready is called once it listens.
func (l plainLoop) follow(ctx context.Context, config *pgx.ConnConfig, p publisher.Publisher, ready func()) (err error) {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	if _, err := conn.Exec(ctx, l.listen); err != nil {
		return err
	}
	after, err := l.publishAll(ctx, conn, p, 0)
	if err != nil {
		return err
	}
	ready()
	for {
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return err
		}
		if after, err = l.publishAll(ctx, conn, p, after); err != nil {
			return err
		}
	}
}

func (l plainLoop) publishAll(ctx context.Context, conn *pgx.Conn, p publisher.Publisher, after int64) (int64, error) {
	for {
		page, err := l.read(ctx, conn, after)
		if err != nil || len(page) == 0 {
			return after, err
		}
		if err := p.Publish(ctx, page); err != nil {
			return after, err
		}
		after = int64(page[len(page)-1].Offset)
		if len(page) < plainPage {
			return after, nil
		}
	}
}

// appendNotifying appends an event in a transaction that notifies, and returns when its commit began.
func (l plainLoop) appendNotifying(ctx context.Context, pool *pgxpool.Pool, e *query.Event) (commit time.Time, err error) {
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, l.insert, plainRow(e)...); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, l.notify)
		commit = time.Now()
		return err
	})
	return commit, err
}
