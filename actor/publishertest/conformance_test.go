package publishertest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
)

// inProcess are the facts about a publisher that hands everything to a function.
var inProcess = Facts{Type: true, ContentType: true, Metadata: AllMetadata}

// arrival is what a function is given of an event.
func arrival(e publisher.Event) Delivery {
	return Delivery{ID: e.ID(), Type: e.Type, ContentType: e.ContentType, Data: e.Data, Metadata: e.Metadata}
}

// verdict says in a function's words what the sink has answered.
func verdict(a Answer) error {
	switch a {
	case Accept:
		return nil
	case Reject:
		return publisher.Permanent(errors.New("rejected"))
	case Busy:
		return publisher.RetryAfter(errors.New("busy"), time.Millisecond)
	default:
		return publisher.Unknown(errors.New("no answer"))
	}
}

// toSink is a function that delivers an event to the sink.
func toSink(sink *Sink) func(context.Context, publisher.Event) error {
	return func(ctx context.Context, e publisher.Event) error { return verdict(sink.Take(ctx, arrival(e))) }
}

var errDown = errors.New("cannot be reached")

// of joins a publisher that is made of a function.
func of(publisherOf func(deliver func(context.Context, publisher.Event) error) publisher.Publisher) Harness {
	return Harness{Facts: inProcess, New: func(_ testing.TB, sink *Sink) Subject {
		var down atomic.Bool
		deliver := toSink(sink)
		return Subject{SetDown: down.Store, Publisher: publisherOf(func(ctx context.Context, e publisher.Event) error {
			if down.Load() {
				return errDown
			}
			return deliver(ctx, e)
		})}
	}}
}

func TestFunc(t *testing.T) { Run(t, of(publisher.Func)) }

func TestConcurrent(t *testing.T) {
	h := of(func(deliver func(context.Context, publisher.Event) error) publisher.Publisher {
		return publisher.Concurrent(5, deliver)
	})
	h.Facts.Concurrency = 5
	Run(t, h)
}

// packed makes an event one that a Mux has a handler for.
func packed(e publisher.Event) publisher.Event {
	data, err := proto.Marshal(wrapperspb.Bytes(e.Data))
	if err != nil {
		panic(err)
	}
	e.Type, e.ContentType, e.Data = "google.protobuf.BytesValue", publisher.ContentTypeProtobuf, data
	return e
}

func TestMux(t *testing.T) {
	Run(t, Harness{Facts: inProcess, Adapt: packed, New: func(_ testing.TB, sink *Sink) Subject {
		mux := publisher.NewMux(publisher.Park)
		publisher.On(mux, func(ctx context.Context, meta publisher.Meta, _ *wrapperspb.BytesValue) error {
			return toSink(sink)(ctx, meta)
		})
		return Subject{Publisher: mux}
	}})
}

// The sink under test is that of the second message; it has to make up for what comes with it.
func TestMap(t *testing.T) {
	Run(t, of(func(deliver func(context.Context, publisher.Event) error) publisher.Publisher {
		second := publisher.Func(func(ctx context.Context, e publisher.Event) error {
			switch e.Output {
			case 1:
				return nil
			case 2:
				e.Type = strings.TrimPrefix(e.Type, "com.example.")
				e.Output = 0
				return deliver(ctx, e)
			}
			return fmt.Errorf("event %q has output %d", e.ID(), e.Output)
		})
		return publisher.Map(func(e publisher.Event) ([]publisher.Message, error) {
			m := publisher.Unchanged(e)
			m.Type = "com.example." + m.Type
			return []publisher.Message{{Type: "first"}, m}, nil
		})(second)
	}))
}

func TestUpcasting(t *testing.T) {
	h := of(func(deliver func(context.Context, publisher.Event) error) publisher.Publisher {
		return publisher.Upcasting(publisher.UpcastName("old", "test.v1.Happened"))(publisher.Func(deliver))
	})
	Run(t, h)
}

func TestAllMiddleware(t *testing.T) {
	mapping := publisher.NewMapping(publisher.Pass)
	h := of(func(deliver func(context.Context, publisher.Event) error) publisher.Publisher {
		return publisher.Chain(publisher.Concurrent(4, deliver),
			publisher.Log(slog.New(slog.DiscardHandler)),
			publisher.Timeout(time.Hour),
			publisher.Upcasting(publisher.UpcastName("old", "new")),
			publisher.Map(mapping.Map),
			publisher.RateLimit(1e6, 7),
		)
	})
	h.Facts.Concurrency = 4
	Run(t, h)
}

// pipeline sends all of a batch before it looks at an answer, and leaves waves to the publisher actor.
type pipeline struct {
	deliver func(context.Context, publisher.Event) error
}

func (pipeline) OrderedWithinBatch() bool { return false }

func (p pipeline) Publish(ctx context.Context, events []publisher.Event) error {
	answers := make([]chan error, len(events))
	for i, e := range events {
		answers[i] = make(chan error, 1)
		go func() { answers[i] <- p.deliver(ctx, e) }()
	}
	var batch publisher.BatchError
	for i := range events {
		err := <-answers[i]
		for _, f := range publisher.Failures(err, 1) {
			f.Index = i
			batch.Add(f)
		}
	}
	return batch.OrNil()
}

func TestAPublisherThatWantsWaves(t *testing.T) {
	for name, m := range map[string]publisher.Middleware{
		"alone":   func(p publisher.Publisher) publisher.Publisher { return p },
		"limited": publisher.RateLimit(1e6, 3),
		"mapped":  publisher.Map(publisher.NewMapping(publisher.Pass).Map),
	} {
		t.Run(name, func(t *testing.T) {
			h := of(func(deliver func(context.Context, publisher.Event) error) publisher.Publisher {
				return m(pipeline{deliver})
			})
			h.Facts.UnorderedWithinBatch = name != "mapped" // it makes the waves itself
			Run(t, h)
		})
	}
}

// bulk sends a batch in one request, and is given one answer.
type bulk struct {
	deliver func(context.Context, publisher.Event) error
}

func (p bulk) Publish(ctx context.Context, events []publisher.Event) error {
	for _, e := range events {
		err := p.deliver(ctx, e)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("the batch failed: %w", err)
		}
	}
	return nil
}

func TestAPublisherOfWholeBatches(t *testing.T) {
	h := of(func(deliver func(context.Context, publisher.Event) error) publisher.Publisher { return bulk{deliver} })
	h.Facts.AllOrNothing = true
	Run(t, h)
}
