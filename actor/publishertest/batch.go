package publishertest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
)

func batchCases() []testCase {
	return []testCase{
		{"without events is no error", nil, func(t testing.TB, s *subject) {
			defer func() {
				if v := recover(); v != nil {
					t.Errorf("Publish panicked: %v", v)
				}
			}()
			if err := s.Publisher.Publish(s.context(t), nil); err != nil {
				t.Errorf("Publish of no events has failed: %v", err)
			}
		}},
		{"of one id keeps its order", nil, func(t testing.TB, s *subject) {
			s.deliver(t, s.stream("a", 1, 300))
		}},
		{"of many ids keeps the order of each", nil, func(t testing.TB, s *subject) {
			var events []publisher.Event
			for seq := int64(1); seq <= 10; seq++ {
				for id := range 30 {
					events = append(events, s.event(fmt.Sprint("id-", id), seq))
				}
			}
			s.deliver(t, events)
		}},
		{"after batch goes on with an id", nil, func(t testing.TB, s *subject) {
			var all []publisher.Event
			for seq := int64(1); seq <= 10; seq++ {
				batch := append(s.stream("a", 2*seq-1, 2), s.event("b", seq))
				s.deliver(t, batch)
				all = append(all, batch...)
			}
			s.inOrder(t, all)
		}},
	}
}

func concurrencyCases() []testCase {
	return []testCase{
		{"of calls for different ids keeps the order of each", nil, func(t testing.TB, s *subject) {
			const callers, batches, size = 16, 8, 5
			ctx := s.context(t)
			calls := make([][]*call, callers)
			var running sync.WaitGroup
			for k := range callers {
				running.Go(func() {
					for b := range batches {
						c := s.call(ctx, s.stream(fmt.Sprint("id-", k), int64(b*size+1), size))
						calls[k] = append(calls[k], c)
						if !c.returned {
							return
						}
					}
				})
			}
			running.Wait()
			for k := range callers {
				var all []publisher.Event
				for _, c := range calls[k] {
					s.check(t, c)
					c.wantAll(t, "delivered")
					all = append(all, c.given...)
				}
				s.inOrder(t, all)
			}
		}},
	}
}

// stream makes n ordinary events of an id.
func (s *subject) stream(persistenceID string, first int64, n int) []publisher.Event {
	events := make([]publisher.Event, n)
	for i := range events {
		events[i] = s.event(persistenceID, first+int64(i))
	}
	return events
}

// inOrder checks that the sink has the events, each for the first time after those before it of the same id.
func (s *subject) inOrder(t testing.TB, events []publisher.Event) {
	t.Helper()
	position := make(map[string]int, len(events))
	for i := range events {
		position[events[i].ID()] = i
	}
	seen := map[string]bool{}
	last := map[string]int{} // by id
	for _, a := range s.sink.attempts(0) {
		i, mine := position[a.ID]
		if !mine || !a.taken || seen[a.ID] {
			continue
		}
		seen[a.ID] = true
		name := events[i].PersistenceID
		if before, found := last[name]; found && before > i {
			t.Errorf("the sink has taken event %q before %q", events[before].ID(), a.ID)
		}
		last[name] = i
	}
	for i := range events {
		if !seen[events[i].ID()] {
			t.Errorf("the sink does not have event %q", events[i].ID())
		}
	}
}
