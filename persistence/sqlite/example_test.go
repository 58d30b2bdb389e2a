package sqlite_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

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
