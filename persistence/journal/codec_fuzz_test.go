package journal

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// What is stored may be of a type that is used otherwise today. Either it is refused, or it is what an actor would be
// given, of the type that was stored, and would be stored as the same again.
func FuzzDecode(f *testing.F) {
	nested, err := structpb.NewStruct(map[string]any{"a": []any{1.5, nil, "x"}, "b": map[string]any{}})
	require.NoError(f, err)
	anything, err := anypb.New(durationpb.New(-1))
	require.NoError(f, err)
	for _, m := range []proto.Message{
		wrapperspb.String("hello"), wrapperspb.Double(math.NaN()), wrapperspb.Int64(math.MinInt64), nested, anything, &structpb.Value{},
	} {
		typ, data, err := encode(m)
		require.NoError(f, err)
		f.Add(typ, data)
		f.Add("google.protobuf.FileDescriptorProto", data) // proto2
		f.Add("shop.v1.Forgotten", data)
	}
	f.Add("google.protobuf.StringValue", []byte("\x0a\x01\xff"))                        // no UTF-8
	f.Add("google.protobuf.UninterpretedOption.NamePart", []byte{})                     // required fields are missing
	f.Add("google.protobuf.NullValue", []byte{})                                        // an enum
	f.Add("google.protobuf.Duration", []byte{0x08, 1, 0x08, 2, 0xa0, 0x38, 0xff, 0x01}) // twice the same, and one unknown
	f.Add("", []byte{})
	f.Fuzz(func(t *testing.T, typ string, data []byte) {
		m, err := decode(typ, data)
		if err != nil {
			require.ErrorIs(t, err, ErrNotDecodable)
			return
		}
		require.EqualValues(t, typ, m.ProtoReflect().Descriptor().FullName())

		stored, first, err := encode(m)
		require.NoError(t, err)
		require.Equal(t, typ, stored)
		again, err := decode(stored, first)
		require.NoError(t, err)
		require.True(t, proto.Equal(m, again), "%v is not %v", again, m)
		_, second, err := encode(again)
		require.NoError(t, err)
		require.Equal(t, first, second, "equal events have equal data")
	})
}
