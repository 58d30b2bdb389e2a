package main

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// shape is what is in a journal: events that are dealt to the ids in turn.
type shape struct{ ids, events, size int }

// event is the n-th event of the journal, counted from 0.
func (s shape) event(n int, data []byte) query.Event {
	e := query.Event{
		PersistenceID:  fmt.Sprintf("entity-%07d", n%s.ids),
		SequenceNumber: int64(n/s.ids) + 1,
		Type:           "bench.v1.Happened",
		ContentType:    "application/protobuf",
		Data:           data,
	}
	binary.BigEndian.PutUint64(e.UID[:], uint64(n)+1)
	return e
}

func (s shape) data() []byte { return make([]byte, s.size) }

// inMemory makes a journal in memory.
func (s shape) inMemory(ctx context.Context) (*memory.Journal, error) {
	j := memory.New()
	data := s.data()
	for n := range s.events {
		if err := j.AppendEvent(ctx, s.event(n, data)); err != nil {
			return nil, err
		}
	}
	return j, nil
}
