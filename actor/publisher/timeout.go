package publisher

import (
	"context"
	"fmt"
	"time"
)

// Timeout bounds each call of Publish: its ctx ends after d at the latest. It suits a d that is well below the outbox's
// publish timeout, which bounds the same call, and means the batch as a whole.
//
// To return when ctx ends stays the publisher's promise. Timeout does not leave a call that breaks it behind in a
// goroutine, where nobody would know of it: it waits for it, and the outbox, whose own timeout then takes the outcome
// for unknown, can name it when it stops; see [Abandoned].
//
// A d of 0 or less is a mistake in the program, and panics.
func Timeout(d time.Duration) Middleware {
	if d <= 0 {
		panic(fmt.Sprintf("publisher.Timeout: the time is %v, it must be positive", d))
	}
	return around(func(ctx context.Context, p Publisher, events []Event) error {
		bounded, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		err := p.Publish(bounded, events)
		if err != nil && bounded.Err() != nil && ctx.Err() == nil {
			return fmt.Errorf("the batch was not published within %v: %w", d, err)
		}
		return err
	})
}
