package publisher

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func typed(id string, m proto.Message) Event {
	e := batchOf(id)[0]
	e.Type = string(m.ProtoReflect().Descriptor().FullName())
	e.ContentType = ContentTypeProtobuf
	e.Data, _ = proto.Marshal(m)
	return e
}

func TestMuxGivesEachEventToTheHandlerForItsType(t *testing.T) {
	var got []string
	mux := NewMux(Park)
	On(mux, func(_ context.Context, meta Meta, m *wrapperspb.StringValue) error {
		got = append(got, meta.ID()+" "+m.Value)
		return nil
	})
	On(mux, func(_ context.Context, meta Meta, m *wrapperspb.BoolValue) error {
		got = append(got, meta.ID()+" bool")
		return errNo
	})
	failures := deliver(t.Context(), mux, []Event{
		typed("a/1", wrapperspb.String("one")), typed("b/1", wrapperspb.Bool(true)), typed("a/2", wrapperspb.String("two")),
	})
	assert.Equal(t, []string{"a/1 one", "b/1 bool", "a/2 two"}, got)
	assert.Equal(t, "1:retry", outcomesOf(failures))
}

func TestMuxFollowsItsRuleForOtherTypes(t *testing.T) {
	batch := []Event{typed("a/1", durationpb.New(1)), typed("b/1", wrapperspb.String("heard"))}
	for rule, want := range map[Rule]string{Ignore: "", Park: "0:permanent"} {
		heard := false
		mux := NewMux(rule)
		On(mux, func(context.Context, Meta, *wrapperspb.StringValue) error { heard = true; return nil })
		failures := deliver(t.Context(), mux, batch)
		assert.Equal(t, want, outcomesOf(failures))
		assert.True(t, heard)
		if rule == Park {
			require.ErrorContains(t, failures[0].Err, `event "a/1": no handler for type "google.protobuf.Duration"`)
		}
	}
}

func TestAnEventThatCannotBeDecodedIsRejectedAndBlocksOnlyItsID(t *testing.T) {
	broken := typed("a/1", wrapperspb.String("x"))
	broken.Data = []byte{0xff}
	json := typed("b/1", wrapperspb.String("x"))
	json.ContentType = "application/json"
	calls := 0
	mux := NewMux(Ignore)
	On(mux, func(context.Context, Meta, *wrapperspb.StringValue) error { calls++; return nil })

	failures := deliver(t.Context(), mux, []Event{broken, json, typed("a/2", wrapperspb.String("x")), typed("c/1", wrapperspb.String("x"))})

	assert.Equal(t, "0:permanent 1:permanent 2:unknown", outcomesOf(failures))
	require.ErrorContains(t, failures[0].Err, `decode event "a/1" of type "google.protobuf.StringValue"`)
	require.ErrorContains(t, failures[1].Err, `content type is "application/json"`)
	assert.Equal(t, 1, calls)
}

func TestDecode(t *testing.T) {
	e := typed("a/1", wrapperspb.String("hello"))
	for _, contentType := range []string{ContentTypeProtobuf, "", "Application/Protobuf; version=1"} {
		e.ContentType = contentType
		m, err := Decode(e)
		require.NoError(t, err)
		assert.True(t, proto.Equal(wrapperspb.String("hello"), m))
	}

	for name, spoil := range map[string]func(*Event){
		"is linked into this program": func(e *Event) { e.Type = "shop.v1.Forgotten" },
		"cannot parse":                func(e *Event) { e.Data = []byte{0xff} },
		"text/plain":                  func(e *Event) { e.ContentType = "text/plain" },
	} {
		e := typed("a/1", wrapperspb.String("hello"))
		spoil(&e)
		_, err := Decode(e)
		require.ErrorContains(t, err, name)
		require.ErrorContains(t, err, `"a/1" of type "`+e.Type+`"`)
		assert.Equal(t, OutcomePermanent, failureOf(t.Context(), 0, err).Outcome)
	}
}

func TestMistakesInRegistrationPanic(t *testing.T) {
	handler := func(context.Context, Meta, *wrapperspb.StringValue) error { return nil }
	mux := NewMux(Ignore)
	On(mux, handler)
	assert.PanicsWithValue(t, "publisher.On: google.protobuf.StringValue already has a handler", func() { On(mux, handler) })
	assert.Panics(t, func() { On[*wrapperspb.BoolValue](mux, nil) })
	assert.Panics(t, func() { On(mux, func(context.Context, Meta, proto.Message) error { return nil }) })
	assert.Panics(t, func() { NewMux(0) })
}
