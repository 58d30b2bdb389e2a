package publishertest

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// event returns an ordinary event, adapted to the publisher; change may make it less ordinary before that.
func (s *subject) event(persistenceID string, seq int64, change ...func(e *publisher.Event)) publisher.Event {
	e := publisher.Event{Outbox: "publishertest", Epoch: 3}
	e.PersistenceID, e.SequenceNumber = persistenceID, seq
	e.Offset = query.Offset(seq)
	copy(e.UID[:], e.ID())
	e.Type = "test.v1.Happened"
	e.ContentType = "application/vnd.test+json"
	e.Data = []byte(`{"what":` + strconv.Quote(e.ID()) + `}`)
	e.Time = time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	e.Tags = []string{"tag"}
	e.Metadata = map[string]string{
		"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "vendor=1", "key": "value",
	}
	for _, c := range change {
		c(&e)
	}
	e.Slice = query.SliceOf(e.PersistenceID)
	if s.h.Adapt != nil {
		e = s.h.Adapt(e)
	}
	return e
}

// events makes ordinary events of "a/1 b/1 a/2".
func (s *subject) events(ids string) []publisher.Event {
	var events []publisher.Event
	for id := range strings.FieldsSeq(ids) {
		name, number, _ := strings.Cut(id, "/")
		seq, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			panic(err)
		}
		events = append(events, s.event(name, seq))
	}
	return events
}

// clone returns copies that share nothing with the events.
func clone(events []publisher.Event) []publisher.Event {
	copies := slices.Clone(events)
	for i := range copies {
		e := &copies[i]
		e.Data, e.Tags, e.Metadata = slices.Clone(e.Data), slices.Clone(e.Tags), maps.Clone(e.Metadata)
	}
	return copies
}

// expected is the event as it has to reach the sink.
func (f Facts) expected(e *publisher.Event) Delivery {
	return f.carried(Delivery{ID: e.ID(), Type: e.Type, ContentType: e.ContentType, Data: e.Data, Metadata: e.Metadata})
}

// carried is the delivery without what the publisher does not carry.
func (f Facts) carried(d Delivery) Delivery {
	if !f.Type {
		d.Type = ""
	}
	if !f.ContentType {
		d.ContentType = ""
	}
	metadata := map[string]string{}
	for k, v := range d.Metadata {
		if f.Metadata != nil && f.Metadata(k) {
			metadata[k] = v
		}
	}
	d.Metadata = metadata
	return d
}

// difference says how a delivery is not what was expected; "" if it is.
func difference(want, got Delivery) string {
	var all []string
	differ := func(what, want, got string) {
		if want != got {
			all = append(all, what+" is "+brief(got)+", it was given as "+brief(want))
		}
	}
	differ("id", want.ID, got.ID)
	differ("type", want.Type, got.Type)
	differ("content type", want.ContentType, got.ContentType)
	differ("data", string(want.Data), string(got.Data))
	for _, k := range slices.Sorted(maps.Keys(want.Metadata)) {
		if v, ok := got.Metadata[k]; !ok {
			all = append(all, "metadata "+brief(k)+" is missing")
		} else {
			differ("metadata "+brief(k), want.Metadata[k], v)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(got.Metadata)) {
		if _, ok := want.Metadata[k]; !ok {
			all = append(all, "metadata "+brief(k)+" was not given")
		}
	}
	return strings.Join(all, "; ")
}

// brief quotes a text, or the beginning of a long one.
func brief(s string) string {
	const most = 60
	if len(s) <= most {
		return strconv.Quote(s)
	}
	return strconv.Quote(s[:most]) + "… (" + strconv.Itoa(len(s)) + " bytes)"
}
