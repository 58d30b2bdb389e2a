package outboxtest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
)

// recorder keeps what a publisher has taken.
type recorder struct {
	publisher.Publisher

	mu    sync.Mutex
	taken []publisher.Event
	calls map[*[]publisher.Event]struct{} // that have not returned
}

// Unwrap implements publisher.Wrapper.
func (r *recorder) Unwrap() publisher.Publisher { return r.Publisher }

func (r *recorder) Publish(ctx context.Context, events []publisher.Event) error {
	r.mu.Lock()
	r.calls[&events] = struct{}{}
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.calls, &events)
	}()
	err := r.Publisher.Publish(ctx, events)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken = append(r.taken, takenOf(events, err)...)
	return err
}

// takenOf returns the events of a batch that its publisher says it has taken.
func takenOf(events []publisher.Event, err error) []publisher.Event {
	failed := make([]bool, len(events))
	for _, f := range publisher.Failures(err, len(events)) {
		failed[f.Index] = true
	}
	var taken []publisher.Event
	for i := range events {
		if !failed[i] {
			taken = append(taken, events[i])
		}
	}
	return taken
}

func (r *recorder) published() []publisher.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.taken)
}

// running returns the ids of the events in calls that have not returned.
func (r *recorder) running() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []string
	for events := range r.calls {
		ids = append(ids, EventIDs(*events)...)
	}
	slices.Sort(ids)
	return ids
}

// takeAll is a publisher that takes everything.
var takeAll = publisher.Func(func(context.Context, publisher.Event) error { return nil })

// EventIDs returns the ids of events, such as "order-17/1": what a test mostly compares.
func EventIDs(events []publisher.Event) []string {
	ids := make([]string, len(events))
	for i := range events {
		ids[i] = events[i].ID()
	}
	return ids
}

// Decode returns an event's message. It fails the test if that is of another type than M, or cannot be decoded.
func Decode[M proto.Message](tb testing.TB, e publisher.Event) M {
	tb.Helper()
	var none M
	m, err := publisher.Decode(e)
	if err != nil {
		tb.Fatalf("outboxtest: %v", err)
		return none
	}
	typed, ok := m.(M)
	if !ok {
		tb.Fatalf("outboxtest: event %s is a %T, not a %T: %s", e.ID(), m, none, text(m))
	}
	return typed
}

// list tells events in lines.
func list(events []publisher.Event) string {
	var b strings.Builder
	for i := range events {
		e := &events[i]
		fmt.Fprintf(&b, "\n  %3d. %s  %s  ", i+1, e.ID(), e.Type)
		if m, err := publisher.Decode(*e); err == nil {
			b.WriteString(text(m))
		} else {
			fmt.Fprintf(&b, "%d bytes", len(e.Data))
		}
	}
	return b.String()
}

// text is a message in a line that is not too long.
func text(m proto.Message) string {
	const most = 200
	s := []rune(strings.Join(strings.Fields(fmt.Sprint(m)), " "))
	if len(s) > most {
		s = append(s[:most], '…')
	}
	return "{" + string(s) + "}"
}
