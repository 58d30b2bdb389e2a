package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

const (
	// What one batch removes at most, so that it takes some milliseconds: those who read the feed may wait for it, if a
	// number is missing where they are, and outboxes that save do. One event may be larger.
	trimRows  = 500
	trimBytes = 1 << 20
)

// removableSQL is whether the event e is gone for its actor, or has none, and is not the last one of its id, l.
const removableSQL = `(e.hidden OR l.actorless) AND e.sequence_number < l.sequence_number`

// lastOfSQL is the last event l of the id of e.
const lastOfSQL = `CROSS JOIN LATERAL (SELECT j.sequence_number, j.actorless FROM {{journal}} j WHERE j.persistence_id = e.persistence_id
			ORDER BY j.sequence_number DESC LIMIT 1) AS l`

const (
	// trimCandidatesSQL looks at the events that may be removable, in order, and locks nothing.
	trimCandidatesSQL = `SELECT e.ordering, e.persistence_id, e.sequence_number, e.time, coalesce(pg_column_size(e.data), 0), ` + removableSQL + `
		FROM (SELECT * FROM {{journal}} WHERE (hidden OR actorless) AND ordering > $1 AND ordering <= $2 ORDER BY ordering LIMIT $3) AS e
		` + lastOfSQL + ` ORDER BY e.ordering`

	// trimLockSQL makes those who register an outbox, and other calls of Trim, wait.
	trimLockSQL = `SELECT set_config('lock_timeout', '200ms', true), pg_advisory_xact_lock($1)::text`

	// trimNeedsSQL is what registered outboxes need. For FOR SHARE those that save something else wait.
	trimNeedsSQL       = `SELECT key, watermark, keep::text FROM {{outbox_snapshots}} WHERE registered`
	trimNeedsLockedSQL = trimNeedsSQL + ` FOR SHARE`

	// trimDeleteSQL waits for nobody: what another transaction is about to change is left for the next call.
	trimDeleteSQL = `DELETE FROM {{journal}} WHERE ctid = ANY (ARRAY(SELECT e.ctid FROM {{journal}} e ` + lastOfSQL + `
		WHERE e.ordering = ANY ($1::bigint[]) AND ` + removableSQL + ` FOR UPDATE OF e SKIP LOCKED))`
)

// candidate is an event that Trim has looked at.
type candidate struct {
	offset    query.Offset
	at        query.Pointer
	time      time.Time
	bytes     int
	removable bool
}

// trimming is a call of Trim under way.
type trimming struct {
	journal.Retention
	journal.Trimmed
	after query.Offset  // how far it has looked
	took  time.Duration // for how long its last batch has kept others waiting
}

// Trim implements journal.Trimmer. It needs the privilege DELETE on the table journal besides those that [Open] asks for;
// without it the error is a [*PrivilegeError]. An event that another transaction is about to change is left for the next call.
//
// A batch holds a lock on the table journal, as an append does, and keeps outboxes from saving and registering: for some
// milliseconds, in which it removes up to 500 events or 1 MiB. Where nothing is to be removed it only reads.
func (j *Journal) Trim(ctx context.Context, r journal.Retention) (journal.Trimmed, error) {
	t := trimming{Retention: r}
	for more := true; more; {
		err := j.do(ctx, "trim", func(conn *pgx.Conn) (err error) {
			more, err = j.trimNext(ctx, conn, &t)
			return err
		})
		if err != nil {
			return t.Trimmed, err
		}
		select {
		case <-time.After(t.took):
		case <-ctx.Done():
			return t.Trimmed, j.wrap("trim", ctx.Err())
		}
	}
	return t.Trimmed, nil
}

