package publisher_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// event stands for what an outbox passes on.
func event(id string, seq int64, m proto.Message) publisher.Event {
	data, _ := proto.Marshal(m)
	return publisher.Event{Outbox: "shop", Event: query.Event{
		PersistenceID: id, SequenceNumber: seq,
		Type: string(m.ProtoReflect().Descriptor().FullName()), ContentType: publisher.ContentTypeProtobuf, Data: data,
	}}
}

func ExampleFunc() {
	p := publisher.Func(func(ctx context.Context, e publisher.Event) error {
		if e.ID() == "order-1/1" {
			return errors.New("the warehouse does not answer")
		}
		fmt.Println("published", e.ID())
		return nil
	})

	// order-1/2 is not tried: its id waits until order-1/1 was published. order-2 goes on.
	err := p.Publish(context.Background(), []publisher.Event{
		event("order-1", 1, wrapperspb.String("placed")),
		event("order-2", 1, wrapperspb.String("placed")),
		event("order-1", 2, wrapperspb.String("paid")),
	})
	if batch, ok := errors.AsType[*publisher.BatchError](err); ok {
		for _, f := range batch.Failures {
			fmt.Printf("event %d: %v: %v\n", f.Index, f.Outcome, f.Err)
		}
	}
	// Output:
	// published order-2/1
	// event 0: retry: the warehouse does not answer
	// event 2: unknown: not tried: an earlier event of the same id failed
}

func ExampleConcurrent() {
	// At most 16 calls at the same time; those of one id one after another.
	p := publisher.Concurrent(16, func(ctx context.Context, e publisher.Event) error {
		return nil // call the service
	})
	fmt.Println(p.Publish(context.Background(), []publisher.Event{
		event("order-1", 1, wrapperspb.String("placed")),
		event("order-2", 1, wrapperspb.String("placed")),
	}))
	// Output: <nil>
}

func ExampleOn() {
	mux := publisher.NewMux(publisher.Ignore)
	publisher.On(mux, func(ctx context.Context, meta publisher.Meta, e *wrapperspb.StringValue) error {
		fmt.Println(meta.ID(), e.Value)
		return nil
	})

	err := mux.Publish(context.Background(), []publisher.Event{
		event("order-1", 1, wrapperspb.String("placed")),
		event("order-1", 2, wrapperspb.Bool(true)), // nobody listens
	})
	fmt.Println(err)
	// Output:
	// order-1/1 placed
	// <nil>
}

func ExampleDecode() {
	m, err := publisher.Decode(event("order-1", 1, wrapperspb.String("placed")))
	fmt.Println(m.(*wrapperspb.StringValue).Value, err)
	// Output: placed <nil>
}

func ExampleRetryAfter() {
	p := publisher.Func(func(ctx context.Context, e publisher.Event) error {
		return publisher.RetryAfter(errors.New("too many requests"), 30*time.Second)
	})
	err := p.Publish(context.Background(), []publisher.Event{event("order-1", 1, wrapperspb.String("placed"))})
	var batch *publisher.BatchError
	errors.As(err, &batch)
	fmt.Println(batch.Failures[0].Outcome, batch.Failures[0].RetryAfter)
	// Output: retry 30s
}

func ExampleProps() {
	hook := publisher.Func(func(ctx context.Context, e publisher.Event) error { return nil })

	// The second parameter of outbox.Props.
	props := publisher.Props(hook, publisher.WithStopGrace(3*time.Second))
	fmt.Println(props != nil, publisher.Props(nil) == nil)
	// Output: true true
}
