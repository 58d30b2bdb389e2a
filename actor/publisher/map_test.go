package publisher

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"pgregory.net/rapid"
)

// outputsFor maps an event to as many messages as told, by its ID; the default is 1.
func outputsFor(counts map[string]int) func(Event) ([]Message, error) {
	return func(e Event) ([]Message, error) {
		n, told := counts[e.ID()]
		if !told {
			n = 1
		}
		messages := make([]Message, n)
		for i := range messages {
			messages[i].Type = fmt.Sprint("out", i+1)
		}
		return messages, nil
	}
}

func TestAMessageIsAllThatIsSeenOfAnEvent(t *testing.T) {
	e := batchOf("a/7")[0]
	e.Type, e.ContentType, e.Data = "shop.OrderPlaced", ContentTypeProtobuf, []byte("internal")
	e.Tags, e.UID = []string{"internal"}, [16]byte{1}
	e.Metadata = map[string]string{"traceparent": "00-1", "tracestate": "s", "user": "internal"}
	own := map[string]string{"traceparent": "00-2"}
	other := map[string]string{"x": "y"}

	var got []Event
	p := Map(func(Event) ([]Message, error) {
		return []Message{
			{Type: "placed", ContentType: "application/json", Data: []byte("{}")},
			{Type: "billed", Tags: []string{"t"}, Metadata: other},
			{Type: "traced", Metadata: own},
		}, nil
	})(Func(failing(&got, nil)))
	require.NoError(t, p.Publish(t.Context(), []Event{e}))

	want := e
	want.Output, want.Type, want.ContentType, want.Data, want.Tags = 1, "placed", "application/json", []byte("{}"), nil
	want.Metadata = map[string]string{"traceparent": "00-1", "tracestate": "s"}
	second := want
	second.Output, second.Type, second.ContentType, second.Data, second.Tags = 2, "billed", "", nil, []string{"t"}
	second.Metadata = map[string]string{"traceparent": "00-1", "tracestate": "s", "x": "y"}
	third := second
	third.Output, third.Type, third.Tags, third.Metadata = 3, "traced", nil, own
	assert.Equal(t, []Event{want, second, third}, got)
	assert.Equal(t, "a/7 a/7#2 a/7#3", idsOf(got))
	assert.Equal(t, map[string]string{"x": "y"}, other, "a map that messages share is not written to")
}

func TestAnUnchangedMessageIsTheEvent(t *testing.T) {
	e := typed("a/1", wrapperspb.String("hello"))
	e.Tags, e.Metadata = []string{"t"}, map[string]string{"k": "v", "traceparent": "00-1"}
	var got []Event
	require.NoError(t, Map(unchanged)(Func(failing(&got, nil))).Publish(t.Context(), []Event{e}))
	require.Equal(t, e.ID(), got[0].ID())
	got[0].Output = 0
	assert.Equal(t, []Event{e}, got)
}

func TestAnEventWaitsForAllOfItsMessages(t *testing.T) {
	counts := map[string]int{"a/1": 2, "b/1": 0, "a/2": 0, "c/1": 3}
	const batch = "a/1 b/1 a/2 c/1 a/3"
	for name, c := range map[string]struct {
		errs map[string]error
		sent string
		want string
		err  string // of the first failure
	}{
		"all are delivered":                  {nil, "a/1 a/1#2 c/1 c/1#2 c/1#3 a/3", "", ""},
		"the first fails":                    {map[string]error{"a/1": errNo}, "a/1 c/1 c/1#2 c/1#3", "0:retry 2:unknown 4:unknown", `message 1, "out1": no`},
		"the last fails":                     {map[string]error{"a/1#2": errNo}, "a/1 a/1#2 c/1 c/1#2 c/1#3", "0:retry 2:unknown 4:unknown", `message 2, "out2": no`},
		"one is rejected":                    {map[string]error{"c/1#2": Permanent(errNo)}, "a/1 a/1#2 c/1 c/1#2 a/3", "3:permanent", `message 2, "out2": no`},
		"one is unknown":                     {map[string]error{"c/1#3": Unknown(errNo)}, "a/1 a/1#2 c/1 c/1#2 c/1#3 a/3", "3:unknown", `message 3, "out3": no`},
		"an event with one message is known": {map[string]error{"a/3": errNo}, "a/1 a/1#2 c/1 c/1#2 c/1#3 a/3", "4:retry", "no"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []Event
			p := Map(outputsFor(counts))(Func(failing(&got, c.errs)))
			failures := Deliver(t.Context(), p, batchOf(batch))
			assert.Equal(t, c.sent, idsOf(got))
			require.Equal(t, c.want, outcomesOf(failures))
			if len(failures) > 0 {
				require.EqualError(t, failures[0].Err, c.err)
			}
		})
	}
}

