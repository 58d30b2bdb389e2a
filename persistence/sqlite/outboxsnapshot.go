package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/internal/keep"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

const (
	outboxSnapshotSQL = `SELECT epoch, idx, watermark, keep, data, data IS NULL FROM outbox_snapshots WHERE key = ?`

	outboxRegisterSQL = `INSERT INTO outbox_snapshots (key, registered, epoch) VALUES (?1, 1, ?2)
		ON CONFLICT DO UPDATE SET registered = 1, epoch = ?2`

	outboxOwnerSQL = `SELECT registered, epoch, idx FROM outbox_snapshots WHERE key = ?`

	outboxSaveSQL = `UPDATE outbox_snapshots SET idx = ?2, watermark = ?3, keep = ?4, saved_at = ?5, data = ?6
		WHERE key = ?1`

	outboxForgetSQL = `UPDATE outbox_snapshots
		SET registered = 0, epoch = epoch + 1, idx = 0, watermark = 0, keep = '{}', saved_at = NULL, data = NULL
		WHERE key = ? AND registered = 1`
)

// Acquire implements query.SnapshotStore.
func (j *Journal) Acquire(ctx context.Context, key string, held, seen int64) (saved query.Saved, err error) {
	op, err := j.operation("take ownership", key)
	if err != nil {
		return query.Saved{}, err
	}
	err = j.write(ctx, op, func(tx *sql.Tx) error {
		if held != 0 {
			if _, err := j.checkOwner(ctx, tx, key, held); err != nil {
				return err
			}
		}
		if saved, err = loadSaved(ctx, tx.StmtContext(ctx, j.stmts.outboxCurrent), key); err != nil || held != 0 {
			return err
		}
		if saved.Epoch != seen {
			return fmt.Errorf("%w: epoch %d was seen, the current one is %d", query.ErrTakenMeanwhile, seen, saved.Epoch)
		}
		saved.Epoch++
		_, err := tx.StmtContext(ctx, j.stmts.outboxRegister).ExecContext(ctx, key, saved.Epoch)
		return err
	})
	if err != nil {
		return query.Saved{}, err
	}
	return saved, nil
}

// Load implements query.SnapshotStore.
func (j *Journal) Load(ctx context.Context, key string) (saved query.Saved, err error) {
	op, err := j.operation("load the outbox snapshot", key)
	if err != nil {
		return query.Saved{}, err
	}
	err = j.read(ctx, op, func(tx *sql.Tx) error {
		saved, err = loadSaved(ctx, tx.StmtContext(ctx, j.stmts.outboxSnapshot), key)
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
	return j.write(ctx, op, func(tx *sql.Tx) error {
		stored, err := j.checkOwner(ctx, tx, key, s.Epoch)
		if err != nil {
			return err
		}
		if s.Index <= stored {
			return fmt.Errorf("%w: index %d is stored", query.ErrStaleIndex, stored)
		}
		_, err = tx.StmtContext(ctx, j.stmts.outboxSave).ExecContext(ctx,
			key, s.Index, int64(s.Keep.Watermark), kept, time.Now().UnixMicro(), s.Data)
		return err
	})
}

// checkOwner returns the stored index, or ErrFenced unless the epoch owns the key. An unregistered key has no
// owner: its epoch was raised without being given to anybody.
func (j *Journal) checkOwner(ctx context.Context, tx *sql.Tx, key string, epoch int64) (index int64, err error) {
	var (
		registered bool
		current    int64
	)
	err = tx.StmtContext(ctx, j.stmts.outboxOwner).QueryRowContext(ctx, key).Scan(&registered, &current, &index)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, err
	}
	if !registered || current != epoch {
		return 0, fmt.Errorf("%w: epoch %d does not own the key, whose current epoch is %d", query.ErrFenced, epoch, current)
	}
	return index, nil
}

// Unregister implements query.SnapshotStore.
func (j *Journal) Unregister(ctx context.Context, key string) error {
	op, err := j.operation("end the registration", key)
	if err != nil {
		return err
	}
	return j.write(ctx, op, func(tx *sql.Tx) error {
		_, err := tx.StmtContext(ctx, j.stmts.outboxForget).ExecContext(ctx, key)
		return err
	})
}

func loadSaved(ctx context.Context, stmt *sql.Stmt, key string) (s query.Saved, err error) {
	var (
		watermark query.Offset
		kept      string
		noData    bool
	)
	err = stmt.QueryRowContext(ctx, key).Scan(&s.Epoch, &s.Index, &watermark, &kept, &s.Data, &noData)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return query.Saved{}, nil
	case err != nil:
		return query.Saved{}, err
	}
	s.Data = notNil(s.Data, noData)
	if s.Keep, err = keep.Decode(kept); err != nil {
		return query.Saved{}, err
	}
	s.Keep.Watermark = watermark
	return s, nil
}
