package publishertest

import (
	"bytes"
	"testing"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
)

const mebibyte = 1 << 20

func largeCases() []testCase {
	return []testCase{
		{"of 1 MiB is delivered", func(f Facts) bool { return f.MaxData == 0 || f.MaxData >= mebibyte }, func(t testing.TB, s *subject) {
			s.deliver(t, []publisher.Event{s.event("a", 1), s.sized("a", 2, mebibyte), s.event("a", 3)})
		}},
		{"in numbers is delivered", func(f Facts) bool { return f.MaxData == 0 || f.MaxData >= mebibyte }, func(t testing.TB, s *subject) {
			var events []publisher.Event
			for k := range 16 {
				events = append(events, s.sized("a", int64(k+1), mebibyte))
			}
			s.deliver(t, events)
		}},
		{"as large as stated is delivered", func(f Facts) bool { return f.MaxData > 0 }, func(t testing.TB, s *subject) {
			s.deliver(t, []publisher.Event{s.sized("a", 1, s.h.Facts.MaxData), s.event("a", 2)})
		}},
		{"larger than stated is given up for good, and stops nobody else", func(f Facts) bool { return f.MaxData > 0 }, func(t testing.TB, s *subject) {
			tooLarge := s.sized("b", 1, 2*s.h.Facts.MaxData)
			if !s.h.Facts.AllOrNothing {
				c := s.publish(s.context(t), t, []publisher.Event{s.event("a", 1), tooLarge, s.event("a", 2)})
				c.want(t, 0, "delivered")
				c.want(t, 1, "permanent")
				c.want(t, 2, "delivered")
			}
			s.publish(s.context(t), t, []publisher.Event{tooLarge}).want(t, 0, "permanent")
			s.deliver(t, s.events("b/2"))
		}},
	}
}

// sized returns an event with so many bytes of data, which do not compress to nothing.
func (s *subject) sized(persistenceID string, seq int64, size int) publisher.Event {
	return s.event(persistenceID, seq, func(e *publisher.Event) {
		e.Data = bytes.Repeat([]byte(e.ID()+" "), size/len(e.ID())+1)[:size]
		for i := 0; i < size; i += 97 {
			e.Data[i] = byte(i >> 8)
		}
	})
}
