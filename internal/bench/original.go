package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// originalInterval is the time between two of its looks at the journal.
const originalInterval = 50 * time.Millisecond

// publishTimeout is how long it waits for an answer of its publisher.
const publishTimeout = 30 * time.Second

// originalJournal is what the original algorithm needs of a journal.
type originalJournal interface {
	query.Journal
	query.PersistenceIDs
	query.SnapshotStore
}

// originalOutbox is the original algorithm, as plainly as it is described: every 50 ms it lists all ids, asks for the
// new events of each in one query, has its child publish them one by one, and saves the whole map of offsets.
//
// It is written in its favour. It is no actor itself; nothing that fails is tried again; and where the description leaves
// open how often the map is saved, it is once for a whole look.
type originalOutbox struct {
	journal originalJournal
	// publisher is the child, an actor as the outbox's are: the algorithm sends it requests.
	publisher *actor.PID
	root      *actor.RootContext
	key       string
	limit     int // events of one query

	saved   query.Saved
	offsets map[string]int64 // by id: the last sequence number that was published
}

// allOfThem is the limit of a query that brings every new event of its id.
const allOfThem = math.MaxInt32

func startOriginal(ctx context.Context, w *world, key string, j originalJournal, p publisher.Publisher, limit int) (*originalOutbox, error) {
	saved, err := j.Load(ctx, key)
	if err != nil {
		return nil, err
	}
	if saved, err = j.Acquire(ctx, key, 0, saved.Epoch); err != nil {
		return nil, err
	}
	o := &originalOutbox{
		journal: j, publisher: w.system.Root.Spawn(publisher.Props(p)), root: w.system.Root,
		key: key, limit: limit, saved: saved, offsets: map[string]int64{},
	}
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
			if err := o.publish(&e); err != nil {
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

// publish asks the child to publish one event, and waits for its answer.
func (o *originalOutbox) publish(e *query.Event) error {
	request := &outboxv1.PublishRequest{Events: publisher.WireEvents([]*query.Event{e})}
	answer, err := o.root.RequestFuture(o.publisher, request, publishTimeout).Result()
	if err != nil {
		return err
	}
	if outcome := answer.(*outboxv1.PublishResponse).GetOutcome(); outcome != outboxv1.Outcome_OUTCOME_OK {
		return fmt.Errorf("event %s was not published: %v", e.ID(), outcome)
	}
	return nil
}

// stop ends the child.
func (o *originalOutbox) stop() error { return o.root.StopFuture(o.publisher).Wait() }

func (o *originalOutbox) save(ctx context.Context) (err error) {
	o.saved.Index++
	if o.saved.Data, err = json.Marshal(o.offsets); err != nil {
		return err
	}
	return o.journal.Save(ctx, o.key, o.saved)
}
