package publisher

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"
)

// Rule says what a [Mux] or a [Mapping] does with events of a type that was not registered with it.
type Rule int

const (
	// Ignore counts such events as delivered; nothing is published.
	Ignore Rule = iota + 1
	// Park rejects them for good, so that the outbox parks them: nothing is passed over unseen.
	Park
	// Pass has a [Mapping] publish them as they are. A Mux has nowhere to pass them to.
	Pass
)

// Meta is the event that a handler's message was decoded from: its id, sequence number, time and so on.
type Meta = Event

// Mux is a [Publisher] that decodes each event and gives it to the handler for its type; see [On]. It goes
// through a batch like [Func]. Handlers are registered before the Mux is used, and called concurrently.
type Mux struct {
	rule     Rule
	handlers map[string]func(ctx context.Context, e Event) error
}

// NewMux returns a Mux without handlers. There is no default rule: whether an event that nobody listens to is
// normal or a mistake is for the application to say. Another rule than [Ignore] and [Park] panics.
func NewMux(rule Rule) *Mux {
	if rule != Ignore && rule != Park {
		panic(fmt.Sprintf("publisher.NewMux: the rule is %d, it must be publisher.Ignore or publisher.Park", rule))
	}
	return &Mux{rule: rule, handlers: map[string]func(context.Context, Event) error{}}
}

// On registers the handler for events of the message type M, a generated protobuf type such as
// *shop.OrderPlaced. What handle returns means what it means for [Func]. An event of that type which cannot be
// decoded is rejected for good; handle does not see it.
//
// A second handler for a type, a nil handler and an M that is not a generated message panic, as a mistake in
// registration does in net/http.
func On[M proto.Message](mux *Mux, handle func(ctx context.Context, meta Meta, event M) error) {
	name, decode := decoderOf[M]("publisher.On")
	if handle == nil {
		panic(fmt.Sprintf("publisher.On: the handler for %s is nil", name))
	}
	if _, taken := mux.handlers[name]; taken {
		panic(fmt.Sprintf("publisher.On: %s already has a handler", name))
	}
	mux.handlers[name] = func(ctx context.Context, e Event) error {
		m, err := decode(&e)
		if err != nil {
			return err
		}
		return handle(ctx, e, m)
	}
}

// Publish gives each event to its handler.
func (m *Mux) Publish(ctx context.Context, events []Event) error {
	return sequential(m.handle).Publish(ctx, events)
}

func (m *Mux) handle(ctx context.Context, e Event) error {
	if h, ok := m.handlers[e.Type]; ok {
		return h(ctx, e)
	}
	if m.rule == Ignore {
		return nil
	}
	return Permanent(fmt.Errorf("event %q: no handler for type %q: register one with publisher.On", e.ID(), e.Type))
}
