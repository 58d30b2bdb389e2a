package publisher

import "fmt"

// Map has each event published as the messages that it is mapped to: none, one or many. What the outside world sees is
// then what the mapping says, and not how the application has written its events. See [Mapping] for one that has a
// function for each type of event.
//
//   - The messages of an event are published in their order, before the next event of the same id. They have the event's
//     persistence id and sequence number. The first has the event's [Event.ID], the n-th that and "#<n>", so that a
//     mapping which yields one message, and a second one behind it later, keeps the id of the first. As ids are given by
//     position, let a message that is not needed any more leave no place to another: consumers would take that for a
//     duplicate where an event is published again after the change.
//   - An event without messages is settled, and nothing is published.
//   - An event of which a message fails is not published, whatever became of the others: it is sent again with all of its
//     messages, and waits for that with the later events of its id. A message that is rejected for good rejects its
//     event, whose messages before it may have been delivered.
//   - An error of the mapping means what it means for [Func]: a [Permanent] one gives up on the event, any other has it
//     mapped again later.
//
// The mapping depends on the event alone, always yields the same messages for it, and waits for nothing; it is called
// concurrently and more than once for an event. A publisher with [Destinations] counts an event as going where its
// first message goes.
//
// A nil mapping, and a Map in front of another, whose messages would be numbered twice, are mistakes in the program,
// and panic.
func Map(mapping func(e Event) ([]Message, error)) Middleware {
	if mapping == nil {
		panic("publisher.Map: the mapping is nil")
	}
	return func(p Publisher) Publisher {
		if p == nil {
			return nil
		}
		for behind, ok := As[*rewriting](p); ok; behind, ok = As[*rewriting](behind.inner) {
			if behind.numbers() {
				panic("publisher.Map: the publisher behind it maps already: make one mapping of both")
			}
		}
		return &rewriting{inner: p, become: func(e Event) ([]Event, error) {
			return mapped(e, mapping)
		}}
	}
}

func mapped(e Event, mapping func(e Event) ([]Message, error)) ([]Event, error) {
	if e.Output != 0 {
		return nil, Permanent(fmt.Errorf("event %q of type %q is what an event was mapped to: it cannot be mapped again",
			e.ID(), e.Type))
	}
	messages, err := mapping(e)
	if err != nil {
		return nil, fmt.Errorf("map event %q of type %q: %w", e.ID(), e.Type, err)
	}
	outputs := make([]Event, len(messages))
	for i := range messages {
		if messages[i].Type == "" && e.Type != "" {
			return nil, Permanent(fmt.Errorf("map event %q of type %q: message %d of %d has no type",
				e.ID(), e.Type, i+1, len(messages)))
		}
		outputs[i] = messages[i].output(e, i+1)
	}
	return outputs, nil
}
