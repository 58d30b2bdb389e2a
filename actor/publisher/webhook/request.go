package webhook

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
)

// request maps an event to a CloudEvent in binary content mode; the package comment has the table.
func (w *Webhook) request(ctx context.Context, e *publisher.Event) (*http.Request, error) {
	// The only value that the HTTP binding does not encode.
	if !httpguts.ValidHeaderFieldValue(e.ContentType) {
		return nil, fmt.Errorf("its content type %q has a character that a header cannot hold", e.ContentType)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.target.String(), bytes.NewReader(e.Data))
	if err != nil {
		return nil, err
	}
	h := r.Header
	maps.Copy(h, w.settings.header)
	source := w.settings.source
	if source == "" {
		source = "/outbox/" + url.PathEscape(e.Outbox)
	}
	set := func(name, value string) {
		if value != "" {
			h[name] = []string{encode(value)}
		}
	}
	set("Ce-Specversion", "1.0")
	set("Ce-Id", e.ID())
	set("Ce-Source", source)
	set("Ce-Type", e.Type)
	set("Ce-Subject", e.PersistenceID)
	if !e.Time.IsZero() {
		set("Ce-Time", e.Time.UTC().Format(time.RFC3339Nano))
	}
	set("Ce-Sequence", fmt.Sprintf("%019d", e.SequenceNumber))
	set("Ce-Epoch", strconv.FormatInt(e.Epoch, 10))
	set("Ce-Traceparent", e.Metadata["traceparent"])
	set("Ce-Tracestate", e.Metadata["tracestate"])
	if e.ContentType != "" {
		h["Content-Type"] = []string{e.ContentType}
	}
	return r, nil
}

// encode percent-encodes an attribute's value for a header: space, double quote, percent and everything outside of
// printable ASCII, byte by byte (CloudEvents HTTP binding 1.0.2, section 3.1.3.2).
func encode(value string) string {
	plain := 0
	for plain < len(value) && isPlain(value[plain]) {
		plain++
	}
	if plain == len(value) {
		return value
	}
	const hex = "0123456789ABCDEF"
	out := append(make([]byte, 0, len(value)+2*(len(value)-plain)), value[:plain]...)
	for _, b := range []byte(value[plain:]) {
		if isPlain(b) {
			out = append(out, b)
		} else {
			out = append(out, '%', hex[b>>4], hex[b&0xf])
		}
	}
	return string(out)
}

func isPlain(b byte) bool { return b > ' ' && b < 0x7f && b != '"' && b != '%' }
