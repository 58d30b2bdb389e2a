package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/internal/keep"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

const (
	// How many events are looked at together.
	trimLook = 1000

	// What one batch removes at most, so that other writers wait for some milliseconds. One event may be larger.
	trimRows  = 200
	trimBytes = 1 << 20
)

// lastSQL is the sequence number of the last event of e's id, and removableSQL whether e is gone for its actor, or has
// none, and is not that one.
const (
	lastSQL      = `(SELECT max(sequence_number) FROM events WHERE persistence_id = e.persistence_id)`
	removableSQL = `e.sequence_number < ` + lastSQL + ` AND (e.hidden = 1 OR (SELECT l.actorless FROM events l
			WHERE l.persistence_id = e.persistence_id ORDER BY l.sequence_number DESC LIMIT 1))`
)

const (
	// trimCandidatesSQL looks at the events that may be removable, in order.
	trimCandidatesSQL = `SELECT e.offset, e.persistence_id, e.sequence_number, e.time, coalesce(length(e.data), 0), ` + removableSQL + `
		FROM events AS e INDEXED BY events_removable
		WHERE (hidden = 1 OR actorless = 1) AND e.offset > ? AND e.offset <= ? ORDER BY e.offset LIMIT ?`

	trimNeedsSQL = `SELECT key, watermark, keep FROM outbox_snapshots WHERE registered = 1`

	trimDeleteSQL = `DELETE FROM events AS e WHERE e.offset IN (SELECT value FROM json_each(?)) AND ` + removableSQL
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

// Trim implements journal.Trimmer. A batch is a transaction that removes up to 200 events or 1 MiB: for some milliseconds
// nobody else writes. Where nothing is to be removed it only reads. The file does not become smaller: SQLite uses the room
// again, and gives it back when VACUUM is run, which needs as much room once more, and keeps all writers waiting.
func (j *Journal) Trim(ctx context.Context, r journal.Retention) (journal.Trimmed, error) {
	t := trimming{Retention: r}
	for more := true; more; {
		var batches [][]candidate
		err := j.read(ctx, "look for events to trim", func(tx *sql.Tx) (err error) {
			batches, more, err = t.look(ctx, tx)
			return err
		})
		if err != nil {
			return t.Trimmed, err
		}
		for _, batch := range batches {
			began := time.Now()
			var removed int64
			if err := j.write(ctx, "trim", func(tx *sql.Tx) (err error) {
				began = time.Now() // it has the lock
				removed, err = removeUnneeded(ctx, tx, batch)
				return err
			}); err != nil {
				return t.Trimmed, err
			}
			t.Events += removed
			select {
			case <-time.After(time.Since(began)):
			case <-ctx.Done():
				return t.Trimmed, j.wrap("trim", ctx.Err())
			}
		}
	}
	return t.Trimmed, nil
}

// look looks at the next candidates. It returns those that are to be removed, and whether there may be more behind.
func (t *trimming) look(ctx context.Context, tx *sql.Tx) (batches [][]candidate, more bool, err error) {
	needs, err := outboxNeeds(ctx, tx)
	if err != nil {
		return nil, false, err
	}
	t.Watermark, t.Slowest = needs.Watermark, needs.Slowest
	candidates, err := trimCandidates(ctx, tx, t.after, needs.Watermark)
	if err != nil {
		return nil, false, err
	}
	batches, more = t.choose(candidates, needs)
	return batches, more, nil
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

func outboxNeeds(ctx context.Context, tx *sql.Tx) (needs journal.Needs, err error) {
	rows, err := tx.QueryContext(ctx, trimNeedsSQL)
	if err != nil {
		return journal.Needs{}, err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			key, text string
			watermark query.Offset
		)
		if err := rows.Scan(&key, &watermark, &text); err != nil {
			return journal.Needs{}, err
		}
		kept, err := keep.Decode(text)
		if err != nil {
			return journal.Needs{}, fmt.Errorf("of %q: %w", key, err)
		}
		kept.Watermark = watermark
		needs.Add(key, kept)
	}
	if err := rows.Err(); err != nil {
		return journal.Needs{}, err
	}
	if needs.Outboxes == 0 {
		return journal.Needs{}, journal.ErrNoOutbox
	}
	return needs, rows.Close()
}

func trimCandidates(ctx context.Context, tx *sql.Tx, after, through query.Offset) (candidates []candidate, err error) {
	rows, err := tx.QueryContext(ctx, trimCandidatesSQL, int64(after), int64(through), trimLook)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			c      candidate
			micros int64
		)
		if err := rows.Scan(&c.offset, &c.at.PersistenceID, &c.at.SequenceNumber, &micros, &c.bytes, &c.removable); err != nil {
			return nil, err
		}
		c.time = time.UnixMicro(micros)
		candidates = append(candidates, c)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return candidates, rows.Close()
}

// removeUnneeded removes those of the events that may still be removed. Nobody writes meanwhile, outboxes included.
func removeUnneeded(ctx context.Context, tx *sql.Tx, batch []candidate) (removed int64, err error) {
	needs, err := outboxNeeds(ctx, tx)
	if err != nil {
		return 0, err
	}
	offsets := []int64{}
	for _, c := range batch {
		if !needs.Has(c.at, c.offset) {
			offsets = append(offsets, int64(c.offset))
		}
	}
	list, err := json.Marshal(offsets)
	if err != nil {
		return 0, err
	}
	result, err := tx.ExecContext(ctx, trimDeleteSQL, string(list))
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}
