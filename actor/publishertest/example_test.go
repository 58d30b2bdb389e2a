package publishertest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/publishertest"
)

// A publisher joins the suite with a test such as this one.
func ExampleRun() {
	_ = func(t *testing.T) {
		publishertest.Run(t, publishertest.Harness{
			New: func(t testing.TB, sink *publishertest.Sink) publishertest.Subject {
				return publishertest.Subject{Publisher: publisher.Func(func(ctx context.Context, e publisher.Event) error {
					switch sink.Take(ctx, publishertest.Delivery{ID: e.ID(), Type: e.Type, Data: e.Data}) {
					case publishertest.Accept:
						return nil
					case publishertest.Reject:
						return publisher.Permanent(errors.New("rejected"))
					case publishertest.Busy:
						return errors.New("busy")
					default: // publishertest.Silence
						return publisher.Unknown(errors.New("no answer"))
					}
				})}
			},
			Facts: publishertest.Facts{Type: true}, // neither content types nor metadata reach the sink
		})
	}
	// Output:
}
