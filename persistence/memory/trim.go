package memory

import (
	"context"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// Trim implements journal.Trimmer, in one batch. It copies what is left, because readers may be reading what was there.
func (j *Journal) Trim(ctx context.Context, r journal.Retention) (trimmed journal.Trimmed, err error) {
	err = j.write(ctx, func() error {
		var needs journal.Needs
		for key, o := range j.owners {
			if o.registered {
				needs.Add(key, o.saved.Keep)
			}
		}
		if needs.Outboxes == 0 {
			return journal.ErrNoOutbox
		}
		trimmed = journal.Trimmed{Watermark: needs.Watermark, Slowest: needs.Slowest}
		var left []query.Event
		for i := range j.events {
			e := &j.events[i]
			if !j.removable(e) || r.Spares(e.Time) || needs.Has(query.Pointer{PersistenceID: e.PersistenceID, SequenceNumber: e.SequenceNumber}, e.Offset) {
				left = append(left, *e)
			}
		}
		trimmed.Events = int64(len(j.events) - len(left))
		if trimmed.Events > 0 {
			j.replace(left)
		}
		return nil
	})
	return trimmed, wrap("trim", err)
}

// removable reports whether the event is gone for its actor, or has none, and is not the last one of its id.
func (j *Journal) removable(e *query.Event) bool {
	s := j.streams[e.PersistenceID]
	return (e.SequenceNumber <= s.hidden || s.actorless) && e.SequenceNumber < s.lastNumber
}

// replace has the events in place of those that were there, of which they are a part. It runs under the write lock.
func (j *Journal) replace(events []query.Event) {
	j.events = events
	for _, s := range j.streams {
		s.positions = nil
	}
	for i := range events {
		s := j.streams[events[i].PersistenceID]
		s.positions = append(s.positions, i)
	}
}
