package publisher

import (
	"strconv"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// Event is an event as a publisher is given it. It is a value; Data, Tags and Metadata are shared and must not
// be modified, but may be kept.
type Event struct {
	query.Event
	// Outbox is the name of the outbox that publishes the event.
	Outbox string
	// Epoch is that outbox's fencing token. It grows each time somebody takes the outbox over, so a sink that
	// remembers the greatest one it has seen can refuse an owner that was replaced.
	Epoch int64
	// Output is the number of the message, from 1, among those that [Map] has made of an event; 0 if there was no Map.
	Output int
}

// ID is the event's identity towards the outside world, the same at every delivery: "<persistence id>/<sequence
// number>", and "<persistence id>/<sequence number>#<n>" for the second message that it was mapped to and those after.
// Consumers find duplicates by it.
func (e *Event) ID() string {
	if e.Output > 1 {
		return e.Event.ID() + "#" + strconv.Itoa(e.Output)
	}
	return e.Event.ID()
}

// WireEvents converts events to what a PublishRequest carries. The result shares Data, UID, Tags and Metadata
// with the events. The number of allocations does not depend on the number of events.
func WireEvents(events []*query.Event) []*outboxv1.Event {
	wire := make([]*outboxv1.Event, len(events))
	messages := make([]outboxv1.Event, len(events))
	times := make([]timestamppb.Timestamp, len(events))
	for i, e := range events {
		t := &times[i]
		t.Seconds, t.Nanos = e.Time.Unix(), int32(e.Time.Nanosecond())

		m := &messages[i]
		m.PersistenceId = e.PersistenceID
		m.SequenceNumber = e.SequenceNumber
		m.Offset = int64(e.Offset)
		m.Uid = e.UID[:]
		m.Type = e.Type
		m.ContentType = e.ContentType
		m.Data = e.Data
		m.Time = t
		m.Tags = e.Tags
		m.Metadata = e.Metadata
		wire[i] = m
	}
	return wire
}

// eventsOf converts a request's events, in one allocation. It uses getters throughout because a request may come
// from another process, with nil where a message was expected.
func eventsOf(r *outboxv1.PublishRequest) []Event {
	events := make([]Event, len(r.GetEvents()))
	for i, m := range r.GetEvents() {
		e := &events[i]
		e.PersistenceID = m.GetPersistenceId()
		e.SequenceNumber = m.GetSequenceNumber()
		e.Offset = query.Offset(m.GetOffset())
		copy(e.UID[:], m.GetUid())
		e.Type = m.GetType()
		e.ContentType = m.GetContentType()
		e.Data = m.GetData()
		e.Time = m.GetTime().AsTime()
		e.Tags = m.GetTags()
		e.Metadata = m.GetMetadata()
		e.Slice = query.SliceOf(e.PersistenceID)
		e.Outbox = r.GetOutbox()
		e.Epoch = r.GetEpoch()
	}
	return events
}
