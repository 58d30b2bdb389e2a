package publisher

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

func someEvents(n int) []*query.Event {
	events := make([]*query.Event, n)
	for i := range events {
		id := fmt.Sprintf("order-%d", i%10)
		events[i] = &query.Event{
			PersistenceID: id, SequenceNumber: int64(i/10 + 1), Offset: query.Offset(i + 1),
			UID: [16]byte{1, 2, byte(i)}, Type: "shop.v1.OrderPlaced", ContentType: ContentTypeProtobuf,
			Data: []byte{0xca, 0xfe}, Time: time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC),
			Tags: []string{"paid"}, Metadata: map[string]string{"traceparent": "00-…"}, Slice: query.SliceOf(id),
		}
	}
	return events
}

func TestEventsSurviveTheWire(t *testing.T) {
	events := someEvents(25)
	sent := &outboxv1.PublishRequest{Outbox: "shop", Epoch: 7, Events: WireEvents(events)}
	data, err := proto.Marshal(sent)
	require.NoError(t, err)
	var got outboxv1.PublishRequest
	require.NoError(t, proto.Unmarshal(data, &got))

	arrived := eventsOf(&got)
	require.Len(t, arrived, len(events))
	for i, e := range arrived {
		assert.Equal(t, Event{Event: *events[i], Outbox: "shop", Epoch: 7}, e)
	}
}

func TestEventsAreConvertedWithoutCopyingData(t *testing.T) {
	events := someEvents(1)
	wire := WireEvents(events)
	assert.Same(t, &events[0].Data[0], &wire[0].Data[0])
	back := eventsOf(&outboxv1.PublishRequest{Events: wire})
	assert.Same(t, &events[0].Data[0], &back[0].Data[0])
}

func TestEventsOfAMalformedRequestDoNotPanic(t *testing.T) {
	events := eventsOf(&outboxv1.PublishRequest{Events: []*outboxv1.Event{nil, {Uid: make([]byte, 40)}}})
	assert.Len(t, events, 2)
}

func BenchmarkWireEvents(b *testing.B) {
	events := someEvents(128)
	b.ReportAllocs()
	for b.Loop() {
		WireEvents(events)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(events)), "ns/event")
}

func BenchmarkEventsOf(b *testing.B) {
	request := &outboxv1.PublishRequest{Outbox: "shop", Events: WireEvents(someEvents(128))}
	b.ReportAllocs()
	for b.Loop() {
		eventsOf(request)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(request.Events)), "ns/event")
}
