package publisher

import (
	"context"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// A journal may hold whatever somebody has once written to it: under a name that is used otherwise today, or by a
// program that is not ours.
func FuzzMux(f *testing.F) {
	for _, m := range []proto.Message{
		wrapperspb.String("hello"), wrapperspb.String("\u00e9"), wrapperspb.Int64(math.MinInt64), durationpb.New(-1),
		structpb.NewStringValue("nested"), &structpb.ListValue{Values: []*structpb.Value{structpb.NewNullValue()}},
	} {
		e := typed("a/1", m)
		f.Add(e.Type, ContentTypeProtobuf, e.Data)
		f.Add("google.protobuf.StringValue", "", e.Data)
		f.Add("google.protobuf.Duration", "APPLICATION/protobuf ; charset=utf-8", e.Data)
	}
	f.Add("google.protobuf.StringValue", "application/json", []byte(`"hello"`))
	f.Add("google.protobuf.StringValue", ";", []byte("\x0a\x01\xff")) // no UTF-8
	f.Add("google.protobuf.NullValue", ContentTypeProtobuf, []byte{}) // an enum
	f.Add("", "", []byte{})
	f.Fuzz(func(t *testing.T, typ, contentType string, data []byte) {
		e := batchOf("a/1")[0]
		e.Type, e.ContentType, e.Data = typ, contentType, data

		message, err := Decode(e)
		if err != nil {
			assert.Equal(t, OutcomePermanent, failureOf(t.Context(), 0, err).Outcome, "%v", err)
		} else {
			require.EqualValues(t, typ, message.ProtoReflect().Descriptor().FullName())
		}

		var heard []proto.Message
		mux := NewMux(Park)
		hear(mux, &heard, &wrapperspb.StringValue{})
		hear(mux, &heard, &wrapperspb.Int64Value{})
		hear(mux, &heard, &durationpb.Duration{})
		hear(mux, &heard, &structpb.ListValue{})
		_, listened := mux.handlers[typ]
		failures := deliver(t.Context(), mux, []Event{e})
		if !listened || err != nil {
			assert.Empty(t, heard)
			assert.Equal(t, "0:permanent", outcomesOf(failures))
			return
		}
		assert.Empty(t, failures)
		require.Len(t, heard, 1)
		assert.True(t, proto.Equal(message, heard[0]), "%v is not %v", heard[0], message)
	})
}

func hear[M proto.Message](mux *Mux, heard *[]proto.Message, _ M) {
	On(mux, func(_ context.Context, _ Meta, m M) error {
		*heard = append(*heard, m)
		return nil
	})
}
