package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/persistence"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/sqlite"
)

// writers is the number of actors that persist at the same time.
const writers = 32

// appends compares persistent actors with a plain program that gives each event a transaction of its own, on a file of
// the same settings: synced at every commit.
func appends(ctx context.Context, b *bench) (err error) {
	path := filepath.Join(b.dir, "append.db")
	j, err := sqlite.Open(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	plainPath := filepath.Join(b.dir, "append-floor.db")
	if err := emptyJournal(ctx, plainPath); err != nil {
		return err
	}
	plain, err := connect(plainPath, 1, "_txlock=immediate", "_pragma=synchronous(FULL)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, plain.Close()) }()

	many, few := b.scaled(500, 2), b.scaled(125, 1) // events of each writer
	speeds, err := compare(b.rounds(),
		contender{many * writers, func(round int) error { return b.world.persist(ctx, j, round, many) }},
		contender{few * writers, func(round int) error { return plainAppends(ctx, plain, round, few) }},
	)
	if err != nil {
		return err
	}
	ours, floor := speeds[0], speeds[1]
	b.line("append", "actors", writers, "events", many*writers, "per_s", ours.median(), "floor_per_s", floor.median(),
		"ratio", ours.over(floor).median())
	b.claim(atLeast("append: 32 actors, against one event per transaction", "×", 5, 5), ours.over(floor).median())
	return nil
}

// payload is an event of 256 bytes.
func payload() *wrapperspb.BytesValue { return wrapperspb.Bytes(make([]byte, 256)) }

// writer persists as many events as it is told to, one after another.
type writer struct{ persistence.Mixin }

type write struct{ events int }

// Receive implements actor.Actor.
func (w *writer) Receive(c actor.Context) {
	if m, ok := c.Message().(write); ok {
		for range m.events {
			w.PersistReceive(payload())
		}
		c.Respond(m)
	}
}

// persist has the writers persist so many events each.
func (w *world) persist(ctx context.Context, j journal.Store, round, events int) error {
	root := w.system.Root
	props := func(i int) *actor.Props {
		return actor.PropsFromProducer(func() actor.Actor { return new(writer) },
			actor.WithReceiverMiddleware(journal.Using(j, journal.WithID(func(actor.Context) string { return writerID(round, i) }))))
	}
	var all errgroup.Group
	for i := range writers {
		pid := root.Spawn(props(i))
		all.Go(func() error {
			_, err := root.RequestFuture(pid, write{events}, time.Minute).Result()
			return errors.Join(err, root.StopFuture(pid).Wait())
		})
	}
	return errors.Join(all.Wait(), ctx.Err())
}

func writerID(round, i int) string { return fmt.Sprintf("writer-%d-%d", round, i) }

// plainAppends does the same with a transaction for each event.
func plainAppends(ctx context.Context, db *sql.DB, round, events int) error {
	insert, err := db.PrepareContext(ctx, insertSQL(1))
	if err != nil {
		return err
	}
	defer insert.Close()
	data, err := proto.Marshal(payload())
	if err != nil {
		return err
	}
	all, ctx := errgroup.WithContext(ctx)
	for i := range writers {
		all.Go(func() error {
			for n := range events {
				e := shape{ids: 1}.event(n, data)
				e.PersistenceID = writerID(round, i)
				if _, err := insert.ExecContext(ctx, insertArgs(&e, time.Now().UnixMicro())...); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return all.Wait()
}
