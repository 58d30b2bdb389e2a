package adopt

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	adoptv1 "github.com/protoactor-contrib/protoactor-outbox/proto/adopt/v1"
)

// positions are how far the outboxes over a provider have come, by what they have saved.
type positions []position

type position struct {
	key  string
	keep query.Keep
	*index
}

// positions reads them. It changes nothing, and registers nobody.
func (j *Journal) positions(ctx context.Context) (all positions, err error) {
	ctx, cancel := context.WithTimeout(ctx, j.callTimeout)
	defer cancel()
	var keys []string
	err = j.call(ctx, registryID, func() error {
		m, _, err := stored[*adoptv1.Registry](j.state, registryID)
		keys = m.GetKeys()
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		var m *adoptv1.OutboxSnapshot
		id := ReservedPrefix + key
		err := j.call(ctx, id, func() (err error) {
			m, _, err = stored[*adoptv1.OutboxSnapshot](j.kept, id)
			return err
		})
		if err != nil {
			return nil, err
		}
		if !m.GetRegistered() {
			continue
		}
		x, err := decodeIndex(m.GetFeed())
		if err != nil {
			return nil, err
		}
		all = append(all, position{key, decodeSaved(m).Keep, x})
	}
	return all, nil
}

// ids are those that any outbox has found.
func (all positions) ids() (ids []string) {
	for _, p := range all {
		ids = slices.AppendSeq(ids, maps.Keys(p.streams))
	}
	return ids
}

// check returns an error unless all events that outboxes have found are among these, or were deleted before them, under the
// numbers that they were published with.
func (all positions) check(id string, events []query.Event) error {
	for _, p := range all {
		s := p.streams[id]
		switch {
		case s == nil, len(events) > 0 && s.last < events[0].SequenceNumber:
		case len(events) == 0 || s.last > events[len(events)-1].SequenceNumber:
			return fmt.Errorf("%w: %q has found event %d, and the provider does not show it", journal.ErrEventsMissing, p.key, s.last)
		case checkOf(&events[s.last-events[0].SequenceNumber]) != s.check:
			return fmt.Errorf("%w: event %d is not the one that %q has found under that number", ErrRewritten, s.last, p.key)
		}
	}
	return nil
}

// unpublished is how many of the events of an id there are that an outbox has not recorded as published.
func (all positions) unpublished(id string, events []query.Event) (n int) {
	if len(all) == 0 {
		return len(events)
	}
	for i := range events {
		if slices.ContainsFunc(all, func(p position) bool { return p.waits(id, events[i].SequenceNumber) }) {
			n++
		}
	}
	return n
}

func (p position) waits(id string, seq int64) bool {
	s := p.streams[id]
	if s == nil || seq > p.settledThrough(s, p.keep.Watermark) {
		return true
	}
	next, held := p.keep.Held[id]
	return (held && seq >= next) || slices.Contains(p.keep.Parked, query.Pointer{PersistenceID: id, SequenceNumber: seq})
}
