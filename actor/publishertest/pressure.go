package publishertest

import (
	"context"
	"fmt"
	"testing"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
)

// pressureCases publish more than the sink takes at a time.
func pressureCases() []testCase {
	return []testCase{
		{"a slow sink is sent no more at a time than the publisher states", canBeSilent, func(t testing.TB, s *subject) {
			const batches, size = 12, 4
			var all [][]publisher.Event
			for b := range batches {
				var batch []publisher.Event
				for k := range size {
					batch = append(batch, s.event(fmt.Sprintf("id-%d-%d", b, k), 1))
				}
				all = append(all, batch)
			}
			for _, batch := range all {
				for _, e := range batch {
					s.sink.plan(e.ID(), hold)
				}
			}
			ctx := s.context(t)
			done := make(chan *call, batches)
			for _, batch := range all {
				go func() { done <- s.call(ctx, batch) }()
			}
			// Each that the gate lets go makes room for another; one by one, so that those which do not wait for room
			// have every chance to show.
			for n := range batches * size {
				if !s.sink.await(s.patience, func() bool { now, _ := s.sink.load(); return now > 0 }) {
					t.Errorf("%d of %d events have reached the sink, and no others follow", n, batches*size)
					break
				}
				s.release(ctx)
			}
			for range batches {
				c := <-done
				s.check(t, c)
				c.wantAll(t, "delivered")
			}
			if _, most := s.sink.load(); s.h.Facts.Concurrency > 0 && most > s.h.Facts.Concurrency {
				t.Errorf("%d events were on their way at the same time, stated are %d at most", most, s.h.Facts.Concurrency)
			}
		}},
		{"a call that waits for room ends with its context", canBeSilent, func(t testing.TB, s *subject) {
			crowd := max(s.h.Facts.Concurrency, 1)
			ctx := s.context(t)
			done := make(chan *call, crowd)
			for k := range crowd {
				e := s.event(fmt.Sprint("id-", k), 1)
				s.sink.plan(e.ID(), hold)
				go func() { done <- s.call(ctx, []publisher.Event{e}) }()
			}
			full := func() bool { now, _ := s.sink.load(); return now == crowd }
			if !s.sink.await(s.patience, full) {
				now, _ := s.sink.load()
				t.Errorf("%d events are on their way, stated are up to %d at the same time", now, crowd)
			}
			s.sink.plan("late/1", hang)
			late := s.call(s.short(t), s.events("late/1 late/2"))
			for range crowd {
				s.release(ctx)
			}
			for range crowd {
				c := <-done
				s.check(t, c)
				c.want(t, 0, "delivered")
			}
			s.check(t, late)
			late.wantAll(t, "unknown", "retry")
			s.neverAgain(late)
			s.deliver(t, s.events("d/1 e/1 d/2"))
		}},
	}
}

// release lets one delivery go on that the sink holds.
func (s *subject) release(ctx context.Context) {
	select {
	case s.sink.gate <- struct{}{}:
	case <-ctx.Done():
	}
}
