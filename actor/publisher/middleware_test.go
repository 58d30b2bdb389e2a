package publisher

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// able is a publisher with every capability.
type able struct{ Publisher }

func (able) OrderedWithinBatch() bool   { return false }
func (able) Destination(e Event) string { return "to " + e.Type }

func unchanged(e Event) ([]Message, error) { return []Message{Unchanged(e)}, nil }

// everyMiddleware is all that the package has.
func everyMiddleware() map[string]Middleware {
	return map[string]Middleware{
		"timeout":   Timeout(time.Hour),
		"limit":     RateLimit(1e6, 1000),
		"log":       Log(slog.New(slog.DiscardHandler)),
		"map":       Map(unchanged),
		"upcasting": Upcasting(UpcastName("old", "new")),
	}
}

func TestTheFirstOfAChainIsTheOutermost(t *testing.T) {
	var order []string
	note := func(name string) Middleware {
		return around(func(ctx context.Context, p Publisher, events []Event) error {
			order = append(order, name)
			defer func() { order = append(order, "/"+name) }()
			return p.Publish(ctx, events)
		})
	}
	p := Chain(Func(func(context.Context, Event) error { return nil }), note("a"), note("b"))
	require.NoError(t, p.Publish(t.Context(), batchOf("x/1")))
	assert.Equal(t, []string{"a", "b", "/b", "/a"}, order)
}

func TestMiddlewareInFrontOfNothingIsNothing(t *testing.T) {
	for name, m := range everyMiddleware() {
		require.Equal(t, Publisher(nil), m(nil), name)
		require.Nil(t, Props(Chain(nil, m)), name)
	}
}

func TestCapabilitiesSurviveMiddleware(t *testing.T) {
	inner := able{Func(func(context.Context, Event) error { return nil })}
	for name, m := range everyMiddleware() {
		t.Run(name, func(t *testing.T) {
			p := Chain(inner, m)
			found, ok := As[able](p)
			require.True(t, ok)
			assert.Equal(t, "to T", found.Destination(Event{}.withType("T")))

			d, ok := As[Destinations](p)
			require.True(t, ok)
			assert.Equal(t, "to T", d.Destination(Event{}.withType("T")))
			assert.Equal(t, name == "map", ordered(p), "Map makes the waves itself")
		})
	}
}

func (e Event) withType(typ string) Event {
	e.Type = typ
	return e
}

func TestMiddlewareLetsPanicsPass(t *testing.T) {
	p := Func(func(context.Context, Event) error { panic(errNo) })
	for name, m := range everyMiddleware() {
		require.PanicsWithValue(t, errNo, func() { _ = Chain(p, m).Publish(t.Context(), batchOf("x/1")) }, name)
	}
}

// Whatever stands in front, an answer is about the events that were asked for.
func TestMiddlewareKeepsAnswers(t *testing.T) {
	for name, m := range everyMiddleware() {
		t.Run(name, func(t *testing.T) {
			var calls []Event
			p := Chain(Func(failing(&calls, map[string]error{"a/2": errNo, "c/1": Permanent(errNo)})), m)
			failures := Deliver(t.Context(), p, batchOf("a/1 b/1 a/2 c/1 a/3 b/2"))
			assert.Equal(t, "2:retry 3:permanent 4:unknown", outcomesOf(failures))
			assert.Equal(t, "a/1 b/1 a/2 c/1 b/2", idsOf(calls))
		})
	}
}

