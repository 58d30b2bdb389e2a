package webhook_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher/webhook"
)

// decode does what the CloudEvents HTTP binding asks of a receiver: one round of percent-decoding.
func decode(t *testing.T, header string) string {
	t.Helper()
	for _, b := range []byte(header) {
		require.True(t, b > ' ' && b < 0x7f && b != '"', "byte %#x in header %q", b, header)
	}
	value, err := url.PathUnescape(header) // unlike QueryUnescape it leaves + alone
	require.NoError(t, err)
	return value
}

func TestAnEventBecomesACloudEvent(t *testing.T) {
	var got *http.Request
	var body []byte
	hook := hookTo(t, func(_ http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
	}, webhook.WithHeader("X-Key", "k1"), webhook.WithHeader("x-key", "k2"))
	e := batchOf("order-1/42")[0]
	e.Metadata = map[string]string{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b9c7c989f97918e1-01", "tracestate": "a=1,b=2", "other": "x"}
	require.NoError(t, hook.Publish(t.Context(), []publisher.Event{e}))

	assert.Equal(t, http.MethodPost, got.Method)
	assert.Equal(t, "/hook", got.URL.Path)
	assert.Equal(t, "order-1/42", string(body))
	assert.EqualValues(t, len(body), got.ContentLength)
	ours := map[string]string{}
	for name, values := range got.Header {
		switch name {
		case "Accept-Encoding", "User-Agent", "Content-Length":
		default:
			ours[name] = strings.Join(values, "|")
		}
	}
	assert.Equal(t, map[string]string{
		"Ce-Specversion": "1.0",
		"Ce-Id":          "order-1/42",
		"Ce-Source":      "/outbox/shop",
		"Ce-Type":        "shop.v1.OrderPlaced",
		"Ce-Subject":     "order-1",
		"Ce-Time":        "2026-01-02T03:04:05.678901Z",
		"Ce-Sequence":    "0000000000000000042",
		"Ce-Epoch":       "3",
		"Ce-Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b9c7c989f97918e1-01",
		"Ce-Tracestate":  "a=1,b=2",
		"Content-Type":   "application/protobuf",
		"X-Key":          "k1|k2",
	}, ours)
}

func TestHostileValuesArriveAsTheyAre(t *testing.T) {
	var header http.Header
	hook := hookTo(t, func(_ http.ResponseWriter, r *http.Request) { header = r.Header })
	for _, hostile := range []string{
		"Euro € 😀",
		"a\r\nAuthorization: Bearer forged\r\n\r\nbody",
		`"quoted" %41 100%`,
		" leading and trailing ",
		"\t\x01\x7f\u0085\u00a0",
		"+a&b=c?d#e/f;g,h",
		strings.Repeat("ö", 512),
	} {
		e := batchOf("x/7")[0]
		e.PersistenceID, e.Outbox, e.Type = hostile, hostile, hostile
		e.Metadata = map[string]string{"traceparent": hostile}
		require.NoError(t, hook.Publish(t.Context(), []publisher.Event{e}), "%q", hostile)
		assert.Equal(t, hostile+"/7", decode(t, header.Get("Ce-Id")))
		assert.Equal(t, hostile, decode(t, header.Get("Ce-Subject")))
		assert.Equal(t, hostile, decode(t, header.Get("Ce-Type")))
		assert.Equal(t, hostile, decode(t, header.Get("Ce-Traceparent")))
		assert.Empty(t, header.Get("Authorization"))

		source, err := url.Parse(decode(t, header.Get("Ce-Source")))
		require.NoError(t, err, "the source is a URI reference")
		assert.Equal(t, "/outbox/"+hostile, source.Path)
	}
}

func TestEncodingFollowsTheExampleInTheSpecification(t *testing.T) {
	var subject string
	hook := hookTo(t, func(_ http.ResponseWriter, r *http.Request) { subject = r.Header.Get("Ce-Subject") })
	e := batchOf("x/1")[0]
	e.PersistenceID = "Euro € 😀"
	require.NoError(t, hook.Publish(t.Context(), []publisher.Event{e}))
	assert.Equal(t, "Euro%20%E2%82%AC%20%F0%9F%98%80", subject)
}

func TestAContentTypeThatNoHeaderCanHoldIsRejected(t *testing.T) {
	hook := hookTo(t, func(http.ResponseWriter, *http.Request) { t.Error("it was sent") })
	events := batchOf("a/1")
	events[0].ContentType = "text/plain\r\nX-Forged: yes"
	got := failures(t, hook.Publish(t.Context(), events), events)
	assert.Equal(t, publisher.OutcomePermanent, got["a/1"].Outcome)
}

func TestSequenceNumbersSortAsText(t *testing.T) {
	var sequences []string
	hook := hookTo(t, func(_ http.ResponseWriter, r *http.Request) {
		sequences = append(sequences, r.Header.Get("Ce-Sequence"))
	})
	require.NoError(t, hook.Publish(t.Context(), batchOf("a/9 a/10 a/9223372036854775807")))
	assert.IsIncreasing(t, sequences)
}
