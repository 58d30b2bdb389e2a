package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// statements are prepared once; database/sql prepares them again on each connection that it opens. The feed's
// are in [feedQuery]'s order.
type statements struct {
	// readers
	head           *sql.Stmt
	identity       *sql.Stmt
	offsetAt       *sql.Stmt
	feed           [feedQueries]*sql.Stmt
	stream         *sql.Stmt
	replay         *sql.Stmt
	lastSequence   *sql.Stmt
	ids            *sql.Stmt
	actorSnapshot  *sql.Stmt
	outboxSnapshot *sql.Stmt

	// writer
	appendLast      *sql.Stmt
	appendUID       *sql.Stmt
	appendActorless *sql.Stmt
	appendInsert    *sql.Stmt
	hide            *sql.Stmt
	saveActor       *sql.Stmt
	deleteActor     *sql.Stmt
	outboxCurrent   *sql.Stmt
	outboxOwner     *sql.Stmt
	outboxRegister  *sql.Stmt
	outboxSave      *sql.Stmt
	outboxForget    *sql.Stmt

	all []*sql.Stmt
}

func (s *statements) prepare(ctx context.Context, writer, readers *sql.DB) error {
	type source struct {
		stmt **sql.Stmt
		text string
	}
	onReaders := []source{
		{&s.head, headSQL},
		{&s.identity, identitySQL},
		{&s.offsetAt, offsetAtSQL},
		{&s.stream, streamSQL},
		{&s.replay, replaySQL},
		{&s.lastSequence, lastSequenceSQL},
		{&s.ids, idsSQL},
		{&s.actorSnapshot, actorSnapshotSQL},
		{&s.outboxSnapshot, outboxSnapshotSQL},
	}
	for q := range feedQueries {
		onReaders = append(onReaders, source{&s.feed[q], q.sql()})
	}
	onWriter := []source{
		{&s.appendLast, appendLastSQL},
		{&s.appendUID, appendUIDSQL},
		{&s.appendActorless, appendActorlessSQL},
		{&s.appendInsert, appendInsertSQL},
		{&s.hide, hideSQL},
		{&s.saveActor, saveActorSnapshotSQL},
		{&s.deleteActor, deleteActorSnapshotsSQL},
		{&s.outboxCurrent, outboxSnapshotSQL},
		{&s.outboxOwner, outboxOwnerSQL},
		{&s.outboxRegister, outboxRegisterSQL},
		{&s.outboxSave, outboxSaveSQL},
		{&s.outboxForget, outboxForgetSQL},
	}
	for _, on := range []struct {
		db      *sql.DB
		sources []source
	}{{readers, onReaders}, {writer, onWriter}} {
		for _, source := range on.sources {
			stmt, err := on.db.PrepareContext(ctx, source.text)
			if err != nil {
				return fmt.Errorf("prepare %q: %w", source.text, err)
			}
			*source.stmt = stmt
			s.all = append(s.all, stmt)
		}
	}
	return nil
}

func (s *statements) close() error {
	var errs []error
	for _, stmt := range s.all {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(errs...)
}
