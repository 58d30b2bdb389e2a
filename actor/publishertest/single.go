package publishertest

import (
	"testing"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
)

func singleCases() []testCase {
	return []testCase{
		{"reaches the sink as it was given", nil, func(t testing.TB, s *subject) {
			s.deliver(t, s.events("a/1"))
		}},
		{"may have no data, tags and metadata", nil, func(t testing.TB, s *subject) {
			s.deliver(t, []publisher.Event{s.event("a", 1, func(e *publisher.Event) {
				e.Data, e.Tags, e.Metadata = nil, nil, nil
			})})
		}},
		{"may have any bytes as data", nil, func(t testing.TB, s *subject) {
			var every [256]byte
			for i := range every {
				every[i] = byte(i)
			}
			s.deliver(t, []publisher.Event{s.event("a", 1, func(e *publisher.Event) { e.Data = every[:] })})
		}},
		{"is known by its id, that of a mapped message included", nil, func(t testing.TB, s *subject) {
			second := s.event("a", 1)
			second.Output = 2
			c := s.publish(s.context(t), t, []publisher.Event{second})
			// What maps events itself is given none that are mapped already, and rejects them.
			c.want(t, 0, "delivered", "permanent")
		}},
		{"published again is delivered again, or left out where the sink deduplicates", nil, func(t testing.TB, s *subject) {
			events := s.events("a/1")
			s.deliver(t, events)
			s.deliver(t, events)
			want := 2
			if s.h.Facts.Deduplicates {
				want = 1
				s.deliver(t, s.events("fence/1")) // what was sent before it has arrived
			}
			count := func() int { return len(s.sink.taken(events[0].ID())) }
			if !s.sink.await(s.patience, func() bool { return count() >= want }) || count() > want {
				t.Errorf("an event that was published twice has reached the sink %d times, stated were %d", count(), want)
			}
		}},
	}
}
