package outboxtest

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// answering is a publisher that always gives the same answer.
type answering struct{ err error }

func (p answering) Publish(context.Context, []publisher.Event) error { return p.err }

// Whatever a publisher answers about an event, what the kit has in front of it leaves the answer as an outbox reads it.
func TestAPublishersAnswerIsReadAsByAnOutbox(t *testing.T) {
	errNo := errors.New("no")
	eventOf := func(id string) publisher.Event {
		return publisher.Event{Event: query.Event{PersistenceID: id, SequenceNumber: 1, Type: "t"}}
	}
	for name, answer := range map[string]error{
		"delivered":              nil,
		"a nil of its type":      (*publisher.BatchError)(nil),
		"no failure":             &publisher.BatchError{},
		"an event of no batch":   &publisher.BatchError{Failures: []publisher.Failure{{Index: 7, Err: errNo}}},
		"one thing and another":  &publisher.BatchError{Failures: []publisher.Failure{{Outcome: publisher.OutcomePermanent, Err: errNo}, {Err: errNo}}},
		"rejected":               publisher.Permanent(errNo),
		"later":                  publisher.RetryAfter(errNo, 5),
		"perhaps":                publisher.Unknown(errNo),
		"an error without words": errNo,
	} {
		t.Run(name, func(t *testing.T) {
			want := publisher.Failures(answer, 1)
			same := func(got []publisher.Failure) {
				t.Helper()
				require.Len(t, got, len(want))
				for i := range want {
					assert.Equal(t, want[i].Outcome, got[i].Outcome)
					assert.Equal(t, want[i].RetryAfter, got[i].RetryAfter)
				}
			}
			sink := &recorder{Publisher: answering{answer}, calls: map[*[]publisher.Event]struct{}{}}
			same(publisher.Failures(sink.Publish(t.Context(), []publisher.Event{eventOf("a")}), 1))
			assert.Len(t, sink.published(), 1-len(want))

			// With another event beside it that is made to fail.
			batch := []publisher.Event{eventOf("failing"), eventOf("a")}
			announced := &failures{Publisher: sink}
			announced.add(&failure{id: "failing", err: errNo, once: true})
			same(publisher.Failures(announced.Publish(t.Context(), batch), 2)[1:])

			faults := NewFaults(1)
			faults.Inject(Publish, Fault{PersistenceID: "failing", Err: errNo})
			same(publisher.Failures(faults.Publisher(sink).Publish(t.Context(), batch), 2)[1:])
		})
	}
}
