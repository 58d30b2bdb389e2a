package publishertest

import "testing"

// outcomeCases publish an event alone: the answer is about it.
func outcomeCases() []testCase {
	return []testCase{
		{"a rejected event is given up for good", canReject, func(t testing.TB, s *subject) {
			events := s.events("a/1")
			s.sink.plan("a/1", reject)
			c := s.publish(s.context(t), t, events)
			c.want(t, 0, "permanent")
			s.deliver(t, s.events("a/2"))
		}},
		{"an event that meets a busy sink comes again", canBeBusy, func(t testing.TB, s *subject) {
			events := s.events("a/1")
			for range 3 {
				s.sink.plan("a/1", busy)
				s.publish(s.context(t), t, events).want(t, 0, "retry", "unknown")
			}
			s.deliver(t, events)
		}},
		{"an event whose answer is lost comes again", canBeSilent, func(t testing.TB, s *subject) {
			events := s.events("a/1")
			s.sink.plan("a/1", lose)
			s.publish(s.context(t), t, events).want(t, 0, "retry", "unknown")
			s.deliver(t, events)
		}},
		{"a sink that is down is no reason to give up", nil, func(t testing.TB, s *subject) {
			if s.SetDown == nil {
				t.Skip("the harness cannot take the sink down")
			}
			s.deliver(t, s.events("a/1"))
			s.SetDown(true)
			batch := s.events("a/2 b/1 a/3")
			for range 3 {
				c := s.call(s.short(t), batch)
				s.check(t, c)
				c.wantAll(t, "retry", "unknown")
			}
			s.SetDown(false)
			// It may take the publisher a moment to notice; only then it is stuck.
			ctx := s.context(t)
			for c := s.publish(ctx, t, batch); len(c.failures) > 0; c = s.publish(ctx, t, batch) {
				if ctx.Err() != nil {
					t.Fatalf("the sink is up again, but nothing is delivered: %v", c.failures)
				}
				c.wantAll(t, "delivered", "retry", "unknown")
			}
			s.inOrder(t, append(s.events("a/1"), batch...))
		}},
	}
}
