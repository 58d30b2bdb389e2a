package main

import (
	"context"
	"encoding/json"
	"math"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// originalInterval is the time between two of its looks at the journal.
const originalInterval = 50 * time.Millisecond

// originalJournal is what the original algorithm needs of a journal.
type originalJournal interface {
	query.Journal
	query.PersistenceIDs
	query.SnapshotStore
}

// originalOutbox is the original algorithm, as plainly as it is described: every 50 ms it lists all ids, asks for the
// new events of each in one query, publishes them one by one, and saves the whole map of offsets.
//
// It is written in its favour. It is no actor, and sends no messages; nothing that fails is tried again; and where the
// description leaves open how often the map is saved, it is once for a whole look.
type originalOutbox struct {
	journal   originalJournal
	publisher publisher.Publisher
	key       string
	limit     int // events of one query

	saved   query.Saved
	offsets map[string]int64 // by id: the last sequence number that was published
}

// allOfThem is the limit of a query that brings every new event of its id.
const allOfThem = math.MaxInt32

func startOriginal(ctx context.Context, key string, j originalJournal, p publisher.Publisher, limit int) (*originalOutbox, error) {
	saved, err := j.Acquire(ctx, key, 0)
	if err != nil {
		return nil, err
	}
	o := &originalOutbox{journal: j, publisher: p, key: key, limit: limit, saved: saved, offsets: map[string]int64{}}
	if saved.Data != nil {
		err = json.Unmarshal(saved.Data, &o.offsets)
	}
	return o, err
}

// run looks at the journal at each interval, until ctx ends or it has published so many events.
func (o *originalOutbox) run(ctx context.Context, events int) error {
	ticker := time.NewTicker(originalInterval)
	defer ticker.Stop()
	for published := 0; published < events; {
		n, err := o.look(ctx)
		if err != nil {
			return err
		}
		published += n
		if published >= events {
			break
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (o *originalOutbox) look(ctx context.Context) (published int, err error) {
	ids, err := o.journal.PersistenceIDs(ctx, "", math.MaxInt32)
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		events, _, err := o.journal.EventsByPersistenceID(ctx, id, o.offsets[id]+1, query.Limits{Events: o.limit})
		if err != nil {
			return published, err
		}
		for _, e := range events {
			if err := o.publisher.Publish(ctx, []publisher.Event{{Event: e}}); err != nil {
				return published, err
			}
			o.offsets[id] = e.SequenceNumber
			published++
		}
	}
	if published == 0 {
		return 0, nil
	}
	return published, o.save(ctx)
}

func (o *originalOutbox) save(ctx context.Context) (err error) {
	o.saved.Index++
	if o.saved.Data, err = json.Marshal(o.offsets); err != nil {
		return err
	}
	return o.journal.Save(ctx, o.key, o.saved)
}
