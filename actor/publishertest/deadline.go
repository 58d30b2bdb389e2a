package publishertest

import (
	"context"
	"testing"
	"time"
)

// short returns a context whose deadline a case waits for.
func (s *subject) short(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), min(s.patience, 200*time.Millisecond))
	t.Cleanup(cancel)
	return ctx
}

// contextCases end the context of a call: it returns, accounts for every event, and leaves nothing behind that goes on.
func contextCases() []testCase {
	return []testCase{
		{"that has ended before leaves nothing to be sent later", nil, func(t testing.TB, s *subject) {
			ctx, cancel := context.WithCancel(s.context(t))
			cancel()
			c := s.publish(ctx, t, s.events("a/1 b/1 a/2"))
			s.neverAgain(c)
			s.deliver(t, s.events("d/1 e/1 d/2"))
		}},
		{"that is cancelled ends a call in which the sink hangs", canBeSilent, func(t testing.TB, s *subject) {
			ctx, cancel := context.WithCancel(s.context(t))
			s.sink.plan("b/1", hang)
			done := make(chan *call, 1)
			events := s.events("a/1 b/1 c/1 b/2")
			go func() { done <- s.call(ctx, events) }()
			if !s.sink.await(s.patience, func() bool { return s.sink.has("b/1") }) {
				t.Errorf("event %q has not reached the sink", "b/1")
			}
			cancel()
			s.cutOff(t, <-done)
		}},
		{"with a deadline ends a call in which the sink hangs", canBeSilent, func(t testing.TB, s *subject) {
			s.sink.plan("b/1", hang)
			s.cutOff(t, s.call(s.short(t), s.events("a/1 b/1 c/1 b/2")))
		}},
	}
}

// cutOff checks a call that was ended while event 1 of it hung, and that the publisher is as good as before.
func (s *subject) cutOff(t testing.TB, c *call) {
	t.Helper()
	s.check(t, c)
	c.want(t, 1, "unknown", "retry")
	c.want(t, 3, "unknown", "retry")
	s.neverAgain(c)
	s.deliver(t, s.events("d/1 e/1 d/2"))
}
