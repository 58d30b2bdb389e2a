package webhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher/webhook"
	"github.com/protoactor-contrib/protoactor-outbox/actor/publishertest"
)

func TestConformance(t *testing.T) {
	newHook := func(url string, mode webhook.Mode, transport http.RoundTripper) (*webhook.Webhook, error) {
		return webhook.New(url, webhook.WithMode(mode), webhook.WithConcurrency(8), webhook.WithTimeout(time.Minute), webhook.WithTransport(transport))
	}
	newRouter := func(url string, mode webhook.Mode, transport http.RoundTripper) (*webhook.Webhook, error) {
		return webhook.NewRouter(
			func(publisher.Event) string { return "only" },
			func(context.Context, string) (webhook.Destination, error) { return webhook.Destination{URL: url}, nil },
			webhook.WithMode(mode), webhook.WithConcurrency(9), webhook.WithDestinationConcurrency(8), webhook.WithTimeout(time.Minute), webhook.WithTransport(transport))
	}
	for name, c := range map[string]struct {
		mode webhook.Mode
		make func(string, webhook.Mode, http.RoundTripper) (*webhook.Webhook, error)
		// adapt leaves out what the mode does.
		adapt func(publisher.Event) publisher.Event
	}{
		"binary":     {mode: webhook.Binary, make: newHook},
		"structured": {webhook.Structured, newHook, withoutBrokenTrace},
		"routed":     {webhook.Structured, newRouter, withoutBrokenTrace},
	} {
		t.Run(name, func(t *testing.T) {
			publishertest.Run(t, publishertest.Harness{
				New: func(t testing.TB, sink *publishertest.Sink) publishertest.Subject {
					server := httptest.NewServer(conformanceHandler(sink))
					t.Cleanup(server.Close)
					var down atomic.Bool
					transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
						if down.Load() {
							return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("connection refused")}
						}
						return (&net.Dialer{}).DialContext(ctx, network, address)
					}}
					hook, err := c.make(server.URL, c.mode, transport)
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(hook.Close)
					return publishertest.Subject{Publisher: hook, SetDown: func(b bool) {
						down.Store(b)
						transport.CloseIdleConnections()
					}}
				},
				Adapt: c.adapt,
				Facts: publishertest.Facts{
					Type: true, ContentType: true, Concurrency: 8,
					Metadata: func(key string) bool { return key == "traceparent" || key == "tracestate" },
				},
			})
		})
	}
}

// withoutBrokenTrace drops a trace context that is not UTF-8, as JSON has to be.
func withoutBrokenTrace(e publisher.Event) publisher.Event {
	e.Metadata = maps.Clone(e.Metadata)
	maps.DeleteFunc(e.Metadata, func(key, value string) bool {
		return (key == "traceparent" || key == "tracestate") && !utf8.ValidString(value)
	})
	return e
}

// conformanceHandler reads an event in either mode.
func conformanceHandler(sink *publishertest.Sink) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(r.Body)
		if err != nil {
			return // gone before it was all there
		}
		d := publishertest.Delivery{ContentType: r.Header.Get("Content-Type"), Data: data, Metadata: map[string]string{}}
		attribute := func(name string) string {
			value, _ := url.PathUnescape(r.Header.Get("Ce-" + name))
			return value
		}
		if d.ContentType == "application/cloudevents+json; charset=UTF-8" {
			var members map[string]any
			if json.Unmarshal(data, &members) != nil {
				w.WriteHeader(http.StatusTeapot)
				return
			}
			attribute = func(name string) string { value, _ := members[name].(string); return value }
			var raw struct {
				Data  json.RawMessage `json:"data"`
				Bytes []byte          `json:"data_base64"`
			}
			_ = json.Unmarshal(data, &raw)
			d.ContentType, d.Data = attribute("datacontenttype"), slices.Concat(raw.Bytes, raw.Data)
		}
		d.ID, d.Type = attribute("id"), attribute("type")
		for _, key := range []string{"traceparent", "tracestate"} {
			if value := attribute(key); value != "" {
				d.Metadata[key] = value
			}
		}
		switch sink.Take(r.Context(), d) {
		case publishertest.Reject:
			w.WriteHeader(http.StatusUnprocessableEntity)
		case publishertest.Busy:
			w.WriteHeader(http.StatusServiceUnavailable)
		case publishertest.Silence:
			panic(http.ErrAbortHandler)
		}
	}
}
