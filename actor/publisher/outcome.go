package publisher

import "context"

// Failures reads what Publish has returned for a batch of n events, as an outbox does: it returns the events that are
// not known to be delivered, each once, in the order of the batch. It is for middleware and for tests of publishers.
func Failures(err error, n int) []Failure { return failuresOf(err, n) }

// Deliver has p publish the events as the publisher actor does, and returns those that are not known to be delivered,
// each once, in the order of the batch. If p does not keep the order within a batch, which [BatchOrdering] tells, it
// is called with waves in which each id appears once. A panic of p passes.
func Deliver(ctx context.Context, p Publisher, events []Event) []Failure {
	if len(events) == 0 {
		return nil
	}
	return deliver(ctx, p, events)
}
