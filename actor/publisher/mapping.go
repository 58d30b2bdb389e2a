package publisher

import (
	"fmt"

	"google.golang.org/protobuf/proto"
)

// Mapping says by type what events are mapped to; [Mapping.Map] is for [Map]. Types are registered before it is used,
// with [MapOn] and [Mapping.Rename].
type Mapping struct {
	rule  Rule
	types map[string]func(e Event) ([]Message, error)
}

// NewMapping returns a Mapping without types. The rule is for events of a type that is not registered: [Pass] publishes
// them as they are, [Ignore] does not publish them, [Park] rejects them, so that a new type of event is neither shown
// nor lost before somebody has thought about it. Another rule panics.
func NewMapping(rule Rule) *Mapping {
	if rule != Pass && rule != Ignore && rule != Park {
		panic(fmt.Sprintf(
			"publisher.NewMapping: the rule is %d, it must be publisher.Pass, publisher.Ignore or publisher.Park", rule))
	}
	return &Mapping{rule: rule, types: map[string]func(Event) ([]Message, error){}}
}

// MapOn registers what events of the message type M become, a generated protobuf type such as *shop.OrderPlaced. What
// mapping returns means what it means for [Map]. An event of that type which cannot be decoded is rejected for good.
//
// A second registration of a type, a nil mapping and an M that is not a generated message panic.
func MapOn[M proto.Message](m *Mapping, mapping func(meta Meta, event M) ([]Message, error)) {
	name, decode := decoderOf[M]("publisher.MapOn")
	if mapping == nil {
		panic(fmt.Sprintf("publisher.MapOn: the mapping of %s is nil", name))
	}
	m.register("publisher.MapOn", name, func(e Event) ([]Message, error) {
		event, err := decode(&e)
		if err != nil {
			return nil, err
		}
		return mapping(e, event)
	})
}

// Rename has events of one type published as they are under another name, such as shop.OrderPlaced as
// com.example.order.placed.v2: then the event may move or be replaced within the program, and the world outside is not
// concerned. A second registration of a type and an empty name panic.
func (m *Mapping) Rename(typ, public string) {
	if typ == "" || public == "" {
		panic(fmt.Sprintf("Mapping.Rename(%q, %q): a name is empty", typ, public))
	}
	m.register("Mapping.Rename", typ, func(e Event) ([]Message, error) {
		message := Unchanged(e)
		message.Type = public
		return []Message{message}, nil
	})
}

func (m *Mapping) register(caller, typ string, mapping func(e Event) ([]Message, error)) {
	if _, taken := m.types[typ]; taken {
		panic(fmt.Sprintf("%s: %s is registered already", caller, typ))
	}
	m.types[typ] = mapping
}

// Map returns what the event is mapped to.
func (m *Mapping) Map(e Event) ([]Message, error) {
	if mapping, ok := m.types[e.Type]; ok {
		return mapping(e)
	}
	switch m.rule {
	case Pass:
		return []Message{Unchanged(e)}, nil
	case Ignore:
		return nil, nil
	default:
		return nil, Permanent(fmt.Errorf("type %q is not registered: do it with publisher.MapOn", e.Type))
	}
}