// What a sink says about a whole batch is about events, and not about what they became.
func TestAnAnswerForTheWholeBatch(t *testing.T) {
	for name, c := range map[string]struct {
		batch string
		err   error
		want  string
	}{
		"nothing known":                        {"a/1 b/1 c/1", errNo, "0:unknown 2:unknown"},
		"later":                                {"a/1 b/1 c/1", RetryAfter(errNo, 1), "0:retry 2:retry"},
		"a rejection of two events":            {"a/1 b/1 c/1", Permanent(errNo), "0:unknown 2:unknown"},
		"a rejection of one":                   {"a/1", Permanent(errNo), "0:permanent"},
		"a rejection of one beside none":       {"b/1 a/1", Permanent(errNo), "1:permanent"},
		"an event that was not asked about":    {"a/1 a/2", Permanent(errNo), "0:permanent 1:unknown"},
		"an answer that makes no sense":        {"a/1 c/1", &BatchError{[]Failure{{Index: 5}}}, "0:unknown 1:unknown"},
		"an answer about the second of a pair": {"a/1 c/1", &BatchError{[]Failure{{Index: 1}}}, "0:unknown"},
		"none at all":                          {"b/1 a/2", errNo, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := Map(outputsFor(map[string]int{"a/1": 2, "a/2": 0, "b/1": 0}))(answering{c.err})
			failures := Deliver(t.Context(), p, batchOf(c.batch))
			assert.Equal(t, c.want, outcomesOf(failures))
			if _, named := errors.AsType[*BatchError](c.err); !named && len(failures) > 0 {
				assert.Equal(t, c.err, failures[0].Err, "it is not about one of the messages")
			}
		})
	}
}

func TestAMappingThatFails(t *testing.T) {
	var got []Event
	fail := map[string]error{"a/2": errNo, "b/1": Permanent(errNo)}
	p := Map(func(e Event) ([]Message, error) {
		return []Message{{Type: "out"}}, fail[e.ID()]
	})(Func(failing(&got, map[string]error{"c/1": errNo})))
	batch := batchOf("a/1 b/1 c/1 a/2 b/2 a/3")
	batch[0].Type = "in"
	failures := Deliver(t.Context(), p, batch)
	assert.Equal(t, "1:permanent 2:retry 3:retry 4:unknown 5:unknown", outcomesOf(failures))
	assert.Equal(t, "a/1 c/1", idsOf(got))
	require.ErrorIs(t, failures[2].Err, errNo)
	require.EqualError(t, failures[2].Err, `map event "a/2" of type "": no`)
	require.ErrorIs(t, failures[3].Err, ErrNotTried)

	require.Equal(t, "0:unknown", outcomesOf(Deliver(t.Context(),
		Map(outputsFor(map[string]int{"a/1": 2}))(answering{&BatchError{[]Failure{{Index: 1}}}}), batchOf("a/1"))),
		"a failure without an error")

	// Its verdict about an event waits until the earlier ones of the id were delivered.
	fail = map[string]error{"c/2": Permanent(errNo)}
	assert.Equal(t, "0:retry 1:unknown", outcomesOf(Deliver(t.Context(), p, batchOf("c/1 c/2"))))
}

func TestMessagesThatCannotBe(t *testing.T) {
	e := batchOf("a/1")[0]
	e.Type = "shop.OrderPlaced"
	p := Map(func(Event) ([]Message, error) { return []Message{{Type: "x"}, {}}, nil })(answering{})
	failures := Deliver(t.Context(), p, []Event{e})
	require.Equal(t, "0:permanent", outcomesOf(failures))
	require.ErrorContains(t, failures[0].Err, `map event "a/1" of type "shop.OrderPlaced": message 2 of 2 has no type`)

	// A Map that another hides from it.
	outer := Map(unchanged)(Func(func(ctx context.Context, e Event) error {
		return Deliver(ctx, p, []Event{e})[0].Err
	}))
	failures = Deliver(t.Context(), outer, []Event{e})
	require.ErrorContains(t, failures[0].Err, `event "a/1" of type "shop.OrderPlaced" is what an event was mapped to`)
}