func TestMistakesInMiddlewarePanic(t *testing.T) {
	step := UpcastName("a", "b")
	for name, c := range map[string]struct {
		mistake func()
		want    string
	}{
		"timeout":         {func() { Timeout(0) }, "publisher.Timeout: the time is 0s, it must be positive"},
		"no rate":         {func() { RateLimit(0, 1) }, "publisher.RateLimit: 0 events per second: it must be a positive number"},
		"no burst":        {func() { RateLimit(1, 0) }, "publisher.RateLimit: the burst is 0, it must be at least 1"},
		"slow refill":     {func() { RateLimit(1e-9, 1) }, "publisher.RateLimit: a burst of 1 events at 1e-09 per second takes more than a year to refill"},
		"no logger":       {func() { Log(nil) }, "publisher.Log: the logger is nil: pass slog.Default(), for example"},
		"no mapping":      {func() { Map(nil) }, "publisher.Map: the mapping is nil"},
		"two maps":        {func() { Map(unchanged)(Chain(Func(failing(nil, nil)), Timeout(1), Map(unchanged))) }, "publisher.Map: the publisher behind it maps already: make one mapping of both"},
		"maps apart":      {func() { Map(unchanged)(Chain(Func(failing(nil, nil)), Upcasting(step), Map(unchanged))) }, "publisher.Map: the publisher behind it maps already: make one mapping of both"},
		"rule":            {func() { NewMapping(0) }, "publisher.NewMapping: the rule is 0, it must be publisher.Pass, publisher.Ignore or publisher.Park"},
		"mux that passes": {func() { NewMux(Pass) }, "publisher.NewMux: the rule is 3, it must be publisher.Ignore or publisher.Park"},
		"nil mapping": {func() { MapOn[*wrapperspb.BoolValue](NewMapping(Park), nil) },
			"publisher.MapOn: the mapping of google.protobuf.BoolValue is nil"},
		"type twice": {func() {
			m := NewMapping(Park)
			m.Rename("google.protobuf.BoolValue", "x")
			MapOn(m, func(Meta, *wrapperspb.BoolValue) ([]Message, error) { return nil, nil })
		}, "publisher.MapOn: google.protobuf.BoolValue is registered already"},
		"empty name":    {func() { NewMapping(Park).Rename("a", "") }, `Mapping.Rename("a", ""): a name is empty`},
		"circle":        {func() { Upcasting(step, UpcastName("b", "c"), UpcastName("c", "a")) }, "publisher.Upcasting: the steps go in a circle: a → b → c → a"},
		"circle of one": {func() { Upcasting(UpcastName("a", "a")) }, "publisher.Upcasting: the steps go in a circle: a → a"},
		"circle ahead":  {func() { Upcasting(step, UpcastName("b", "c"), UpcastName("c", "b")) }, "publisher.Upcasting: the steps go in a circle: a → b → c → b"},
		"two steps":     {func() { Upcasting(step, UpcastName("a", "c")) }, "publisher.Upcasting: there are two steps from a, to b and to c"},
		"nameless step": {func() { Upcasting(Upcast{}) }, `publisher.Upcasting: the step from "" to "" lacks a name`},
		"nil step": {func() { UpcastFunc[*wrapperspb.BoolValue, *wrapperspb.StringValue](nil) },
			"publisher.UpcastFunc: the function from google.protobuf.BoolValue to google.protobuf.StringValue is nil"},
	} {
		t.Run(name, func(t *testing.T) { require.PanicsWithValue(t, c.want, c.mistake) })
	}
}

func TestLogTellsOfABatchInALine(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"published": {nil, `level=DEBUG msg="published a batch" events=3 outbox=shop` + "\n"},
		"failed": {
			&BatchError{[]Failure{{Index: 2, Outcome: OutcomeRetry, Err: errNo}, {Index: 1, Outcome: OutcomePermanent, Err: errors.New("bad\nline")}}},
			`level=WARN msg="could not publish all of a batch" events=3 outbox=shop failed=2 permanent=1 retry=1 unknown=0 ` +
				`first_event=b/1 outcome=permanent error="bad\nline"` + "\n",
		},
		"nothing known": {
			errNo,
			`level=WARN msg="could not publish all of a batch" events=3 outbox=shop failed=3 permanent=0 retry=0 unknown=3 ` +
				`first_event=a/1 outcome=unknown error=no` + "\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			logger := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{
				Level: slog.LevelDebug,
				ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
					if a.Key == slog.TimeKey || a.Key == "duration" {
						return slog.Attr{}
					}
					return a
				},
			}))
			p := Chain(answering{c.err}, Log(logger))
			require.Equal(t, c.err, p.Publish(t.Context(), batchOf("a/1 b/1 a/2")))
			assert.Equal(t, c.want, out.String())
		})
	}
}

type answering struct{ err error }

func (a answering) Publish(context.Context, []Event) error { return a.err }

func TestLogKeepsTextsShortAndContentsOut(t *testing.T) {
	var out bytes.Buffer
	events := batchOf("a/1")
	events[0].PersistenceID = string(bytes.Repeat([]byte("i"), 5000))
	events[0].Data, events[0].Tags = []byte("secret"), []string{"secret"}
	events[0].Metadata = map[string]string{"token": "secret"}
	long := errors.New(string(bytes.Repeat([]byte("e"), 5000)))
	p := Chain(answering{long}, Log(slog.New(slog.NewJSONHandler(&out, nil))))
	require.Error(t, p.Publish(t.Context(), events))
	assert.NotContains(t, out.String(), "secret")
	assert.Less(t, out.Len(), 2*maxReason+500)
	assert.Contains(t, out.String(), `"duration":`)

	out.Reset()
	require.NoError(t, Chain(answering{}, Log(slog.New(slog.NewJSONHandler(&out, nil)))).Publish(t.Context(), events))
	assert.Empty(t, out.String(), "what went well is for the level Debug")
}
