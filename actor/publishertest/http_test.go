package publishertest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher/webhook"
	"github.com/protoactor-contrib/protoactor-outbox/actor/publishertest"
)

// A publisher to a server joins with the handler of the server.
func TestHTTP(t *testing.T) {
	publishertest.Run(t, publishertest.Harness{
		New: func(t testing.TB, sink *publishertest.Sink) publishertest.Subject {
			server := httptest.NewServer(handler(sink))
			t.Cleanup(server.Close)

			var down atomic.Bool
			transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				if down.Load() {
					return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("connection refused")}
				}
				return (&net.Dialer{}).DialContext(ctx, network, address)
			}}
			hook, err := webhook.New(server.URL, webhook.WithConcurrency(8), webhook.WithTransport(transport))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(hook.Close)
			return publishertest.Subject{Publisher: hook, SetDown: func(b bool) {
				down.Store(b)
				transport.CloseIdleConnections()
			}}
		},
		Facts: publishertest.Facts{
			Type: true, ContentType: true, Concurrency: 8,
			Metadata: func(key string) bool { return key == "traceparent" || key == "tracestate" },
		},
	})
}

func handler(sink *publishertest.Sink) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(r.Body)
		if err != nil {
			return // gone before it was all there
		}
		attribute := func(name string) string {
			value, _ := url.PathUnescape(r.Header.Get("Ce-" + name))
			return value
		}
		d := publishertest.Delivery{
			ID: attribute("Id"), Type: attribute("Type"), ContentType: r.Header.Get("Content-Type"), Data: data,
			Metadata: map[string]string{},
		}
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
