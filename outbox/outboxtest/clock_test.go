package outboxtest_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/outboxtest"
)

// However long a publish takes on a slow machine, or under a debugger, its time is up when it is by the kit's clock.
func TestAPublishHasNoOtherTimeThanTheKits(t *testing.T) {
	const timeout = 120 * time.Millisecond
	var deadlines []bool
	kit := outboxtest.New(t, outboxtest.WithOutboxOptions(outbox.WithPublishTimeout(timeout)),
		outboxtest.WithPublisher(publisher.Func(func(ctx context.Context, _ publisher.Event) error {
			_, has := ctx.Deadline()
			deadlines = append(deadlines, has)
			return nil
		})))
	kit.Faults().Inject(outboxtest.Publish, outboxtest.Fault{Hang: true, Times: 1})
	order := kit.Spawn("order-17", NewOrder)
	kit.Request(order, PlaceOrder{Customer: "Ada"})
	kit.Tick()
	kit.Advance(timeout * 4 / 5)
	assert.EqualValues(t, 1, kit.Status().GetInFlight(), "it still hangs")
	kit.Advance(timeout / 5)
	assert.Zero(t, kit.Status().GetInFlight(), "its time is up")
	kit.Flush()
	assert.Equal(t, []bool{false}, deadlines)
}
