package publisher

import (
	"context"
	"math"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// Within a process events arrive as they are. On the way to another one they do so too, or do not set out: protobuf has
// no strings that are not UTF-8.
func FuzzEventsSurviveTheWire(f *testing.F) {
	f.Add("order-1", "shop.v1.OrderPlaced", ContentTypeProtobuf, "paid", "traceparent", "00-…", int64(1), int64(2), int64(3), []byte{0xca, 0xfe})
	f.Add("", "", "", "", "", "", int64(0), int64(0), int64(0), []byte{})
	f.Add("\x00", "€", "\r\n", " ", "", "=", int64(math.MinInt64), int64(math.MaxInt64), int64(math.MinInt64), []byte(nil))
	f.Add("a\xff", "", "", "", "", "", int64(-1), int64(-1), int64(math.MaxInt64), []byte("a"))
	f.Add("a", "", "", "\xc3", "", "", int64(1), int64(1), int64(-1), []byte("a"))
	f.Add("a", "", "", "", "k", "\xed\xa0\x80", int64(1), int64(1), int64(-1), []byte("a"))
	f.Fuzz(func(t *testing.T, id, typ, contentType, tag, key, value string, seq, offset, micros int64, data []byte) {
		event := query.Event{
			PersistenceID: id, SequenceNumber: seq, Offset: query.Offset(offset), Type: typ, ContentType: contentType,
			Data: data, Time: time.UnixMicro(micros).UTC(),
			Tags: []string{tag, id}, Metadata: map[string]string{key: value}, Slice: query.SliceOf(id),
		}
		copy(event.UID[:], data)
		want := []Event{{Event: event, Outbox: "shop", Epoch: 7}}
		sent := &outboxv1.PublishRequest{Outbox: "shop", Epoch: 7, Events: WireEvents([]*query.Event{&event})}
		assert.Equal(t, want, eventsOf(sent))

		wire, err := proto.Marshal(sent)
		for _, s := range []string{id, typ, contentType, tag, key, value} {
			if !utf8.ValidString(s) {
				require.Error(t, err, "%q", s)
				return
			}
		}
		require.NoError(t, err)
		var got outboxv1.PublishRequest
		require.NoError(t, proto.Unmarshal(wire, &got))
		if len(data) == 0 {
			want[0].Data = nil // the wire knows no difference
		}
		assert.Equal(t, want, eventsOf(&got))
	})
}

// A request may come from another process, and that from anybody.
func FuzzRequest(f *testing.F) {
	for _, r := range []*outboxv1.PublishRequest{
		{}, {Events: []*outboxv1.Event{{}, {Uid: make([]byte, 40)}}}, {Outbox: "shop", Epoch: 7, Events: WireEvents(someEvents(2))},
	} {
		data, err := proto.Marshal(r)
		require.NoError(f, err)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var r outboxv1.PublishRequest
		if err := proto.Unmarshal(data, &r); err != nil {
			t.Skip("no request")
		}
		events := eventsOf(&r)
		require.Len(t, events, len(r.GetEvents()))
		for i, e := range events {
			assert.Equal(t, r.GetEvents()[i].GetPersistenceId(), e.PersistenceID)
			assert.Equal(t, query.SliceOf(e.PersistenceID), e.Slice)
		}
		assert.Len(t, deliver(t.Context(), Func(func(context.Context, Event) error { return errNo }), events), len(events))
	})
}
