package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
)

const (
	actorSnapshotSQL = `SELECT idx, type, data FROM {{actor_snapshots}} WHERE persistence_id = $1 ORDER BY idx DESC LIMIT 1`

	saveActorSnapshotSQL = `INSERT INTO {{actor_snapshots}} (persistence_id, idx, type, data) VALUES ($1, $2, $3, $4)
		ON CONFLICT (persistence_id, idx) DO UPDATE SET type = excluded.type, data = excluded.data`

	deleteActorSnapshotsSQL = `DELETE FROM {{actor_snapshots}} WHERE persistence_id = $1 AND idx <= $2`
)

// LoadActorSnapshot implements journal.Store.
func (j *Journal) LoadActorSnapshot(ctx context.Context, id string) (s journal.ActorSnapshot, ok bool, err error) {
	op, err := j.operation("load the actor snapshot", id)
	if err != nil {
		return journal.ActorSnapshot{}, false, err
	}
	err = j.do(ctx, op, func(conn *pgx.Conn) error {
		err := conn.QueryRow(ctx, j.statements.actorSnapshot, j.mode, id).Scan(&s.Index, &s.Type, &s.Data)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
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
	return j.do(ctx, op, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, j.statements.saveActor, j.mode, id, s.Index, s.Type, s.Data)
		return err
	})
}

// DeleteActorSnapshots implements journal.Store.
func (j *Journal) DeleteActorSnapshots(ctx context.Context, id string, through int64) error {
	op, err := j.operation(fmt.Sprintf("delete the actor snapshots through %d", through), id)
	if err != nil {
		return err
	}
	return j.do(ctx, op, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, j.statements.deleteActor, j.mode, id, through)
		return err
	})
}
