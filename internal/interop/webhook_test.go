package interop

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher/webhook"
	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher/webhook/signature"
)

// received is what a receiver got, read in both ways.
type received struct {
	event *event.Event
	err   error // of the SDK
	body  []byte
	head  http.Header
}

// send publishes an event to a receiver and returns what that got.
func send(t *testing.T, e publisher.Event, opts ...webhook.Option) received {
	t.Helper()
	var got received
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got.head = r.Header
		got.body, _ = io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(got.body)))
		got.event, got.err = cehttp.NewEventFromHTTPRequest(r)
	}))
	defer server.Close()
	hook, err := webhook.New(server.URL, opts...)
	require.NoError(t, err)
	defer hook.Close()
	require.NoError(t, hook.Publish(context.Background(), []publisher.Event{e}))
	return got
}

func anEvent(id, contentType string, data []byte) publisher.Event {
	var e publisher.Event
	e.PersistenceID, e.SequenceNumber, e.Type = id, 42, "shop.v1.OrderPlaced"
	e.ContentType, e.Data = contentType, data
	e.Time = time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)
	e.Metadata = map[string]string{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b9c7c989f97918e1-01", "tracestate": "a=1,b=2"}
	e.Outbox, e.Epoch = "shop", 3
	return e
}

func TestTheCloudEventsSDKReadsOurEvents(t *testing.T) {
	for mode, opt := range map[string]webhook.Option{
		"binary": webhook.WithMode(webhook.Binary), "structured": webhook.WithMode(webhook.Structured),
	} {
		for name, e := range map[string]publisher.Event{
			"protobuf":      anEvent("order-1", "application/protobuf", []byte("\x0a\x00\xff\x80")),
			"JSON":          anEvent("order-1", "application/json", []byte(` { "total" : 12345678901234567890.10, "text": "<€>" } `)),
			"JSON's cousin": anEvent("order-1", "application/vnd.shop+json; charset=utf-8", []byte(`[1,2]`)),
			"not JSON":      anEvent("order-1", "application/json", []byte("{")),
			"text":          anEvent("order-1", "text/plain", []byte("ü\n")),
			"no data":       anEvent("order-1", "application/protobuf", nil),
			"no type":       anEvent("order-1", "", []byte("x")),
			"hostile":       anEvent("Euro € \"😀\" 100% a.b\r\nX-Forged: yes", "application/protobuf", []byte("x")),
			"markup":        anEvent("<script>&amp;", "application/protobuf", []byte("x")),
			"a megabyte":    anEvent("order-1", "application/octet-stream", []byte(strings.Repeat("\x00\xfe", 1<<19))),
		} {
			t.Run(mode+"/"+name, func(t *testing.T) {
				got := send(t, e, opt)
				if name == "JSON's cousin" && mode == "structured" {
					// The JSON format demands it so for +json; this SDK knows application/json and text/json alone.
					require.ErrorContains(t, got.err, "unexpected data payload", "the SDK has learned it: test it like the others")
					assert.Contains(t, string(got.body), `"data":[1,2]`)
					return
				}
				require.NoError(t, got.err)
				require.NoError(t, got.event.Validate())
				text := func(s string) string { return s }
				if mode == "binary" {
					// The HTTP binding demands that a receiver decodes header values; this SDK leaves them as they came.
					text = func(s string) string {
						plain, err := url.PathUnescape(s)
						require.NoError(t, err)
						return plain
					}
				}
				assert.Equal(t, "1.0", got.event.SpecVersion())
				assert.Equal(t, e.ID(), text(got.event.ID()))
				assert.Equal(t, "/outbox/shop", got.event.Source())
				assert.Equal(t, e.Type, got.event.Type())
				assert.Equal(t, e.PersistenceID, text(got.event.Subject()))
				assert.True(t, e.Time.Equal(got.event.Time()))
				assert.Equal(t, e.ContentType, got.event.DataContentType())
				assert.Equal(t, map[string]any{
					"sequence": "0000000000000000042", "epoch": "3",
					"traceparent": e.Metadata["traceparent"], "tracestate": e.Metadata["tracestate"],
				}, got.event.Extensions())
				if name == "JSON" || name == "JSON's cousin" {
					assert.JSONEq(t, string(e.Data), string(got.event.Data()))
				} else {
					assert.Equal(t, string(e.Data), string(got.event.Data()))
				}
			})
		}
	}
}

func TestTheLibraryOfStandardWebhooksVerifiesOurSignatures(t *testing.T) {
	older, newer := signature.NewSecret(), signature.NewSecret()
	var secrets []signature.Secret
	for _, text := range []string{newer, older} {
		s, err := signature.ParseSecret(text)
		require.NoError(t, err)
		secrets = append(secrets, s)
	}
	for _, mode := range []webhook.Mode{webhook.Binary, webhook.Structured} {
		for _, id := range []string{"order-1", "a.b/c d€"} {
			got := send(t, anEvent(id, "application/json", []byte(`{"a": 1}`)), webhook.WithSecrets(secrets...), webhook.WithMode(mode))
			for _, text := range []string{older, newer} {
				theirs, err := standardwebhooks.NewWebhook(text)
				require.NoError(t, err)
				require.NoError(t, theirs.Verify(got.body, got.head))
				require.Error(t, theirs.Verify(append(got.body, ' '), got.head))
			}
			stranger, err := standardwebhooks.NewWebhook(signature.NewSecret())
			require.NoError(t, err)
			require.Error(t, stranger.Verify(got.body, got.head))
		}
	}
}

func TestWeVerifyTheSignaturesOfTheLibraryOfStandardWebhooks(t *testing.T) {
	text := signature.NewSecret()
	secret, err := signature.ParseSecret(text)
	require.NoError(t, err)
	theirs, err := standardwebhooks.NewWebhook(text)
	require.NoError(t, err)
	at, body := time.Now(), []byte(`{"a":1}`)
	signed, err := theirs.Sign("msg_1", at, body)
	require.NoError(t, err)
	header := http.Header{}
	header.Set(standardwebhooks.HeaderWebhookID, "msg_1")
	header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	header.Set(standardwebhooks.HeaderWebhookSignature, signed)
	verifier := &signature.Verifier{Secrets: []signature.Secret{secret}}
	require.NoError(t, verifier.Verify(header, body))
	require.ErrorIs(t, verifier.Verify(header, []byte(`{"a":2}`)), signature.ErrInvalid)
}
