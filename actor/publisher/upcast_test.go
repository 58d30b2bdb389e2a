package publisher

import (
	"context"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Of old, a number was a bool, then a string, and once it was called otherwise.
func numbers() Middleware {
	return Upcasting(
		UpcastFunc(func(_ Meta, old *wrapperspb.StringValue) (*wrapperspb.Int64Value, error) {
			n, err := strconv.ParseInt(old.GetValue(), 10, 64)
			return wrapperspb.Int64(n), err
		}),
		UpcastName("test.Number", "google.protobuf.StringValue"),
		UpcastFunc(func(meta Meta, old *wrapperspb.BoolValue) (*wrapperspb.StringValue, error) {
			switch {
			case meta.PersistenceID == "nothing":
				return nil, nil
			case old.GetValue():
				return wrapperspb.String("1"), nil
			}
			return wrapperspb.String("0"), nil
		}),
	)
}

func TestOldEventsBecomeTheNewestStepByStep(t *testing.T) {
	moved := typed("c/1", wrapperspb.String("7"))
	moved.Type = "test.Number"
	other := typed("d/1", wrapperspb.Double(1))
	events := []Event{
		typed("a/1", wrapperspb.Bool(true)), typed("b/1", wrapperspb.String("5")), moved, other, typed("a/2", wrapperspb.Int64(9)),
	}
	for i := range events {
		events[i].Tags, events[i].Metadata = []string{"t"}, map[string]string{"k": "v"}
	}
	before := append([]Event(nil), events...)

	want := append([]Event(nil), events...)
	for i, n := range []int64{1, 5, 7} {
		newest := typed("x/1", wrapperspb.Int64(n))
		want[i].Type, want[i].Data = newest.Type, newest.Data
	}
	var got []Event
	require.NoError(t, numbers()(Func(failing(&got, nil))).Publish(t.Context(), events))
	assert.Equal(t, want, got)
	assert.Equal(t, before, events, "the batch is the outbox's")
}

func TestAMuxBehindUpcastingKnowsTheNewestAlone(t *testing.T) {
	mux := NewMux(Park)
	var sum int64
	On(mux, func(_ context.Context, _ Meta, n *wrapperspb.Int64Value) error {
		sum += n.GetValue()
		return nil
	})
	require.NoError(t, Chain(mux, numbers()).Publish(t.Context(), []Event{
		typed("a/1", wrapperspb.Bool(true)), typed("b/1", wrapperspb.String("5")), typed("a/2", wrapperspb.Int64(9)),
	}))
	assert.EqualValues(t, 15, sum)
}

func TestAnEventThatCannotBeConverted(t *testing.T) {
	garbage := typed("b/1", wrapperspb.Bool(true))
	garbage.Data = []byte{0xff}
	events := []Event{
		typed("a/1", wrapperspb.String("not a number")), garbage, typed("c/1", wrapperspb.Bool(true)),
		typed("nothing/1", wrapperspb.Bool(true)), typed("a/2", wrapperspb.Int64(2)),
	}
	var got []Event
	failures := Deliver(t.Context(), numbers()(Func(failing(&got, nil))), events)
	require.Equal(t, "0:retry 1:permanent 3:permanent 4:unknown", outcomesOf(failures))
	assert.Equal(t, "c/1", idsOf(got))
	require.ErrorContains(t, failures[0].Err,
		`convert event "a/1" from type "google.protobuf.StringValue" to "google.protobuf.Int64Value": strconv`)
	require.ErrorContains(t, failures[2].Err, "the message is nil")
	require.ErrorIs(t, failures[3].Err, ErrNotTried)
}

func TestABatchWithoutOldEventsPassesAsItIs(t *testing.T) {
	events := []Event{typed("a/1", wrapperspb.Int64(1))}
	p := numbers()(around(func(_ context.Context, _ Publisher, got []Event) error {
		assert.Same(t, &events[0], &got[0])
		return errNo
	})(answering{}))
	require.Equal(t, errNo, p.Publish(t.Context(), events))
}
