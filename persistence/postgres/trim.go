package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/internal/keep"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

const (
	// How many events are looked at together.
	trimLook = 1000

	// What one batch removes at most, so that it takes some milliseconds: those who read the feed may wait for it, if a
	// number is missing where they are, and outboxes that save do. One event may be larger.
	trimRows  = 200
	trimBytes = 1 << 20
)

// removableSQL is whether the event e is gone for its actor, or has none, and is not the last one of its id, l.
const removableSQL = `(e.hidden OR l.actorless) AND e.sequence_number < l.sequence_number`

// lastOfSQL is the last event l of the id of e.
const lastOfSQL = `CROSS JOIN LATERAL (SELECT j.sequence_number, j.actorless FROM {{journal}} j WHERE j.persistence_id = e.persistence_id
			ORDER BY j.sequence_number DESC LIMIT 1) AS l`

const (
	// indexPlanSQL is for tables whose statistics are missing or old: all of them would be read and sorted, to look at a few. A
	// table that has no other plan is then given such a cost that the statement would be compiled, for some hundred milliseconds.
	indexPlanSQL = `SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true), set_config('jit', 'off', true)`

	// trimCandidatesSQL looks at the events that may be removable, in order, and locks nothing.
	trimCandidatesSQL = `SELECT e.ordering, e.persistence_id, e.sequence_number, e.time, coalesce(pg_column_size(e.data), 0), ` + removableSQL + `
		FROM (SELECT * FROM {{journal}} WHERE (hidden OR actorless) AND ordering > $1 AND ordering <= $2 ORDER BY ordering LIMIT $3) AS e
		` + lastOfSQL + ` ORDER BY e.ordering`

	// trimLockSQL makes those who register an outbox, and other calls of Trim, wait. They do not wait for the disk: what a crash
	// of the server brings back, nobody needs, and it is removed again.
	trimLockSQL = `SELECT set_config('lock_timeout', '200ms', true), set_config('synchronous_commit', 'off', true), pg_advisory_xact_lock($1)::text`

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
	after query.Offset // how far it has looked
}

// Trim implements journal.Trimmer. It needs the privilege DELETE on the table journal besides those that [Open] asks for;
// without it the error is a [*PrivilegeError]. An event that another transaction is about to change is left for the next call.
//
// A batch holds a lock on the table journal, as an append does, and keeps outboxes from saving and registering: for some
// milliseconds, in which it removes up to 200 events or 1 MiB. Where nothing is to be removed it only reads.
func (j *Journal) Trim(ctx context.Context, r journal.Retention) (journal.Trimmed, error) {
	t := trimming{Retention: r}
	for more := true; more; {
		var batches [][]candidate
		err := j.do(ctx, "look for events to trim", func(conn *pgx.Conn) (err error) {
			batches, more, err = j.lookForTrim(ctx, conn, &t)
			return err
		})
		if err != nil {
			return t.Trimmed, err
		}
		for _, batch := range batches {
			began := time.Now()
			if err := j.do(ctx, "trim", func(conn *pgx.Conn) error {
				removed, err := j.trimBatch(ctx, conn, batch)
				t.Events += removed
				return err
			}); err != nil {
				return t.Trimmed, err
			}
			select {
			case <-time.After(time.Since(began)):
			case <-ctx.Done():
				return t.Trimmed, j.wrap("trim", ctx.Err())
			}
		}
	}
	return t.Trimmed, nil
}

// lookForTrim looks at the next candidates. It returns those that are to be removed, and whether there may be more behind.
func (j *Journal) lookForTrim(ctx context.Context, conn *pgx.Conn, t *trimming) (batches [][]candidate, more bool, err error) {
	err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, indexPlanSQL, j.mode); err != nil {
			return err
		}
		needs, err := j.outboxNeeds(ctx, tx, j.statements.trimNeeds)
		if err != nil {
			return err
		}
		t.Watermark, t.Slowest = needs.Watermark, needs.Slowest
		candidates, err := j.trimCandidates(ctx, tx, t.after, needs.Watermark)
		batches, more = t.choose(candidates, needs)
		return err
	})
	return batches, more, err
}

// choose returns those of the candidates that are to be removed, and whether others may come after them.
func (t *trimming) choose(candidates []candidate, needs journal.Needs) (batches [][]candidate, more bool) {
	young, bytes := 0, 0
	for _, c := range candidates {
		t.after = c.offset
		if t.Spares(c.time) {
			young++
			continue
		}
		if !c.removable || needs.Has(c.at, c.offset) {
			continue
		}
		bytes += c.bytes
		last := len(batches) - 1
		if last < 0 || len(batches[last]) == trimRows || bytes > trimBytes {
			batches, bytes = append(batches, nil), c.bytes
			last++
		}
		batches[last] = append(batches[last], c)
	}
	return batches, len(candidates) == trimLook && young < len(candidates)
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
		kept, err := keep.Decode(text)
		kept.Watermark = watermark
		needs.Add(key, kept)
		return err
	})
	if err == nil && needs.Outboxes == 0 {
		err = journal.ErrNoOutbox
	}
	return needs, err
}

func (j *Journal) trimCandidates(ctx context.Context, q queryer, after, through query.Offset) ([]candidate, error) {
	rows, err := q.Query(ctx, j.statements.trimCandidates, j.mode, after, through, trimLook)
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
func (j *Journal) trimBatch(ctx context.Context, conn *pgx.Conn, batch []candidate) (removed int64, err error) {
	err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, j.statements.trimLock, j.mode, j.registrationKey()); err != nil {
			return err
		}
		needs, err := j.outboxNeeds(ctx, tx, j.statements.trimNeedsLocked)
		if err != nil {
			return err
		}
		var offsets []int64
		for _, c := range batch {
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
