package memory

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// AppendEvent implements journal.Store. It keeps nothing of the caller's memory.
func (j *Journal) AppendEvent(ctx context.Context, e query.Event) error {
	e = owned(e)
	if e.UID == ([16]byte{}) {
		return wrap("append an event", fmt.Errorf("%w: the UID of %q is zero: without one of its own it would pass for another event without one",
			journal.ErrNotEncodable, e.ID()))
	}
	if err := onID(ctx, "append an event", e.PersistenceID, j.write, func() error { return j.append(e, false) }); err != nil {
		return err
	}
	j.subscribers.notify()
	return nil
}

// Append implements journal.Appender. It keeps nothing of the caller's memory.
func (j *Journal) Append(ctx context.Context, records ...journal.Record) ([]query.Pointer, error) {
	op := fmt.Sprintf("append %d records", len(records))
	if err := journal.ValidateRecords(records); err != nil {
		return nil, wrap(op, err)
	}
	events := make([]query.Event, len(records))
	for i, r := range records {
		events[i] = owned(query.Event{
			PersistenceID: r.PersistenceID, Type: r.Type, ContentType: r.ContentType, Data: r.Data, Tags: r.Tags, Metadata: r.Metadata,
		})
		rand.Read(events[i].UID[:]) // never fails
	}
	pointers := make([]query.Pointer, len(records))
	err := j.write(ctx, func() error {
		for i, e := range events {
			e.SequenceNumber = j.streams[e.PersistenceID].last() + 1
			if err := j.append(e, true); err != nil {
				return err
			}
			pointers[i] = query.Pointer{PersistenceID: e.PersistenceID, SequenceNumber: e.SequenceNumber}
		}
		return nil
	})
	if err != nil {
		return nil, wrap(op, err)
	}
	j.subscribers.notify()
	return pointers, nil
}

// append runs under the write lock.
func (j *Journal) append(e query.Event, isRecord bool) error {
	s := j.streams[e.PersistenceID]
	last := s.last()
	switch {
	case e.SequenceNumber >= 1 && e.SequenceNumber <= last:
		if there := j.find(s, e.SequenceNumber); there != nil && there.UID == e.UID {
			return nil
		}
		return fmt.Errorf("%w: sequence number %d of %q is taken, the last one is %d",
			journal.ErrSequenceConflict, e.SequenceNumber, e.PersistenceID, last)
	case e.SequenceNumber != last+1:
		return fmt.Errorf("%w: %q ends at sequence number %d, so %d comes next, not %d",
			journal.ErrSequenceConflict, e.PersistenceID, last, last+1, e.SequenceNumber)
	}
	if s == nil {
		s = &stream{actorless: true}
		j.streams[e.PersistenceID] = s
	}
	s.actorless = s.actorless && isRecord
	e.Time = j.now().UTC().Truncate(time.Microsecond)
	j.add(s, e)
	return nil
}

// add puts an event at the end of the journal, and of its stream.
func (j *Journal) add(s *stream, e query.Event) {
	e.Offset = j.head() + 1
	s.positions = append(s.positions, len(j.events))
	s.lastNumber = e.SequenceNumber
	j.events = append(j.events, e)
}

// owned is the event as it is stored, apart from its place in the journal.
func owned(e query.Event) query.Event {
	e.Slice = query.SliceOf(e.PersistenceID)
	e.Data = bytes.Clone(e.Data)
	e.Tags = slices.Clone(e.Tags)
	slices.Sort(e.Tags)
	e.Tags = slices.Compact(e.Tags)
	if len(e.Tags) == 0 {
		e.Tags = nil
	}
	e.Metadata = maps.Clone(e.Metadata)
	if len(e.Metadata) == 0 {
		e.Metadata = nil
	}
	return e
}
