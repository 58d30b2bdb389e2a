package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

const (
	// offsetAtSQL looks at the next events: it returns the last one's offset, 0 if there is none, and that before the first one of the
	// time.
	offsetAtSQL = `SELECT coalesce(max(ordering), 0), min(ordering) FILTER (WHERE time >= $1) - 1
		FROM (SELECT ordering, time FROM {{journal}} WHERE ordering > $2 AND ordering <= $3 ORDER BY ordering LIMIT 16384) AS e`

	// maxSearches is how many searches that have not come to their end are remembered.
	maxSearches = 64

	// patience is how long a search for a time waits for the transactions that are under way.
	patience = 2 * time.Second
)

// The first and the last moment that PostgreSQL's timestamps can express, rounded inwards.
var (
	firstTime = time.Date(-4712, 1, 1, 0, 0, 0, 0, time.UTC)
	lastTime  = time.Date(294276, 1, 1, 0, 0, 0, 0, time.UTC)
)

// OffsetAt implements query.TimeFinder. It reads every event before the first of that time: an index that is needed once
// in a reader's life would cost every append. That is about half a second for a million events in memory. A search whose
// context ends is continued by the next one for the same time, so that it comes to its end however large the journal is.
//
// It waits up to 2 s for transactions under way that could still append below what it finds; if they take longer, it returns an
// offset below them, and the reader sees some earlier events.
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
		offset, err = j.searchTime(ctx, conn, storedTime(t), bound)
		return err
	})
	if err != nil {
		return 0, err
	}
	return offset, nil
}

// search is for a time, on one server.
type search struct {
	server server
	time   time.Time
}

// searchTime looks for the first event of a time, through the number up to which the journal is complete: whatever it has looked at
// stays as it is.
func (j *Journal) searchTime(ctx context.Context, conn *pgx.Conn, t time.Time, bound int64) (offset query.Offset, err error) {
	known, _ := conn.PgConn().CustomData()[j.connectionKey()].(serverKey)
	this := search{known.server, t.UTC()}
	err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, indexPlanSQL, j.mode); err != nil {
			return err
		}
		for after := j.searched(this); ; j.noteSearched(this, after) {
			var (
				last  int64
				found *int64
			)
			if err := tx.QueryRow(ctx, j.statements.offsetAt, j.mode, t, after, bound).Scan(&last, &found); err != nil {
				return err
			}
			switch {
			case found != nil:
				offset = query.Offset(*found)
				return nil
			case last == 0:
				offset = query.Offset(bound)
				return nil
			}
			after = last
		}
	})
	if err == nil {
		j.endSearch(this)
	}
	return offset, err
}

// searched is up to which number there is nothing of the time.
func (j *Journal) searched(s search) int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.searches[s]
}

func (j *Journal) noteSearched(s search, through int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.searches == nil || len(j.searches) >= maxSearches && j.searches[s] == 0 {
		j.searches = map[search]int64{}
	}
	j.searches[s] = max(j.searches[s], through)
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

func (j *Journal) endSearch(s search) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.searches, s)
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
