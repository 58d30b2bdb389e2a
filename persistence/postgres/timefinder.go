package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

const (
	offsetAtSQL = `SELECT ordering - 1 FROM {{journal}} WHERE time >= $1 AND ordering <= $2 ORDER BY ordering LIMIT 1`

	// patience is how long a search for a time waits for the transactions that are under way.
	patience = 2 * time.Second
)

// The first and the last moment that PostgreSQL's timestamps can express, rounded inwards.
var (
	firstTime = time.Date(-4712, 1, 1, 0, 0, 0, 0, time.UTC)
	lastTime  = time.Date(294276, 1, 1, 0, 0, 0, 0, time.UTC)
)

// OffsetAt implements query.TimeFinder. It reads every event before the first of that time: an index that is needed once
// in a reader's life would cost every append. It waits up to 2 s for transactions under way that could still append below
// what it finds; if they take longer, it returns an offset below them, and the reader sees some earlier events.
func (j *Journal) OffsetAt(ctx context.Context, t time.Time) (offset query.Offset, err error) {
	err = j.do(ctx, fmt.Sprintf("find the offset at %v", t), func(conn *pgx.Conn) error {
		bound, err := j.completeToHead(ctx, conn)
		if err != nil {
			return err
		}
		if t.After(lastTime) {
			offset = query.Offset(bound)
			return nil
		}
		err = conn.QueryRow(ctx, j.statements.offsetAt, j.mode, storedTime(t), bound).Scan(&offset)
		if errors.Is(err, pgx.ErrNoRows) {
			offset, err = query.Offset(bound), nil
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return offset, nil
}

// completeToHead returns how far the journal is complete: to where its head is now, unless that takes too long.
func (j *Journal) completeToHead(ctx context.Context, conn *pgx.Conn) (through int64, err error) {
	head, err := j.head(ctx, conn)
	if err != nil {
		return 0, err
	}
	var (
		wait     = firstLook
		deadline = time.Now().Add(patience)
	)
	for {
		through, more, err := j.complete(ctx, conn, j.view().safe)
		switch {
		case err != nil:
			return 0, err
		case more:
			continue
		case through >= int64(head.Offset) || time.Now().After(deadline):
			return through, nil
		}
		select {
		case <-time.After(wait):
			wait = min(2*wait, lastLook)
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// storedTime is the first microsecond at or after t, as times are stored, as far as PostgreSQL has one.
func storedTime(t time.Time) time.Time {
	switch {
	case t.Before(firstTime):
		return firstTime
	case t.After(lastTime):
		return lastTime
	}
	if micro := t.Truncate(time.Microsecond); micro.Before(t) {
		return micro.Add(time.Microsecond)
	}
	return t
}
