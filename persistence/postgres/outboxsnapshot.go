package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/internal/keep"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// Each is one statement, which is a transaction of its own: whoever waits for another's lock looks again at the row that
// the other has left.
const (
	outboxSnapshotSQL = `SELECT registered, epoch, idx, watermark, keep::text, data FROM {{outbox_snapshots}} WHERE key = $1`

	// outboxAcquireSQL waits for a batch of Trim under way, which has not seen that the key is registered. It returns no row if
	// the epoch is not the one that was seen. Rows are never removed: who has seen an epoch other than 0 has seen a row.
	outboxAcquireSQL = `INSERT INTO {{outbox_snapshots}} AS o (key, registered, epoch)
		SELECT $1::text, true, 1 FROM pg_advisory_xact_lock_shared($2)
		WHERE $3::bigint = 0 OR EXISTS (SELECT FROM {{outbox_snapshots}} WHERE key = $1::text)
		ON CONFLICT (key) DO UPDATE SET registered = true, epoch = o.epoch + 1 WHERE o.epoch = $3::bigint
		RETURNING registered, epoch, idx, watermark, keep::text, data`

	outboxSaveSQL = `UPDATE {{outbox_snapshots}} SET idx = $3, watermark = $4, keep = $5::text::json, saved_at = clock_timestamp(), data = $6
		WHERE key = $1 AND registered AND epoch = $2 AND idx < $3`

	outboxForgetSQL = `UPDATE {{outbox_snapshots}}
		SET registered = false, epoch = epoch + 1, idx = 0, watermark = 0, keep = '{}', saved_at = NULL, data = NULL
		WHERE key = $1 AND registered`
)

// Acquire implements query.SnapshotStore.
func (j *Journal) Acquire(ctx context.Context, key string, held, seen int64) (saved query.Saved, err error) {
	op, err := j.operation("take ownership", key)
	if err != nil {
		return query.Saved{}, err
	}
	err = j.do(ctx, op, func(conn *pgx.Conn) error {
		if held == 0 {
			saved, _, err = j.loadSaved(ctx, conn, j.statements.acquire, key, j.registrationKey(), seen)
			if err == nil && saved.Epoch == 0 {
				err = fmt.Errorf("%w: epoch %d was seen, and is not the current one", query.ErrTakenMeanwhile, seen)
			}
			return err
		}
		var registered bool
		saved, registered, err = j.loadSaved(ctx, conn, j.statements.outboxSnapshot, key)
		if err == nil && !owns(held, registered, saved) {
			err = notOwner(held, saved)
		}
		return err
	})
	if err != nil {
		return query.Saved{}, err
	}
	return saved, nil
}

// owns reports whether the epoch owns the key. An unregistered key has no owner: its epoch was raised without being given
// to anybody.
func owns(epoch int64, registered bool, s query.Saved) bool { return registered && s.Epoch == epoch }

func notOwner(epoch int64, s query.Saved) error {
	return fmt.Errorf("%w: epoch %d does not own the key, whose current epoch is %d", query.ErrFenced, epoch, s.Epoch)
}

// Load implements query.SnapshotStore.
func (j *Journal) Load(ctx context.Context, key string) (saved query.Saved, err error) {
	op, err := j.operation("load the outbox snapshot", key)
	if err != nil {
		return query.Saved{}, err
	}
	err = j.do(ctx, op, func(conn *pgx.Conn) error {
		saved, _, err = j.loadSaved(ctx, conn, j.statements.outboxSnapshot, key)
		return err
	})
	if err != nil {
		return query.Saved{}, err
	}
	return saved, nil
}

// Save implements query.SnapshotStore.
func (j *Journal) Save(ctx context.Context, key string, s query.Saved) error {
	op, err := j.operation(fmt.Sprintf("save outbox snapshot %d in epoch %d", s.Index, s.Epoch), key)
	if err != nil {
		return err
	}
	kept, err := keep.Encode(s.Keep)
	if err != nil {
		return j.wrap(op, err)
	}
	return j.do(ctx, op, func(conn *pgx.Conn) error {
		result, err := conn.Exec(ctx, j.statements.save, j.mode, key, s.Epoch, s.Index, int64(s.Keep.Watermark), kept, s.Data)
		if err != nil || result.RowsAffected() > 0 {
			return err
		}
		stored, registered, err := j.loadSaved(ctx, conn, j.statements.outboxSnapshot, key)
		switch {
		case err != nil:
			return err
		case !owns(s.Epoch, registered, stored):
			return notOwner(s.Epoch, stored)
		case s.Index <= stored.Index:
			return fmt.Errorf("%w: index %d is stored", query.ErrStaleIndex, stored.Index)
		}
		return errors.New("the key's row was changed by somebody else at the same time: try again")
	})
}

// Unregister implements query.SnapshotStore.
func (j *Journal) Unregister(ctx context.Context, key string) error {
	op, err := j.operation("end the registration", key)
	if err != nil {
		return err
	}
	return j.do(ctx, op, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, j.statements.unregister, j.mode, key)
		return err
	})
}

func (j *Journal) loadSaved(ctx context.Context, conn *pgx.Conn, sql string, args ...any) (s query.Saved, registered bool, err error) {
	var (
		watermark query.Offset
		kept      string
	)
	err = conn.QueryRow(ctx, sql, append([]any{j.mode}, args...)...).Scan(&registered, &s.Epoch, &s.Index, &watermark, &kept, &s.Data)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return query.Saved{}, false, nil
	case err != nil:
		return query.Saved{}, false, err
	}
	if s.Keep, err = keep.Decode(kept); err != nil {
		return query.Saved{}, false, err
	}
	s.Keep.Watermark = watermark
	return s, registered, nil
}
