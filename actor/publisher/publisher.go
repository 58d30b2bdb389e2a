package publisher

import "context"

// Publisher delivers batches of events to a sink.
//
// Publish is called concurrently, by several lanes and with several batches in flight in each. All events of one
// persistence id in a batch are in ascending order (those that [Map] has made of one event, by their numbers), and
// while a batch is unanswered no other batch carries the same ids. After a timeout, a crash or a restart the same
// events come again, possibly while an earlier call, whose ctx has ended, has not returned yet.
//
// An implementation delivers each id's events in order and never sends an event of an id once an earlier one of
// the same id has failed; if it cannot keep that within a batch, it says so with [BatchOrdering]. It does not
// retry on its own beyond ctx, and it returns soon after ctx has ended. It must not modify events, but may keep
// them. A panic restarts the publisher actor and leaves the outcome of its unanswered batches unknown.
//
// The error says what became of the batch:
//
//   - nil: every event was delivered.
//   - a [*BatchError], wrapped or not: what failed, event by event; every event that it does not name was
//     delivered.
//   - [Permanent]: for a batch of one event, the sink will never take it. For a longer batch it cannot be told
//     which event is to blame, and giving up on all of them would lose good ones: all are unknown, so they are
//     sent again one id at a time, and then the rejection finds its event.
//   - [RetryAfter]: the sink has taken none of the events and asks to wait.
//   - any other error: whether any event was delivered is unknown.
type Publisher interface {
	Publish(ctx context.Context, events []Event) error
}
