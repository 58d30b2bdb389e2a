package webhook

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
)

// structuredType is the content type of an event in structured mode.
const structuredType = "application/cloudevents+json; charset=UTF-8"

// structured is the event as JSON (CloudEvents JSON format 1.0.2). Data that is JSON is a member of it; any other, and
// what is called JSON but is not, is text in base64.
func (s *settings) structured(e *publisher.Event) ([]byte, error) {
	body := bytes.NewBuffer(make([]byte, 0, 512+len(e.Data)+len(e.Data)/3))
	text := json.NewEncoder(body)
	text.SetEscapeHTML(false)
	member := func(name, value string) {
		if body.Len() == 0 {
			body.WriteByte('{')
		} else {
			body.WriteByte(',')
		}
		body.WriteString(`"` + name + `":`)
		_ = text.Encode(value)        // a string is always encoded
		body.Truncate(body.Len() - 1) // Encode ends the line
	}
	for _, a := range s.attributes(e) {
		switch {
		case utf8.ValidString(a.value):
			member(a.name, a.value)
		case a.name != "traceparent" && a.name != "tracestate":
			return nil, fmt.Errorf("its %s is not valid UTF-8, as JSON must be", a.name)
		}
	}
	if e.ContentType != "" {
		if !utf8.ValidString(e.ContentType) {
			return nil, fmt.Errorf("its content type %q is not valid UTF-8, as JSON must be", e.ContentType)
		}
		member("datacontenttype", e.ContentType)
	}
	switch {
	case len(e.Data) == 0:
	case isJSON(e.ContentType) && utf8.Valid(e.Data) && json.Valid(e.Data):
		body.WriteString(`,"data":`)
		body.Write(e.Data)
	default:
		body.WriteString(`,"data_base64":"`)
		body.Write(base64.StdEncoding.AppendEncode(body.AvailableBuffer(), e.Data))
		body.WriteByte('"')
	}
	body.WriteByte('}')
	return body.Bytes(), nil
}

// isJSON reports whether the media type's subtype is json, or ends in +json.
func isJSON(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	_, subtype, found := strings.Cut(strings.ToLower(strings.TrimSpace(media)), "/")
	return found && (subtype == "json" || strings.HasSuffix(subtype, "+json"))
}
