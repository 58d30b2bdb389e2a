package webhook

import (
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
)

// attribute is one of a CloudEvent's: the header that it travels in, in binary mode, and its name, in structured mode.
type attribute struct{ header, name, value string }

// attributes maps an event to a CloudEvent; the package comment has the table. Those without a value are left out.
func (s *settings) attributes(e *publisher.Event) []attribute {
	source := s.source
	if source == "" {
		source = "/outbox/" + url.PathEscape(e.Outbox)
	}
	list := make([]attribute, 0, 10)
	add := func(header, name, value string) {
		if value != "" {
			list = append(list, attribute{header, name, value})
		}
	}
	add("Ce-Specversion", "specversion", "1.0")
	add("Ce-Id", "id", e.ID())
	add("Ce-Source", "source", source)
	add("Ce-Type", "type", e.Type)
	add("Ce-Subject", "subject", e.PersistenceID)
	if !e.Time.IsZero() {
		add("Ce-Time", "time", e.Time.UTC().Format(time.RFC3339Nano))
	}
	add("Ce-Sequence", "sequence", fmt.Sprintf("%019d", e.SequenceNumber))
	add("Ce-Epoch", "epoch", strconv.FormatInt(e.Epoch, 10))
	add("Ce-Traceparent", "traceparent", e.Metadata["traceparent"])
	add("Ce-Tracestate", "tracestate", e.Metadata["tracestate"])
	return list
}

// encode percent-encodes an attribute's value for a header: space, double quote, percent and everything outside of
// printable ASCII, byte by byte (CloudEvents HTTP binding 1.0.2, section 3.1.3.2).
func encode(value string) string { return percent(value, 0) }

// messageID is the event's id as the header webhook-id has it: encoded in the same way, and without a full stop, which
// separates it from the timestamp in what is signed. Different events have different ones.
func messageID(e *publisher.Event) string { return percent(e.ID(), '.') }

// percent also encodes the byte besides.
func percent(value string, besides byte) string {
	plain := func(b byte) bool { return b > ' ' && b < 0x7f && b != '"' && b != '%' && b != besides }
	n := 0
	for n < len(value) && plain(value[n]) {
		n++
	}
	if n == len(value) {
		return value
	}
	const hex = "0123456789ABCDEF"
	out := append(make([]byte, 0, len(value)+2*(len(value)-n)), value[:n]...)
	for _, b := range []byte(value[n:]) {
		if plain(b) {
			out = append(out, b)
		} else {
			out = append(out, '%', hex[b>>4], hex[b&0xf])
		}
	}
	return string(out)
}
