package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// drainSQLite compares with the least that somebody who reads the file can do.
func drainSQLite(ctx context.Context, b *bench) (err error) {
	s := shape{ids: 1000, events: b.scaled(200_000, 1000), size: 256}
	j, err := b.open(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	plain, err := openFloor(b.files[s])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, plain.close()) }()
	speeds, err := compare(b.rounds(),
		contender{s.events, func(round int) error { return b.world.drain(ctx, fmt.Sprintf("drain-%d", round), j, noop{}) }},
		contender{s.events, func(round int) error { return plain.drain(ctx, fmt.Sprintf("floor-%d", round), s.events) }},
	)
	if err != nil {
		return err
	}
	ours, floor := speeds[0], speeds[1]
	b.line("drain-sqlite", "events", s.events, "ids", s.ids, "bytes", s.size, "per_s", ours.median(),
		"floor_per_s", floor.median(), "ratio", ours.over(floor).median())
	b.claim(atLeast("drain-sqlite: of a plain loop", "×", 0.5, 0.8), ours.over(floor).median())
	return nil
}

// floor is a plain loop over a journal's file: a page, a call of the publisher, an offset saved and synced.
type floor struct{ reader, writer *sql.DB }

func openFloor(path string) (*floor, error) {
	reader, err := connect(path, 1, "_pragma=query_only(1)")
	if err != nil {
		return nil, err
	}
	writer, err := connect(path, 1, "_txlock=immediate", "_pragma=synchronous(FULL)")
	if err != nil {
		return nil, errors.Join(err, reader.Close())
	}
	return &floor{reader, writer}, nil
}

func (f *floor) close() error { return errors.Join(f.reader.Close(), f.writer.Close()) }

const (
	floorPageSQL = `SELECT offset, persistence_id, sequence_number, uid, type, content_type,
		data, time, tags, metadata, slice FROM events WHERE offset > ? ORDER BY offset LIMIT ?`
	floorSaveSQL = `INSERT INTO outbox_snapshots (key, registered, epoch, idx, watermark, saved_at) VALUES (?, 0, 1, 1, ?, ?)
		ON CONFLICT (key) DO UPDATE SET idx = idx + 1, watermark = excluded.watermark, saved_at = excluded.saved_at`
)

func (f *floor) drain(ctx context.Context, key string, events int) error {
	read, err := f.reader.PrepareContext(ctx, floorPageSQL)
	if err != nil {
		return err
	}
	defer read.Close()
	save, err := f.writer.PrepareContext(ctx, floorSaveSQL)
	if err != nil {
		return err
	}
	defer save.Close()
	after, published := int64(0), 0
	for published < events {
		page, err := readPage(ctx, read, after)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return fmt.Errorf("the file has only %d events", published)
		}
		if err := (noop{}).Publish(ctx, page); err != nil {
			return err
		}
		published += len(page)
		after = int64(page[len(page)-1].Offset)
		if _, err := save.ExecContext(ctx, key, after, time.Now().UnixMicro()); err != nil {
			return err
		}
	}
	return nil
}

// readPage takes the values as the driver gives them, which is the fastest way to read a row with database/sql: to convert
// them to other types takes a quarter of the time again.
func readPage(ctx context.Context, stmt *sql.Stmt, after int64) ([]publisher.Event, error) {
	rows, err := stmt.QueryContext(ctx, after, pageEvents)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	page := make([]publisher.Event, 0, pageEvents)
	var offset, id, sequence, uid, typ, contentType, data, micros, tags, metadata, slice any
	dest := []any{&offset, &id, &sequence, &uid, &typ, &contentType, &data, &micros, &tags, &metadata, &slice}
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return nil, err
		}
		page = append(page, publisher.Event{})
		e := &page[len(page)-1]
		e.Offset, e.PersistenceID, e.SequenceNumber = query.Offset(offset.(int64)), id.(string), sequence.(int64)
		copy(e.UID[:], uid.([]byte))
		e.Type, e.ContentType, e.Data = typ.(string), contentType.(string), data.([]byte)
		e.Time, e.Slice = time.UnixMicro(micros.(int64)).UTC(), uint16(slice.(int64))
	}
	return page, rows.Err()
}