func TestAnEventGoesWhereItsFirstMessageGoes(t *testing.T) {
	p := Map(outputsFor(map[string]int{"a/1": 2, "b/1": 0}))(able{Func(failing(&[]Event{}, map[string]error{"a/1#2": errNo}))})
	d, _ := As[Destinations](p)
	events := batchOf("a/1 b/1")
	assert.Equal(t, "to out1", d.Destination(events[0]))
	assert.Empty(t, d.Destination(events[1]), "it goes nowhere")
	failures := Deliver(t.Context(), p, events)
	require.Len(t, failures, 1)
	assert.Equal(t, "to out1", failures[0].Destination, "as its successes would be counted")
}

func TestAMappingByType(t *testing.T) {
	mapping := NewMapping(Ignore)
	MapOn(mapping, func(meta Meta, e *wrapperspb.StringValue) ([]Message, error) {
		m, err := Encode("com.example.said.v2", wrapperspb.String(meta.PersistenceID+" said "+e.GetValue()))
		return []Message{m}, err
	})
	mapping.Rename("google.protobuf.BoolValue", "com.example.decided")
	garbage := typed("a/3", wrapperspb.String(""))
	garbage.Data = []byte{0xff}
	events := []Event{
		typed("a/1", wrapperspb.String("hello")), typed("b/1", wrapperspb.Bool(true)),
		typed("a/2", wrapperspb.Int64(1)), garbage,
	}
	var got []Event
	failures := Deliver(t.Context(), Map(mapping.Map)(Func(failing(&got, nil))), events)
	require.Equal(t, "3:permanent", outcomesOf(failures))
	require.ErrorContains(t, failures[0].Err, `map event "a/3" of type "google.protobuf.StringValue": decode event`)
	require.Equal(t, "a/1 b/1", idsOf(got), "a type without registration is ignored")
	assert.Equal(t, "com.example.said.v2", got[0].Type)
	assert.Equal(t, typed("a/1", wrapperspb.String("a said hello")).Data, got[0].Data)
	assert.Equal(t, "com.example.decided", got[1].Type)
	assert.Equal(t, events[1].Data, got[1].Data)

	messages, err := NewMapping(Pass).Map(events[2])
	require.NoError(t, err)
	assert.Equal(t, []Message{Unchanged(events[2])}, messages)
	_, err = NewMapping(Park).Map(events[2])
	require.ErrorContains(t, err, `type "google.protobuf.Int64Value" is not registered: do it with publisher.MapOn`)
	assert.Equal(t, OutcomePermanent, failureOf(t.Context(), 0, err).Outcome)
}

func TestEncode(t *testing.T) {
	m, err := Encode("", wrapperspb.Bool(true))
	require.NoError(t, err)
	assert.Equal(t, "google.protobuf.BoolValue", m.Type)
	for _, bad := range []*wrapperspb.StringValue{wrapperspb.String("\xff")} {
		_, err = Encode("x", bad)
		require.Error(t, err)
		assert.Equal(t, OutcomePermanent, failureOf(t.Context(), 0, err).Outcome)
	}
	_, err = Encode("x", nil)
	require.ErrorContains(t, err, "it is nil")
}

// oneByOne is what Map has to look like, written plainly: event by event, message by message.
func oneByOne(events []Event, counts map[string]int, mapErrs, sinkErrs map[string]error) (sent []string, failures string) {
	var all []Failure
	failed := map[string]bool{}
	for i, e := range events {
		f := Failure{Index: i}
		switch {
		case failed[e.PersistenceID]:
			all = append(all, f)
			continue
		case mapErrs[e.ID()] != nil:
			f.Outcome = failureOf(context.Background(), i, mapErrs[e.ID()]).Outcome
			all, failed[e.PersistenceID] = append(all, f), true
			continue
		}
		for k := range counts[e.ID()] {
			e.Output = k + 1
			sent = append(sent, e.ID())
			if err := sinkErrs[e.ID()]; err != nil {
				f.Outcome = failureOf(context.Background(), i, err).Outcome
				all, failed[e.PersistenceID] = append(all, f), true
				break
			}
		}
	}
	return sent, outcomesOf(all)
}

// byID sorts what was sent into streams, each of which keeps its order.
func byID(sent []string) map[string]string {
	streams := map[string]string{}
	for _, id := range sent {
		name, _, _ := strings.Cut(id, "/")
		streams[name] += id + " "
	}
	return streams
}

func TestMapIsLikePublishingOneByOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		anError := rapid.SampledFrom([]error{errNo, Permanent(errNo), Unknown(errNo)})
		counts, mapErrs, sinkErrs := map[string]int{}, map[string]error{}, map[string]error{}
		var ids []string
		seq := map[string]int{}
		for range rapid.IntRange(1, 12).Draw(t, "events") {
			name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name")
			seq[name]++
			id := fmt.Sprintf("%s/%d", name, seq[name])
			ids = append(ids, id)
			counts[id] = rapid.IntRange(0, 3).Draw(t, "messages")
			if rapid.IntRange(0, 9).Draw(t, "mapping fails") == 0 {
				mapErrs[id] = anError.Draw(t, "mapping error")
			}
			for k, output := range []string{id, id + "#2", id + "#3"} {
				if k < counts[id] && rapid.IntRange(0, 9).Draw(t, "sink fails") == 0 {
					sinkErrs[output] = anError.Draw(t, "sink error")
				}
			}
		}
		events := batchOf(strings.Join(ids, " "))
		wantSent, want := oneByOne(events, counts, mapErrs, sinkErrs)

		var mu sync.Mutex
		var sent []string
		deliver := func(_ context.Context, e Event) error {
			mu.Lock()
			defer mu.Unlock()
			sent = append(sent, e.ID())
			return sinkErrs[e.ID()]
		}
		mapping := func(e Event) ([]Message, error) {
			if err := mapErrs[e.ID()]; err != nil {
				return nil, err
			}
			return outputsFor(counts)(e)
		}
		for name, sink := range map[string]Publisher{
			"sequential":       Func(deliver),
			"concurrent":       Concurrent(3, deliver),
			"at once":          &atOnce{deliver},
			"limited":          RateLimit(1e9, 2)(Func(deliver)),
			"limited, at once": RateLimit(1e9, 2)(&atOnce{deliver}),
		} {
			sent = nil
			got := outcomesOf(Deliver(context.Background(), Map(mapping)(sink), events))
			if got != want {
				t.Fatalf("%s: %v: got %s, want %s", name, ids, got, want)
			}
			if fmt.Sprint(byID(sent)) != fmt.Sprint(byID(wantSent)) {
				t.Fatalf("%s: %v: sent %v, want %v", name, ids, sent, wantSent)
			}
		}
	})
}

// atOnce sends all of a batch before it looks at any answer, the failures in no order: what a sink with a pipeline and
// without ordering does.
type atOnce struct {
	deliver func(context.Context, Event) error
}

func (*atOnce) OrderedWithinBatch() bool { return false }

func (p *atOnce) Publish(ctx context.Context, events []Event) error {
	var batch BatchError
	for i, e := range events {
		if err := p.deliver(ctx, e); err != nil {
			batch.Failures = append([]Failure{failureOf(ctx, i, err)}, batch.Failures...)
		}
	}
	if len(batch.Failures) == 0 {
		return nil
	}
	return fmt.Errorf("at once: %w", &batch)
}

// located is a sink that knows only in the end where an event was to go.
type located struct{ fails map[string]string } // the failing event's ID → where it was to go

func (located) Destination(Event) string { return "general" }

func (p located) Publish(_ context.Context, events []Event) error {
	var batch BatchError
	for i, e := range events {
		if to, fails := p.fails[e.ID()]; fails {
			batch.Add(Failure{Index: i, Err: errNo, Destination: to})
		}
	}
	return batch.OrNil()
}

// What a failure itself says goes before what is said of events in general, but for a message that is not the first.
func TestAFailureNamesItsDestination(t *testing.T) {
	sink := located{map[string]string{"a/1": "special", "b/1#2": "special", "c/1": ""}}
	twice := func(e Event) ([]Message, error) { return []Message{Unchanged(e), Unchanged(e)}, nil }
	got := Deliver(t.Context(), Map(twice)(sink), batchOf("a/1 b/1 c/1"))
	require.Len(t, got, 3)
	assert.Equal(t, "special", got[0].Destination)
	assert.Equal(t, "general", got[1].Destination)
	assert.Equal(t, "general", got[2].Destination)

	old := batchOf("a/1")
	old[0].Type = "old"
	got = Deliver(t.Context(), Upcasting(UpcastName("old", "new"))(sink), old)
	require.Len(t, got, 1)
	assert.Equal(t, "special", got[0].Destination)
}
