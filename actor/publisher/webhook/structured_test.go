package webhook_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher/webhook"
)

// sent is a request as a receiver got it.
type sent struct {
	header http.Header
	body   []byte
}

// publishTo publishes an event to a server of its own, and returns what that got.
func publishTo(t *testing.T, e publisher.Event, opts ...webhook.Option) (got sent, err error) {
	t.Helper()
	hook := hookTo(t, func(_ http.ResponseWriter, r *http.Request) {
		got.header = r.Header
		got.body, _ = io.ReadAll(r.Body)
	}, opts...)
	err = hook.Publish(t.Context(), []publisher.Event{e})
	return got, err
}

func TestAnEventInStructuredMode(t *testing.T) {
	e := batchOf("order-1/42")[0]
	e.Metadata = map[string]string{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b9c7c989f97918e1-01", "tracestate": "a=1,b=2", "other": "x"}
	got, err := publishTo(t, e, webhook.WithMode(webhook.Structured), webhook.WithHeader("X-Key", "k"))
	require.NoError(t, err)
	assert.Equal(t, "application/cloudevents+json; charset=UTF-8", got.header.Get("Content-Type"))
	assert.Equal(t, "k", got.header.Get("X-Key"))
	assert.Empty(t, got.header.Get("Ce-Id"), "all of the event is in the body")
	assert.JSONEq(t, `{"specversion":"1.0","id":"order-1/42","source":"/outbox/shop","type":"shop.v1.OrderPlaced",`+
		`"subject":"order-1","time":"2026-01-02T03:04:05.678901Z","sequence":"0000000000000000042","epoch":"3",`+
		`"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b9c7c989f97918e1-01","tracestate":"a=1,b=2",`+
		`"datacontenttype":"application/protobuf","data_base64":"b3JkZXItMS80Mg=="}`, string(got.body))
}

func TestDataInStructuredMode(t *testing.T) {
	for name, c := range map[string]struct{ contentType, data, want string }{
		"JSON as it is":         {"application/json", ` {"n": 1.0e400, "a": "<é>"} `, `"data": {"n": 1.0e400, "a": "<é>"} }`},
		"with parameters":       {"Application/JSON ; charset=utf-8", `1`, `"data":1}`},
		"a subtype of JSON":     {"application/vnd.shop.order+json", `null`, `"data":null}`},
		"said to be JSON":       {"application/json", `{`, `"data_base64":"ew=="}`},
		"two values":            {"application/json", `1,"id":"forged"`, `"data_base64":"MSwiaWQiOiJmb3JnZWQi"}`},
		"JSON but not UTF-8":    {"application/json", "\"\xff\"", `"data_base64":"Iv8i"}`},
		"text":                  {"text/plain", `1`, `"data_base64":"MQ=="}`},
		"json in another place": {"json/x", `1`, `"data_base64":"MQ=="}`},
		"no type":               {"", `1`, `"epoch":"3","data_base64":"MQ=="}`},
		"no data":               {"application/json", ``, `"datacontenttype":"application/json"}`},
	} {
		t.Run(name, func(t *testing.T) {
			e := batchOf("a/1")[0]
			e.ContentType, e.Data = c.contentType, []byte(c.data)
			got, err := publishTo(t, e, webhook.WithMode(webhook.Structured))
			require.NoError(t, err)
			assert.True(t, json.Valid(got.body), "%s", got.body)
			assert.Equal(t, c.want, string(got.body[len(got.body)-len(c.want):]))
		})
	}
}

func TestWhatJSONCannotHoldIsRejected(t *testing.T) {
	for name, change := range map[string]func(e *publisher.Event){
		"its id":           func(e *publisher.Event) { e.PersistenceID = "\xff" },
		"its type":         func(e *publisher.Event) { e.Type = "\xff" },
		"its content type": func(e *publisher.Event) { e.ContentType = "\xff" },
	} {
		events := batchOf("a/1")
		change(&events[0])
		_, err := publishTo(t, events[0], webhook.WithMode(webhook.Structured))
		f := failures(t, err, events)[events[0].ID()]
		assert.Equal(t, publisher.OutcomePermanent, f.Outcome)
		assert.ErrorContains(t, f.Err, name)
	}
	e := batchOf("a/1")[0]
	e.Metadata = map[string]string{"traceparent": "\xff", "tracestate": "a=1"}
	got, err := publishTo(t, e, webhook.WithMode(webhook.Structured))
	require.NoError(t, err, "a trace that is broken is no reason to lose an event")
	assert.NotContains(t, string(got.body), "traceparent")
	assert.Contains(t, string(got.body), `"tracestate":"a=1"`)
}

// Whatever an event holds, its JSON says the same, and nothing besides.
func FuzzStructured(f *testing.F) {
	f.Add("order-1", "shop.v1.OrderPlaced", "application/json", "00-a-b-01", "", []byte(`{"a":1}`))
	f.Add("a\",\"id\":\"forged", "</script>", "application/x+json", "\xff", "\x00", []byte(`1}`))
	f.Add("\u2028😀", "", "", "", "//shop", []byte("\xff"))
	f.Fuzz(func(t *testing.T, id, typ, contentType, trace, name string, data []byte) {
		var body []byte
		hook := hookToURL(t, "https://example.com/hook", webhook.WithMode(webhook.Structured),
			webhook.WithTransport(roundTrip(func(r *http.Request) (*http.Response, error) {
				body, _ = io.ReadAll(r.Body)
				return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
			})))
		e := batchOf("a/7")[0]
		e.PersistenceID, e.Type, e.ContentType, e.Data, e.Outbox = id, typ, contentType, data, name
		e.Metadata = map[string]string{"traceparent": trace}
		err := hook.Publish(t.Context(), []publisher.Event{e})
		if !utf8.ValidString(id) || !utf8.ValidString(typ) || !utf8.ValidString(contentType) {
			require.Error(t, err)
			return
		}
		require.NoError(t, err)

		var got map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(body, &got), "%s", body)
		text := func(name string) string {
			var s string
			if raw, there := got[name]; there {
				require.NoError(t, json.Unmarshal(raw, &s))
			}
			return s
		}
		assert.Equal(t, id+"/7", text("id"))
		assert.Equal(t, id, text("subject"))
		assert.Equal(t, typ, text("type"))
		assert.Equal(t, contentType, text("datacontenttype"))
		if utf8.ValidString(trace) {
			assert.Equal(t, trace, text("traceparent"))
		}
		raw, isText := got["data"]
		encoded, isBytes := got["data_base64"]
		require.Equal(t, len(data) > 0, isText != isBytes)
		if isText {
			assert.JSONEq(t, string(data), string(raw))
		} else if isBytes {
			var s string
			require.NoError(t, json.Unmarshal(encoded, &s))
			bytes, err := base64.StdEncoding.DecodeString(s)
			require.NoError(t, err)
			assert.Equal(t, data, bytes)
		}
		for member := range got {
			switch member {
			case "specversion", "id", "source", "type", "subject", "time", "sequence", "epoch", "traceparent",
				"datacontenttype", "data", "data_base64":
			default:
				t.Errorf("member %q came from nowhere", member)
			}
		}
	})
}
