package postgres

import (
	"context"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

const (
	streamSQL = `SELECT ` + eventColumns + ` FROM {{journal}}
		WHERE persistence_id = $2 AND sequence_number >= $3 ORDER BY sequence_number LIMIT $4`

	replaySQL = `SELECT ` + eventColumns + ` FROM {{journal}}
		WHERE persistence_id = $2 AND sequence_number >= $3 AND NOT hidden ORDER BY sequence_number LIMIT $4`

	lastSequenceSQL = `SELECT coalesce(max(sequence_number), 0) FROM {{journal}} WHERE persistence_id = $1`

	hideSQL = `UPDATE {{journal}} SET hidden = true WHERE persistence_id = $1 AND sequence_number <= $2 AND NOT hidden`

	// One search in the index for each id, however many events it has.
	idsSQL = `WITH RECURSIVE ids (id) AS (
			(SELECT min(persistence_id) FROM {{journal}} WHERE persistence_id > $1)
			UNION ALL
			SELECT (SELECT min(j.persistence_id) FROM {{journal}} j WHERE j.persistence_id > ids.id) FROM ids WHERE ids.id IS NOT NULL
		) SELECT id FROM ids WHERE id IS NOT NULL LIMIT $2`
)

// replayPage bounds what a replay holds in memory at a time.
var replayPage = query.Limits{Events: 256, Bytes: 1 << 20}

// EventsByPersistenceID implements query.Journal. It does not wait for gaps: what it returns may be ahead of the feed.
func (j *Journal) EventsByPersistenceID(ctx context.Context, id string, from int64, limits query.Limits) ([]query.Event, bool, error) {
	return j.streamPage(ctx, j.statements.stream, id, from, limits)
}

func (j *Journal) streamPage(ctx context.Context, sql, id string, from int64, limits query.Limits) (_ []query.Event, more bool, err error) {
	op, err := j.operation("read the events", id)
	if err != nil {
		return nil, false, err
	}
	p, err := newPage(limits)
	if err != nil {
		return nil, false, j.wrap(op, err)
	}
	err = j.do(ctx, op, func(conn *pgx.Conn) error {
		if err := j.query(ctx, conn, p, sql, []any{id, from, p.rows()}, func(raw [][]byte) (bool, error) {
			fits, err := p.add(raw)
			more = !fits
			return fits, err
		}); err != nil {
			return err
		}
		return p.fill(ctx, j, conn)
	})
	if err != nil {
		return nil, false, err
	}
	return p.events, more, nil
}

// LastSequenceNumber implements query.Journal.
func (j *Journal) LastSequenceNumber(ctx context.Context, id string) (last int64, err error) {
	op, err := j.operation("read the last sequence number", id)
	if err != nil {
		return 0, err
	}
	err = j.do(ctx, op, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, j.statements.lastSequence, j.mode, id).Scan(&last)
	})
	if err != nil {
		return 0, err
	}
	return last, nil
}

// PersistenceIDs implements query.PersistenceIDs.
func (j *Journal) PersistenceIDs(ctx context.Context, after string, limit int) (ids []string, err error) {
	op := fmt.Sprintf("list the persistence ids after %.80q", after)
	if limit < 1 {
		return nil, j.wrap(op, fmt.Errorf("the limit of %d ids is invalid: ask for at least 1", limit))
	}
	if err := checkText("text", after); err != nil {
		return nil, j.wrap(op, err)
	}
	err = j.do(ctx, op, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, j.statements.ids, j.mode, after, limit)
		if err != nil {
			return err
		}
		ids, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err != nil {
		return nil, err
	}
	return ids, nil
}

// Replay implements journal.Store. No statement is under way while fn runs, so that fn may use the journal.
func (j *Journal) Replay(ctx context.Context, id string, from, to int64, fn func(query.Event) error) error {
	for {
		events, more, err := j.streamPage(ctx, j.statements.replay, id, from, replayPage)
		if err != nil {
			return err
		}
		for _, e := range events {
			if to != 0 && e.SequenceNumber > to {
				return nil
			}
			if err := ctx.Err(); err != nil {
				return j.wrap("replay the events of "+strconv.Quote(id), err)
			}
			if err := fn(e); err != nil {
				return err
			}
			from = e.SequenceNumber + 1
		}
		if !more {
			return nil
		}
	}
}

// HideEvents implements journal.Store.
func (j *Journal) HideEvents(ctx context.Context, id string, through int64) error {
	op, err := j.operation(fmt.Sprintf("hide the events through %d", through), id)
	if err != nil {
		return err
	}
	return j.do(ctx, op, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, j.statements.hide, j.mode, id, through)
		return err
	})
}
