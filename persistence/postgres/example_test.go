package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/postgres"
)

// The tables are made once, when a new version is deployed. A program opens the journal at its start.
func ExampleOpen() { //nolint:testableexamples // it needs a server
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	if err := postgres.Migrate(ctx, pool); err != nil {
		log.Fatal(err)
	}

	j, err := postgres.Open(ctx, pool)
	if err != nil {
		log.Fatal(err)
	}
	defer j.Close()
	// Actors append through Proto.Actor: actor.WithReceiverMiddleware(journal.Using(j)). An outbox reads it: outbox.Props("shop", j, …).
	if err := j.Ping(ctx); err != nil {
		log.Print(err)
	}
}

// Code that is not event-sourced appends in its own transaction, together with what it changes.
func ExampleJournal_AppendTx() { //nolint:testableexamples // it needs a server
	var (
		ctx  = context.Background()
		pool *pgxpool.Pool
		j    *postgres.Journal
	)
	tx, err := pool.Begin(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer tx.Rollback(ctx) //nolint:errcheck // after the commit there is nothing to roll back
	if _, err := tx.Exec(ctx, "UPDATE orders SET paid = true WHERE id = 17"); err != nil {
		log.Fatal(err)
	}
	pointers, err := j.AppendTx(ctx, tx, journal.Record{PersistenceID: "order-17", Type: "shop.v1.OrderPaid", ContentType: "application/json", Data: []byte(`{}`)})
	if err != nil {
		log.Fatal(err)
	}
	if err := tx.Commit(ctx); err != nil {
		log.Fatal(err)
	}
	j.Notify()
	fmt.Println(pointers)
}

// The script is for those who make changes to the database themselves.
func ExampleMigrationSQL() {
	script, err := postgres.MigrationSQL(postgres.WithSchema("public"), postgres.WithTablePrefix("shop_"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(script[:52])
	// Output:
	// BEGIN;
	// CREATE SCHEMA IF NOT EXISTS "public";
	// -- What
}

// A job of its own migrates before a new version is deployed, as the owner of the tables. It may run as often as one likes.
func ExampleMigrate() { //nolint:testableexamples // it needs a server
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	pool, err := pgxpool.New(ctx, os.Getenv("OWNER_DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	err = postgres.Migrate(ctx, pool)
	pool.Close()
	if err != nil {
		log.Fatal(err)
	}
}

// What an operator wants to hear of: a transaction that stays open and holds up what was appended after it, and processes that
// do not wake each other.
func ExampleJournal_Gap() { //nolint:testableexamples // it needs a server
	var j *postgres.Journal
	if gap, open := j.Gap(); open && time.Since(gap.Since) > 10*time.Second {
		log.Printf("nothing after offset %d is published since %v: %d transactions are writing to the journal", gap.After, gap.Since, gap.AtWork)
	}
	waking := j.Waking()
	if err := errors.Join(waking.ListenErr, waking.NotifyErr); err != nil {
		log.Printf("outboxes publish up to a second later: %v", err)
	}
}
