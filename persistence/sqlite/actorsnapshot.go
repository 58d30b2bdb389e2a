package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
)

const (
	actorSnapshotSQL = `SELECT idx, type, data, data IS NULL FROM actor_snapshots
		WHERE persistence_id = ? ORDER BY idx DESC LIMIT 1`

	saveActorSnapshotSQL = `INSERT INTO actor_snapshots (persistence_id, idx, type, data) VALUES (?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET type = excluded.type, data = excluded.data`

	deleteActorSnapshotsSQL = `DELETE FROM actor_snapshots WHERE persistence_id = ? AND idx <= ?`
)

// LoadActorSnapshot implements journal.Store.
func (j *Journal) LoadActorSnapshot(ctx context.Context, id string) (s journal.ActorSnapshot, ok bool, err error) {
	op, err := j.operation("load the actor snapshot", id)
	if err != nil {
		return journal.ActorSnapshot{}, false, err
	}
	err = j.read(ctx, op, func(tx *sql.Tx) error {
		var noData bool
		err := tx.StmtContext(ctx, j.stmts.actorSnapshot).QueryRowContext(ctx, id).Scan(&s.Index, &s.Type, &s.Data, &noData)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		s.Data = notNil(s.Data, noData)
		ok = err == nil
		return err
	})
	if err != nil {
		return journal.ActorSnapshot{}, false, err
	}
	return s, ok, nil
}

// SaveActorSnapshot implements journal.Store.
func (j *Journal) SaveActorSnapshot(ctx context.Context, id string, s journal.ActorSnapshot) error {
	op, err := j.operation(fmt.Sprintf("save actor snapshot %d", s.Index), id)
	if err != nil {
		return err
	}
	if err := checkText("type", s.Type); err != nil {
		return j.wrap(op, fmt.Errorf("%w: %w", journal.ErrNotEncodable, err))
	}
	return j.write(ctx, op, func(tx *sql.Tx) error {
		_, err := tx.StmtContext(ctx, j.stmts.saveActor).ExecContext(ctx, id, s.Index, s.Type, s.Data)
		return err
	})
}

// DeleteActorSnapshots implements journal.Store.
func (j *Journal) DeleteActorSnapshots(ctx context.Context, id string, through int64) error {
	op, err := j.operation(fmt.Sprintf("delete the actor snapshots through %d", through), id)
	if err != nil {
		return err
	}
	return j.write(ctx, op, func(tx *sql.Tx) error {
		_, err := tx.StmtContext(ctx, j.stmts.deleteActor).ExecContext(ctx, id, through)
		return err
	})
}
