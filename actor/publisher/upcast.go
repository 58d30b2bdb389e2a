package publisher

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
)

// Upcast is a step from an old type of event to a newer one; see [UpcastFunc], [UpcastName] and [Upcasting].
type Upcast struct {
	from, to string
	convert  func(e *Event) error // converts the content; nil leaves it as it is
}

// UpcastFunc is the step from one message type to another, both generated protobuf types, by a function. It depends on
// the event alone and waits for nothing. What it returns as an error means what it means for [Func]; an event that
// cannot be decoded, or becomes nil, is rejected for good.
//
// A nil function and types that are not generated messages panic.
func UpcastFunc[Old, New proto.Message](convert func(meta Meta, old Old) (New, error)) Upcast {
	from, decode := decoderOf[Old]("publisher.UpcastFunc")
	to, _ := decoderOf[New]("publisher.UpcastFunc")
	if convert == nil {
		panic(fmt.Sprintf("publisher.UpcastFunc: the function from %s to %s is nil", from, to))
	}
	return Upcast{from, to, func(e *Event) error {
		old, err := decode(e)
		if err != nil {
			return err
		}
		newer, err := convert(*e, old)
		if err != nil {
			return err
		}
		if !newer.ProtoReflect().IsValid() {
			return Permanent(errors.New("the function has made nothing of it: the message is nil"))
		}
		message, err := Encode(to, newer)
		if err != nil {
			return err
		}
		e.Data, e.ContentType = message.Data, message.ContentType
		return nil
	}}
}

// UpcastName is the step from an old name of a type to a newer one, where its content is the same: a message that has
// moved to another package, for example.
func UpcastName(from, to string) Upcast { return Upcast{from: from, to: to} }

// Upcasting brings events of old types to their newest, step by step, before anything behind it sees them: a [Mux] or
// a [Mapping] then knows the newest alone. An event keeps all but its type and content; one of a type that no step
// begins with passes as it is. One that cannot be converted is not published, and the later events of its id wait.
//
// Two steps from the same type, a step without a name and steps that lead back to where they began are mistakes in the
// program, and panic.
func Upcasting(steps ...Upcast) Middleware {
	next := make(map[string]Upcast, len(steps))
	for _, s := range steps {
		if s.from == "" || s.to == "" {
			panic(fmt.Sprintf("publisher.Upcasting: the step from %q to %q lacks a name", s.from, s.to))
		}
		if other, taken := next[s.from]; taken {
			panic(fmt.Sprintf("publisher.Upcasting: there are two steps from %s, to %s and to %s", s.from, other.to, s.to))
		}
		next[s.from] = s
	}
	for _, s := range steps {
		path := []string{s.from}
		for step, ok := s, true; ok; step, ok = next[step.to] {
			if path = append(path, step.to); slices.Contains(path[:len(path)-1], step.to) {
				panic("publisher.Upcasting: the steps go in a circle: " + strings.Join(path, " → "))
			}
		}
	}
	return func(p Publisher) Publisher {
		if p == nil {
			return nil
		}
		return &rewriting{
			inner: p,
			become: func(e Event) ([]Event, error) {
				newest, err := upcast(e, next)
				return []Event{newest}, err
			},
			concerns: func(e *Event) bool {
				_, old := next[e.Type]
				return old
			},
		}
	}
}

func upcast(e Event, next map[string]Upcast) (Event, error) {
	for step, ok := next[e.Type]; ok; step, ok = next[e.Type] {
		if step.convert != nil {
			if err := step.convert(&e); err != nil {
				return e, fmt.Errorf("convert event %q from type %q to %q: %w", e.ID(), step.from, step.to, err)
			}
		}
		e.Type = step.to
	}
	return e, nil
}