// trimNext removes what may be removed of the next candidates, and reports whether there may be more of them.
func (j *Journal) trimNext(ctx context.Context, conn *pgx.Conn, t *trimming) (more bool, err error) {
	t.took = 0
	needs, err := j.outboxNeeds(ctx, conn, j.statements.trimNeeds)
	if err != nil {
		return false, err
	}
	t.Watermark, t.Slowest = needs.Watermark, needs.Slowest
	candidates, err := j.trimCandidates(ctx, conn, t.after, needs.Watermark)
	if err != nil {
		return false, err
	}
	chosen, more := t.choose(candidates, needs)
	if len(chosen) == 0 {
		return more, nil
	}
	began := time.Now()
	removed, err := j.trimBatch(ctx, conn, chosen)
	t.Events += removed
	t.took = time.Since(began)
	return more, err
}

// choose returns those of the candidates that make one batch, and whether others may come after them.
func (t *trimming) choose(candidates []candidate, needs journal.Needs) (chosen []candidate, more bool) {
	young, bytes := 0, 0
	for _, c := range candidates {
		switch {
		case t.Spares(c.time):
			young++
		case c.removable && !needs.Has(c.at, c.offset):
			if bytes += c.bytes; len(chosen) > 0 && bytes > trimBytes {
				return chosen, true
			}
			chosen = append(chosen, c)
		}
		t.after = c.offset
	}
	return chosen, len(candidates) == trimRows && young < len(candidates)
}

func (j *Journal) outboxNeeds(ctx context.Context, q queryer, sql string) (needs journal.Needs, err error) {
	rows, err := q.Query(ctx, sql, j.mode)
	if err != nil {
		return journal.Needs{}, err
	}
	var (
		key, text string
		watermark query.Offset
	)
	_, err = pgx.ForEachRow(rows, []any{&key, &watermark, &text}, func() error {
		keep, err := decodeKeep(text)
		keep.Watermark = watermark
		needs.Add(key, keep)
		return err
	})
	if err == nil && needs.Outboxes == 0 {
		err = journal.ErrNoOutbox
	}
	return needs, err
}

func (j *Journal) trimCandidates(ctx context.Context, conn *pgx.Conn, after, through query.Offset) ([]candidate, error) {
	rows, err := conn.Query(ctx, j.statements.trimCandidates, j.mode, after, through, trimRows)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (c candidate, err error) {
		err = row.Scan(&c.offset, &c.at.PersistenceID, &c.at.SequenceNumber, &c.time, &c.bytes, &c.removable)
		return c, err
	})
}

// trimBatch removes those of the events that may still be removed. Who registers an outbox, or saves, either did so before, and
// is seen, or waits until they are gone. The locks are always taken in this order, by those who register, too.
func (j *Journal) trimBatch(ctx context.Context, conn *pgx.Conn, chosen []candidate) (removed int64, err error) {
	err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, j.statements.trimLock, j.mode, j.registrationKey()); err != nil {
			return err
		}
		needs, err := j.outboxNeeds(ctx, tx, j.statements.trimNeedsLocked)
		if err != nil {
			return err
		}
		var offsets []int64
		for _, c := range chosen {
			if !needs.Has(c.at, c.offset) {
				offsets = append(offsets, int64(c.offset))
			}
		}
		result, err := tx.Exec(ctx, j.statements.trimDelete, j.mode, offsets)
		removed = result.RowsAffected()
		return err
	})
	switch {
	case err == nil:
		return removed, nil
	case sqlState(err) == "42501": // insufficient privilege
		return 0, j.mayNotDelete(ctx, conn, err)
	}
	return 0, err
}

func (j *Journal) mayNotDelete(ctx context.Context, conn *pgx.Conn, cause error) error {
	missing := &PrivilegeError{Missing: []string{"DELETE ON " + j.tables.sql("{{journal}}")}}
	if err := conn.QueryRow(ctx, "SELECT current_user::text", pgx.QueryExecModeExec).Scan(&missing.User); err != nil {
		return cause
	}
	return missing
}

// registrationKey is the key of the lock that who registers an outbox shares, and Trim has alone.
func (j *Journal) registrationKey() int64 { return advisoryKey("register", j.tables.name) }
