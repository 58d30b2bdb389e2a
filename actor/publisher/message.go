package publisher

import (
	"errors"
	"maps"

	"google.golang.org/protobuf/proto"
)

// Message is what an event is mapped to: what the outside world is to see of it. The sink is given it as an [Event]
// with the persistence id, sequence number, time and so on of the event that it was made of.
type Message struct {
	// Type names the kind of message, such as "com.example.order.placed.v2". It is required, unless the event has none.
	Type string
	// ContentType is the media type of Data.
	ContentType string
	// Data is the encoded message. It must not be modified once it was returned.
	Data []byte
	// Tags are the message's tags. Those of the event are not added: they are the application's own.
	Tags []string
	// Metadata is the message's metadata. Of the event's only the trace context (traceparent and tracestate) is
	// added, unless the message has one. It must not be modified once it was returned.
	Metadata map[string]string
}

// Unchanged returns the event as a message with the same type, content, tags and metadata.
func Unchanged(e Event) Message {
	return Message{Type: e.Type, ContentType: e.ContentType, Data: e.Data, Tags: e.Tags, Metadata: e.Metadata}
}

// Encode returns a message in protobuf's binary format, under the given public type name, or under the full name of
// m where that is "". An error is [Permanent]: what cannot be encoded now cannot be later.
func Encode(typ string, m proto.Message) (Message, error) {
	if m == nil {
		return Message{}, Permanent(errors.New("encode a message: it is nil"))
	}
	if typ == "" {
		typ = string(m.ProtoReflect().Descriptor().FullName())
	}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return Message{}, Permanent(err)
	}
	return Message{Type: typ, ContentType: ContentTypeProtobuf, Data: data}, nil
}

// traceContext are the keys of W3C trace context in an event's metadata.
var traceContext = [...]string{"traceparent", "tracestate"}

// output returns the message as the event that a sink is given.
func (m *Message) output(e Event, number int) Event {
	trace := e.Metadata
	e.Type, e.ContentType, e.Data, e.Tags, e.Metadata = m.Type, m.ContentType, m.Data, m.Tags, m.Metadata
	e.Output = number
	if _, own := m.Metadata[traceContext[0]]; own {
		return e
	}
	copied := false
	for _, key := range traceContext {
		value, ok := trace[key]
		if !ok {
			continue
		}
		if !copied {
			// The message's map may be shared by all messages of its kind.
			e.Metadata, copied = make(map[string]string, len(m.Metadata)+len(traceContext)), true
			maps.Copy(e.Metadata, m.Metadata)
		}
		e.Metadata[key] = value
	}
	return e
}
