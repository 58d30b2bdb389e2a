package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sort"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// stream is where the events of one persistence id are. A nil stream has none.
type stream struct {
	positions  []int // in the journal's events, in the order of the sequence numbers; what is in it never changes
	lastNumber int64
	hidden     int64 // the greatest sequence number that is hidden from replay
	actorless  bool  // all of its events were written without an actor
}

func (s *stream) last() int64 {
	if s == nil {
		return 0
	}
	return s.lastNumber
}

// from are the positions, in all, of the stream's events from a sequence number on. Earlier ones may have been removed.
func (s *stream) from(all []query.Event, seq int64) []int {
	return s.positions[sort.Search(len(s.positions), func(i int) bool { return all[s.positions[i]].SequenceNumber >= seq }):]
}

// find returns the event of the stream with that number, nil if there is none.
func (j *Journal) find(s *stream, seq int64) *query.Event {
	if s == nil {
		return nil
	}
	if rest := s.from(j.events, seq); len(rest) > 0 && j.events[rest[0]].SequenceNumber == seq {
		return &j.events[rest[0]]
	}
	return nil
}

// EventsByPersistenceID implements query.Journal.
func (j *Journal) EventsByPersistenceID(ctx context.Context, id string, from int64, limits query.Limits) ([]query.Event, bool, error) {
	const op = "read the events"
	if err := checkLimits(limits); err != nil {
		return nil, false, wrap(op, err)
	}
	all, positions, err := j.tail(ctx, op, id, from, false)
	if err != nil {
		return nil, false, err
	}
	n := fitting(len(positions), limits, func(i int) int { return all[positions[i]].Size() })
	events := make([]query.Event, n)
	for i, position := range positions[:n] {
		events[i] = all[position]
	}
	return events, n < len(positions), nil
}

// Replay implements journal.Store. It gives the events that are there when it is called; fn may use the journal.
func (j *Journal) Replay(ctx context.Context, id string, from, to int64, fn func(query.Event) error) error {
	const op = "replay the events"
	all, positions, err := j.tail(ctx, op, id, from, true)
	if err != nil {
		return err
	}
	for _, position := range positions {
		if err := ctx.Err(); err != nil {
			return wrap(fmt.Sprintf("%s of %q", op, id), err)
		}
		e := all[position]
		if to != 0 && e.SequenceNumber > to {
			break
		}
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}

// tail returns all events, and the positions in them of those of the id from a sequence number on.
func (j *Journal) tail(ctx context.Context, op, id string, from int64, onlyVisible bool) (all []query.Event, positions []int, err error) {
	err = onID(ctx, op, id, j.read, func() error {
		s := j.streams[id]
		if s == nil {
			return nil
		}
		if onlyVisible {
			from = max(from, s.hidden+1)
		}
		all = j.events
		positions = s.from(all, from)
		return nil
	})
	return all, positions, err
}

// LastSequenceNumber implements query.Journal.
func (j *Journal) LastSequenceNumber(ctx context.Context, id string) (last int64, err error) {
	err = onID(ctx, "read the last sequence number", id, j.read, func() error {
		last = j.streams[id].last()
		return nil
	})
	return last, err
}

// HideEvents implements journal.Store.
func (j *Journal) HideEvents(ctx context.Context, id string, through int64) error {
	return onID(ctx, "hide the events", id, j.write, func() error {
		if s := j.streams[id]; s != nil {
			s.hidden = max(s.hidden, min(through, s.last()))
		}
		return nil
	})
}

// PersistenceIDs implements query.PersistenceIDs.
func (j *Journal) PersistenceIDs(ctx context.Context, after string, limit int) (ids []string, err error) {
	if limit < 1 {
		return nil, wrap("list the persistence ids", fmt.Errorf("the limit of %d ids is invalid: ask for at least 1", limit))
	}
	err = j.write(ctx, func() error {
		if len(j.ids) < len(j.streams) { // ids are never removed
			j.ids = slices.Sorted(maps.Keys(j.streams))
		}
		first, found := slices.BinarySearch(j.ids, after)
		if found {
			first++
		}
		rest := j.ids[first:]
		ids = slices.Clone(rest[:min(limit, len(rest))])
		return nil
	})
	return ids, wrap("list the persistence ids", err)
}
