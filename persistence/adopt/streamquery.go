package adopt

import (
	"context"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// EventsByPersistenceID implements query.Journal. It reads what has come to the id first.
func (f *Feed) EventsByPersistenceID(ctx context.Context, id string, from int64, limits query.Limits) ([]query.Event, bool, error) {
	events, more, err := f.byID(ctx, id, max(from, 1), limits)
	if err != nil {
		return nil, false, wrapID("read the events", id, err)
	}
	return events, more, nil
}

func (f *Feed) byID(ctx context.Context, id string, from int64, limits query.Limits) ([]query.Event, bool, error) {
	if err := checkLimits(limits); err != nil {
		return nil, false, err
	}
	s, last, err := f.latest(ctx, id)
	if err != nil || last < from {
		return nil, false, err
	}
	f.mu.Lock()
	x := f.index
	f.mu.Unlock()
	limits.Events = int(min(int64(limits.Events), last-from+1))
	events, through, err := f.stream(ctx, x, s, from, limits)
	return events, through < last, err
}

// LastSequenceNumber implements query.Journal.
func (f *Feed) LastSequenceNumber(ctx context.Context, id string) (int64, error) {
	_, last, err := f.latest(ctx, id)
	return last, wrapID("read the last sequence number", id, err)
}

// latest reads what has come to an id, and returns through which sequence number it is known now.
func (f *Feed) latest(ctx context.Context, id string) (*stream, int64, error) {
	if err := checkID(id); err != nil {
		return nil, 0, err
	}
	if _, err := f.confirm(ctx, id); err != nil {
		return nil, 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.index.streams[id]
	if s == nil {
		return nil, 0, nil
	}
	return s, s.last, nil
}
