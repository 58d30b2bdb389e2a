package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/sqlite"
)

// A journal is opened once, and serves both the actors that write events and whoever reads them.
func ExampleOpen() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "shop")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	j, err := sqlite.Open(ctx, filepath.Join(dir, "shop.db"))
	if err != nil {
		log.Fatal(err)
	}
	defer j.Close()

	// Actors append through Proto.Actor: actor.WithReceiverMiddleware(journal.Using(j)). This is what they do.
	for seq, data := range []string{"placed", "paid"} {
		e := query.Event{PersistenceID: "order-17", SequenceNumber: int64(seq + 1), UID: [16]byte{byte(seq + 1)}, Type: "text", Data: []byte(data)}
		if err := j.AppendEvent(ctx, e); err != nil {
			log.Fatal(err)
		}
	}

	page, err := j.Events(ctx, 0, query.Filter{}, query.Limits{Events: 100})
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range page.Events {
		fmt.Println(e.Offset, e.ID(), string(e.Data))
	}
	// Output:
	// 1 order-17/1 placed
	// 2 order-17/2 paid
}

// An application without actors writes its own tables and what has happened in one transaction: both are there, or none.
func ExampleJournal_AppendTx() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "shop")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "shop.db")
	j, err := sqlite.Open(ctx, path)
	if err != nil {
		log.Fatal(err)
	}
	defer j.Close()

	// The application's own connections to the same file. Their transactions begin with the write lock, and wait for it.
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(5000)")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, "CREATE TABLE orders (id TEXT PRIMARY KEY, total INTEGER)"); err != nil {
		log.Fatal(err)
	}

	placeOrder := func(id string, total int) ([]query.Pointer, error) {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return nil, err
		}
		defer tx.Rollback()
		if _, err := tx.ExecContext(ctx, "INSERT INTO orders VALUES (?, ?)", id, total); err != nil {
			return nil, err
		}
		stored, err := j.AppendTx(ctx, tx, journal.Record{
			PersistenceID: id, Type: "shop.OrderPlaced", ContentType: "application/json", Data: fmt.Appendf(nil, `{"total":%d}`, total),
		})
		if err != nil {
			return nil, err
		}
		if err := tx.Commit(); err != nil {
			return nil, err
		}
		j.Notify() // an outbox need not wait for its next poll
		return stored, nil
	}
	for _, id := range []string{"order-17", "order-18", "order-17"} {
		stored, err := placeOrder(id, 42)
		fmt.Println(stored, err)
	}

	page, err := j.Events(ctx, 0, query.Filter{}, query.Limits{Events: 100})
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range page.Events {
		fmt.Println(e.ID(), e.Type, string(e.Data))
	}
	// Output:
	// [{order-17 1}] <nil>
	// [{order-18 1}] <nil>
	// [] constraint failed: UNIQUE constraint failed: orders.id (1555)
	// order-17/1 shop.OrderPlaced {"total":42}
	// order-18/1 shop.OrderPlaced {"total":42}
}
