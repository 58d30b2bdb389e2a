package publisher

import (
	"context"
	"errors"
	"fmt"
)

// Func makes a [Publisher] of a function that delivers one event. It is called for the events of a batch one
// after another; several batches are published at the same time, so it must be safe for concurrent use.
//
// What fn returns says what became of its event:
//
//   - nil: delivered.
//   - [Permanent]: the sink will never take it.
//   - any other error: to be retried, after at least the wait of [RetryAfter].
//   - [Unknown], and any error but Permanent and RetryAfter once ctx has ended: it may have been delivered.
//
// A failure holds back only its own id: the later events of that id in the batch are not tried, the others are.
// Once ctx has ended nothing more is tried. Func(nil) is a nil Publisher, which [Props] makes an error of.
func Func(fn func(ctx context.Context, e Event) error) Publisher {
	if fn == nil {
		return nil
	}
	return sequential(fn)
}

type sequential func(ctx context.Context, e Event) error

func (fn sequential) Publish(ctx context.Context, events []Event) error {
	var batch BatchError
	failed := map[string]bool{}
	for i := range events {
		if err := ctx.Err(); err != nil {
			batch.Add(notTried(i, err))
			continue
		}
		id := events[i].PersistenceID
		if failed[id] {
			batch.Add(notTried(i, errEarlierFailed))
			continue
		}
		if err := fn(ctx, events[i]); err != nil {
			failed[id] = true
			batch.Add(failureOf(ctx, i, err))
		}
	}
	return batch.OrNil()
}

var errEarlierFailed = errors.New("an earlier event of the same id failed")

func notTried(index int, why error) Failure {
	return Failure{Index: index, Err: fmt.Errorf("%w: %w", ErrNotTried, why)}
}

// failureOf reads what a function that delivers a single event has returned.
func failureOf(ctx context.Context, index int, err error) Failure {
	var v *verdict
	switch {
	case errors.As(err, &v):
		return Failure{Index: index, Outcome: v.outcome, RetryAfter: v.retryAfter, Err: err}
	case ctx.Err() != nil:
		// The function was interrupted; what it says about the event cannot be taken for a definite no.
		return Failure{Index: index, Outcome: OutcomeUnknown, Err: err}
	default:
		return Failure{Index: index, Outcome: OutcomeRetry, Err: err}
	}
}
