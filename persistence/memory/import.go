package memory

import (
	"context"
	"fmt"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

var _ journal.Importer = (*Journal)(nil)

// ImportEvents implements journal.Importer.
func (j *Journal) ImportEvents(ctx context.Context, events []query.Event) error {
	if len(events) == 0 {
		return nil
	}
	id := events[0].PersistenceID
	if err := onID(ctx, "import events", id, j.write, func() error { return j.importAll(id, events) }); err != nil {
		return err
	}
	j.subscribers.notify()
	return nil
}

// importAll runs under the write lock. It looks at all before it changes anything.
func (j *Journal) importAll(id string, events []query.Event) error {
	s := j.streams[id]
	last := s.last()
	for i := range events {
		e := &events[i]
		switch {
		case e.PersistenceID != id || e.SequenceNumber < 1 || (i > 0 && e.SequenceNumber != events[i-1].SequenceNumber+1):
			return fmt.Errorf("%w: event %s does not follow the one before it", journal.ErrSequenceConflict, e.ID())
		case last == 0 && i == 0, e.SequenceNumber > last && (i > 0 || e.SequenceNumber == last+1):
		case e.SequenceNumber > last:
			return fmt.Errorf("%w: %q ends at sequence number %d, so %d comes next, not %d",
				journal.ErrSequenceConflict, id, last, last+1, e.SequenceNumber)
		case !j.has(s, e):
			return fmt.Errorf("%w: another event than %s is there, or none of its time", journal.ErrSequenceConflict, e.ID())
		}
	}
	if s == nil {
		s = new(stream)
		j.streams[id] = s
	}
	for _, e := range events {
		if e.SequenceNumber <= last {
			continue
		}
		e = owned(e)
		if e.Time.IsZero() {
			e.Time = j.now()
		}
		e.Time = e.Time.UTC().Truncate(time.Microsecond)
		j.add(s, e)
	}
	// Like an actor's, whose id it is from now on.
	s.actorless = false
	return nil
}

// has reports whether the event itself is there.
func (j *Journal) has(s *stream, e *query.Event) bool {
	there := j.find(s, e.SequenceNumber)
	return there != nil && there.UID == e.UID
}
