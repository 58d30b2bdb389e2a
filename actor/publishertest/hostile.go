package publishertest

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
)

// hostileCases are events that nobody would write, and that somebody will. Each is delivered as it was given, or given up
// for good with an error that says why: to try it again would help nobody, and to change it would hide what happened.
func hostileCases() []testCase {
	var cases []testCase
	add := func(what, name string, change func(e *publisher.Event)) {
		cases = append(cases, testCase{what + " " + name, nil, func(t testing.TB, s *subject) {
			s.exactOrRejected(t, s.event("hostile", 1, change))
		}})
	}
	for name, id := range sorted(map[string]string{
		"with spaces":        " a b ",
		"with slashes":       "/a//b/1/",
		"with a number":      "a/1#2",
		"with dots":          "../..",
		"with a line":        "a\nb",
		"with a header":      "a\r\nCe-Id: other",
		"with quotes":        `"a" 'b' \c`,
		"with a percent":     "100%2F%",
		"with wildcards":     "a.*.>.#.+",
		"in Japanese":        "注文",
		"with emoji":         "🦆",
		"in two forms":       "é e\u0301",
		"right to left":      "a\u202eb",
		"with controls":      "a\x01\x1b[31m\x7f",
		"of greatest length": strings.Repeat("i", 1024),
	}) {
		add("id", name, func(e *publisher.Event) { e.PersistenceID = id })
	}
	for name, typ := range sorted(map[string]string{
		"that is empty":    "",
		"with a line":      "a\r\nb",
		"with a NUL":       "a\x00b",
		"that is no UTF-8": "\xff\xfe",
		"in Japanese":      "注文",
		"that is long":     strings.Repeat("t", 10_000),
		"with wildcards":   "*.>",
	}) {
		add("type", name, func(e *publisher.Event) { e.Type = typ })
	}
	for name, media := range sorted(map[string]string{
		"that is empty":       "",
		"with a parameter":    `text/plain; charset="utf-8"`,
		"that is none":        "not a media type",
		"with a line":         "text/plain\r\nX-Injected: yes",
		"that is no UTF-8":    "text/\xff",
		"of another encoding": "application/protobuf; x=ü",
	}) {
		add("content type", name, func(e *publisher.Event) { e.ContentType = media })
	}
	for name, metadata := range sorted(map[string]map[string]string{
		"with an empty key":     {"": "value"},
		"with an empty value":   {"key": ""},
		"with spaces":           {"a key": "  a  value  "},
		"with lines":            {"key": "a\r\nX-Injected: yes", "k\r\ney": "value"},
		"with a NUL":            {"key": "a\x00b", "k\x00ey": "value"},
		"that is no UTF-8":      {"key": "\xff", "\xfe": "value"},
		"beyond ASCII":          {"schlüssel": "値", "emoji": "🦆"},
		"with a long value":     {"key": strings.Repeat("v", 100_000)},
		"with a long key":       {strings.Repeat("k", 10_000): "value"},
		"with other's names":    {"ce-id": "other", "Content-Length": "1", "Host": "other", "Nats-Msg-Id": "other"},
		"that differs in case":  {"key": "a", "KEY": "b"},
		"with a trace of lines": {"traceparent": "00-\r\n-01", "tracestate": "a\x00b"},
		"with a broken trace":   {"traceparent": "\xff", "tracestate": "ü"},
		"in numbers":            many(1000),
	}) {
		add("metadata", name, func(e *publisher.Event) { e.Metadata = metadata })
	}
	return cases
}

// sorted ranges over a map in the order of its keys.
func sorted[V any](m map[string]V) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}

func many(n int) map[string]string {
	m := make(map[string]string, n)
	for i := range n {
		m[fmt.Sprint("key-", i)] = fmt.Sprint("value-", i)
	}
	return m
}

// exactOrRejected publishes an event between others, and checks that it is one of those, and the others are delivered.
func (s *subject) exactOrRejected(t testing.TB, e publisher.Event) {
	t.Helper()
	if d, ok := publisher.As[publisher.Destinations](s.Publisher); ok {
		checkDestination(t, d, e)
	}
	if !s.h.Facts.AllOrNothing {
		c := s.publish(s.context(t), t, []publisher.Event{s.event("a", 1), e, s.event("a", 2)})
		c.want(t, 0, "delivered")
		c.want(t, 1, "delivered", "permanent")
		c.want(t, 2, "delivered")
	}
	s.publish(s.context(t), t, []publisher.Event{e}).want(t, 0, "delivered", "permanent")
	s.deliver(t, s.events("a/3"))
}
