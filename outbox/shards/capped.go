package shards

import (
	"context"
	"slices"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// capped is a journal as it was when it ended at an offset. It does not notify: nothing is appended to it.
type capped struct {
	query.Journal
	end query.Offset
}

// cappedFinder is capped where the journal can find times.
type cappedFinder struct {
	capped
	query.TimeFinder
}

// capAt returns the journal up to an offset that it has reached.
func capAt(j query.Journal, end query.Offset) query.Journal {
	c := capped{j, end}
	if finder, ok := j.(query.TimeFinder); ok {
		return cappedFinder{c, finder}
	}
	return c
}

// Events implements query.Journal.
func (c capped) Events(ctx context.Context, after query.Offset, filter query.Filter, limits query.Limits) (query.Page, error) {
	page, err := c.Journal.Events(ctx, after, filter, limits) // behind the end, too: it says which server answers
	if err != nil || page.Next < c.end {
		return page, err
	}
	page.Events = c.cut(page.Events)
	page.Next, page.More = max(after, c.end), false
	return page, nil
}

// EventsByPersistenceID implements query.Journal. Offsets rise with the sequence number.
func (c capped) EventsByPersistenceID(ctx context.Context, id string, from int64, limits query.Limits) ([]query.Event, bool, error) {
	events, more, err := c.Journal.EventsByPersistenceID(ctx, id, from, limits)
	if kept := c.cut(events); len(kept) < len(events) {
		return kept, false, err
	}
	return events, more, err
}

func (c capped) cut(events []query.Event) []query.Event {
	if i := slices.IndexFunc(events, func(e query.Event) bool { return e.Offset > c.end }); i >= 0 {
		return events[:i]
	}
	return events
}

// Head implements query.Journal.
func (c capped) Head(ctx context.Context) (query.Head, error) {
	head, err := c.Journal.Head(ctx)
	head.Offset = min(head.Offset, c.end)
	return head, err
}

// OffsetAt implements query.TimeFinder.
func (c cappedFinder) OffsetAt(ctx context.Context, t time.Time) (query.Offset, error) {
	found, err := c.TimeFinder.OffsetAt(ctx, t)
	return min(found, c.end), err
}
