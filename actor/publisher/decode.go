package publisher

import (
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// ContentTypeProtobuf is the content type of every event that an actor has persisted.
const ContentTypeProtobuf = "application/protobuf"

// Decode returns the event's message, of the generated type that is linked into the program under the event's
// Type. A failure is [Permanent] and names the type and the event: sending it again would not make it readable.
func Decode(e Event) (proto.Message, error) {
	t, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(e.Type))
	if errors.Is(err, protoregistry.NotFound) {
		err = errors.New("no message of that name is linked into this program: import its generated package")
	}
	if err != nil {
		return nil, undecodable(&e, err)
	}
	m := t.New().Interface()
	if err := decodeInto(m, &e); err != nil {
		return nil, err
	}
	return m, nil
}

// decoderOf returns the full name of the generated message type M, and what decodes an event of that type. It panics if
// M is none, in the name of the exported function that it was given to.
func decoderOf[M proto.Message](caller string) (name string, decode func(e *Event) (M, error)) {
	var zero M
	if any(zero) == nil {
		panic(caller + ": the function must be for a generated message, such as *shop.OrderPlaced, not an interface")
	}
	t := zero.ProtoReflect().Type()
	return string(t.Descriptor().FullName()), func(e *Event) (M, error) {
		m := t.New().Interface().(M)
		err := decodeInto(m, e)
		return m, err
	}
}

func decodeInto(m proto.Message, e *Event) error {
	// An event without content type is taken for what all events of actors are.
	media, _, _ := strings.Cut(e.ContentType, ";")
	if media = strings.TrimSpace(media); media != "" && !strings.EqualFold(media, ContentTypeProtobuf) {
		return undecodable(e, fmt.Errorf("its content type is %q, not %s", e.ContentType, ContentTypeProtobuf))
	}
	if err := proto.Unmarshal(e.Data, m); err != nil {
		return undecodable(e, err)
	}
	return nil
}

func undecodable(e *Event, why error) error {
	return Permanent(fmt.Errorf("decode event %q of type %q: %w", e.ID(), e.Type, why))
}
