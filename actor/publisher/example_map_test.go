package publisher_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
)

// show stands for a sink.
func show(_ context.Context, e publisher.Event) error {
	fmt.Printf("%s %s %q\n", e.ID(), e.Type, e.Data)
	return nil
}

// A function says what the outside world sees of an event.
func ExampleMap() {
	sink := publisher.Func(show)
	p := publisher.Map(func(e publisher.Event) ([]publisher.Message, error) {
		if e.Type != "google.protobuf.StringValue" {
			return nil, nil // nothing of it
		}
		return []publisher.Message{
			{Type: "com.example.order.placed.v2", ContentType: "text/plain", Data: []byte("placed")},
			{Type: "com.example.bill.due.v1", ContentType: "text/plain", Data: []byte("due")},
		}, nil
	})(sink)

	fmt.Println(p.Publish(context.Background(), []publisher.Event{
		event("order-1", 1, wrapperspb.String("placed")),
		event("order-1", 2, wrapperspb.Bool(true)),
	}))
	// Output:
	// order-1/1 com.example.order.placed.v2 "placed"
	// order-1/1#2 com.example.bill.due.v1 "due"
	// <nil>
}

// A Mapping has a function for each type of event, and a rule for the others.
func ExampleMapOn() {
	mapping := publisher.NewMapping(publisher.Park)
	publisher.MapOn(mapping, func(meta publisher.Meta, _ *wrapperspb.StringValue) ([]publisher.Message, error) {
		return []publisher.Message{{
			Type: "com.example.order.placed.v2", ContentType: "application/json",
			Data: fmt.Appendf(nil, `{"order":%q}`, meta.PersistenceID),
		}}, nil
	})
	mapping.Rename("google.protobuf.Duration", "com.example.order.delayed.v1")

	p := publisher.Chain(publisher.Func(show), publisher.Map(mapping.Map))
	err := p.Publish(context.Background(), []publisher.Event{
		event("order-1", 1, wrapperspb.String("placed")),
		event("order-1", 2, durationpb.New(0)),
		event("order-1", 3, wrapperspb.Bool(true)), // to be thought about
	})
	for _, f := range publisher.Failures(err, 3) {
		fmt.Println(f.Index, f.Outcome)
	}
	// Output:
	// order-1/1 com.example.order.placed.v2 "{\"order\":\"order-1\"}"
	// order-1/2 com.example.order.delayed.v1 ""
	// 2 permanent
}

// Handlers know the newest type alone, whatever the journal holds.
func ExampleUpcasting() {
	mux := publisher.NewMux(publisher.Park)
	publisher.On(mux, func(ctx context.Context, meta publisher.Meta, e *durationpb.Duration) error {
		fmt.Println(meta.ID(), e.AsDuration())
		return nil
	})

	p := publisher.Chain(mux, publisher.Upcasting(
		publisher.UpcastFunc(func(_ publisher.Meta, seconds *wrapperspb.Int64Value) (*durationpb.Duration, error) {
			return durationpb.New(time.Duration(seconds.GetValue()) * time.Second), nil
		}),
		publisher.UpcastName("shop.Delay", "google.protobuf.Int64Value"), // its name before that
	))
	fmt.Println(p.Publish(context.Background(), []publisher.Event{
		event("order-1", 1, wrapperspb.Int64(90)),
		event("order-1", 2, durationpb.New(2*time.Minute)),
	}))
	// Output:
	// order-1/1 1m30s
	// order-1/2 2m0s
	// <nil>
}

// The first is the outermost: here the log tells of events, and the limit counts messages.
func ExampleChain() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "duration" {
				return slog.Attr{}
			}
			return a
		},
	}))
	mapping := publisher.NewMapping(publisher.Pass)

	p := publisher.Chain(publisher.Func(show),
		publisher.Log(logger),
		publisher.Timeout(5*time.Second),
		publisher.Map(mapping.Map),
		publisher.RateLimit(1000, 100),
	)
	_ = p.Publish(context.Background(), []publisher.Event{event("order-1", 1, wrapperspb.Bool(false))})
	// Output:
	// order-1/1 google.protobuf.BoolValue ""
	// level=DEBUG msg="published a batch" events=1 outbox=shop
}

func ExampleFailures() {
	p := publisher.Func(func(context.Context, publisher.Event) error {
		return publisher.Permanent(fmt.Errorf("we do not take those"))
	})
	batch := []publisher.Event{event("order-1", 1, wrapperspb.Bool(true)), event("order-2", 1, wrapperspb.Bool(true))}
	for _, f := range publisher.Failures(p.Publish(context.Background(), batch), len(batch)) {
		fmt.Println(batch[f.Index].ID(), f.Outcome, f.Err)
	}
	// Output:
	// order-1/1 permanent we do not take those
	// order-2/1 permanent we do not take those
}
