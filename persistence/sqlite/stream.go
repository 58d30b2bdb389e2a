package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

const (
	streamSQL = `SELECT ` + eventColumns + ` FROM events
		WHERE persistence_id = ? AND sequence_number >= ? ORDER BY sequence_number`

	replaySQL = `SELECT ` + eventColumns + ` FROM events
		WHERE persistence_id = ? AND sequence_number >= ? AND hidden = 0 ORDER BY sequence_number`

	lastSequenceSQL = `SELECT coalesce(max(sequence_number), 0) FROM events WHERE persistence_id = ?`

	hideSQL = `UPDATE events SET hidden = 1 WHERE persistence_id = ? AND sequence_number <= ? AND hidden = 0`

	// One search in the index for each id, however many events it has.
	idsSQL = `WITH RECURSIVE ids (id) AS (
			SELECT min(persistence_id) FROM events WHERE persistence_id > ?1
			UNION ALL
			SELECT (SELECT min(persistence_id) FROM events WHERE persistence_id > id) FROM ids WHERE id IS NOT NULL
			LIMIT ?2
		) SELECT id FROM ids WHERE id IS NOT NULL`
)

// replayPage bounds what a replay holds in memory at a time.
var replayPage = query.Limits{Events: 256, Bytes: 1 << 20}

// EventsByPersistenceID implements query.Journal.
func (j *Journal) EventsByPersistenceID(ctx context.Context, id string, from int64, limits query.Limits) ([]query.Event, bool, error) {
	return j.streamPage(ctx, j.stmts.stream, id, from, limits)
}

func (j *Journal) streamPage(ctx context.Context, stmt *sql.Stmt, id string, from int64, limits query.Limits) (_ []query.Event, more bool, err error) {
	op, err := j.operation("read the events", id)
	if err != nil {
		return nil, false, err
	}
	page, err := newPage(limits)
	if err != nil {
		return nil, false, j.wrap(op, err)
	}
	err = j.read(ctx, op, func(tx *sql.Tx) error {
		rows, err := tx.StmtContext(ctx, stmt).QueryContext(ctx, id, from)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			// Nothing is filtered out here, so that looking for one event more costs nothing.
			if more = page.full(); more {
				break
			}
			fits, err := page.add(rows)
			if err != nil {
				return err
			}
			if more = !fits; more {
				break
			}
		}
		if err := rows.Err(); err != nil {
			return err
		}
		return rows.Close()
	})
	if err != nil {
		return nil, false, err
	}
	return page.events, more, nil
}

// LastSequenceNumber implements query.Journal.
func (j *Journal) LastSequenceNumber(ctx context.Context, id string) (last int64, err error) {
	op, err := j.operation("read the last sequence number", id)
	if err != nil {
		return 0, err
	}
	err = j.read(ctx, op, func(tx *sql.Tx) error {
		return tx.StmtContext(ctx, j.stmts.lastSequence).QueryRowContext(ctx, id).Scan(&last)
	})
	if err != nil {
		return 0, err
	}
	return last, nil
}

// PersistenceIDs implements query.PersistenceIDs.
func (j *Journal) PersistenceIDs(ctx context.Context, after string, limit int) ([]string, error) {
	op := fmt.Sprintf("list the persistence ids after %q", after)
	if limit < 1 {
		return nil, j.wrap(op, fmt.Errorf("the limit of %d ids is invalid: ask for at least 1", limit))
	}
	var ids []string
	err := j.read(ctx, op, func(tx *sql.Tx) error {
		rows, err := tx.StmtContext(ctx, j.stmts.ids).QueryContext(ctx, after, limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return err
			}
			ids = append(ids, id)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		return rows.Close()
	})
	if err != nil {
		return nil, err
	}
	return ids, nil
}

// Replay implements journal.Store. No transaction is open while fn runs, so that a slow actor keeps nobody else
// from reading, and fn may use the journal.
func (j *Journal) Replay(ctx context.Context, id string, from, to int64, fn func(query.Event) error) error {
	for {
		events, more, err := j.streamPage(ctx, j.stmts.replay, id, from, replayPage)
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
	return j.write(ctx, op, func(tx *sql.Tx) error {
		_, err := tx.StmtContext(ctx, j.stmts.hide).ExecContext(ctx, id, through)
		return err
	})
}
