package journal

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// contentType is that of everything that actors persist.
const contentType = "application/protobuf"

// encode is deterministic, so that equal events have equal data within one build of a program.
func encode(m proto.Message) (typ string, data []byte, err error) {
	if m == nil {
		return "", nil, fmt.Errorf("%w: it is nil", ErrNotEncodable)
	}
	r := m.ProtoReflect()
	name := r.Descriptor().FullName()
	if !r.IsValid() {
		return "", nil, fmt.Errorf("%w: it is a nil %s", ErrNotEncodable, name)
	}
	if _, err := protoregistry.GlobalTypes.FindMessageByName(name); err != nil {
		return "", nil, fmt.Errorf("%w: it could not be replayed: the type %q is not in the program's protobuf registry: %w",
			ErrNotEncodable, name, err)
	}
	data, err = proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return "", nil, fmt.Errorf("%w: marshal a %s: %w", ErrNotEncodable, name, err)
	}
	return string(name), data, nil
}

func decode(typ string, data []byte) (proto.Message, error) {
	t, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(typ))
	if err != nil {
		return nil, fmt.Errorf("%w: import the package of the type %q, so that it is linked into the program: %w",
			ErrNotDecodable, typ, err)
	}
	m := t.New().Interface()
	if err := proto.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("%w: unmarshal a %s: %w", ErrNotDecodable, typ, err)
	}
	return m, nil
}

// checkText refuses tags and metadata that some journal could not keep as they are.
func checkText(tags []string, metadata map[string]string) error {
	for _, tag := range tags {
		if !isText(tag) {
			return fmt.Errorf("%w: its tag %q is not valid UTF-8 without NUL", ErrNotEncodable, tag)
		}
	}
	for key, value := range metadata {
		if !isText(key) || !isText(value) {
			return fmt.Errorf("%w: its metadata %q: %q is not valid UTF-8 without NUL", ErrNotEncodable, key, value)
		}
	}
	return nil
}

func isText(s string) bool {
	return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
}
