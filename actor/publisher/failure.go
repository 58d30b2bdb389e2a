package publisher

import (
	"errors"
	"fmt"
	"time"
)

// ErrNotTried is the reason given for an event that was not sent because an earlier one of the same id failed,
// or because the context ended first.
var ErrNotTried = errors.New("not tried")

// Outcome says what became of an event that is not known to be delivered.
type Outcome int

const (
	// OutcomeUnknown means that the event may or may not have been delivered, or was not tried.
	OutcomeUnknown Outcome = iota
	// OutcomeRetry means that the sink does not have the event; a later attempt may succeed.
	OutcomeRetry
	// OutcomePermanent means that the sink will never take the event.
	OutcomePermanent
)

// String names the outcome in a word.
func (o Outcome) String() string {
	switch o {
	case OutcomeRetry:
		return "retry"
	case OutcomePermanent:
		return "permanent"
	default:
		return "unknown"
	}
}

// Failure is one event of a batch that is not known to be delivered.
type Failure struct {
	// Index is the event's position in the batch.
	Index int
	// Outcome says what became of it; the zero value is unknown.
	Outcome Outcome
	// RetryAfter asks, with OutcomeRetry, to wait at least this long. 0 leaves it to the outbox's backoff.
	RetryAfter time.Duration
	// Destination is where it was to be delivered, for a publisher with several; where it is "", the publisher's
	// [Destinations] says. An outage is recognised for each destination by itself.
	Destination string
	// Err says why. It ends up in logs and in the list of parked events.
	Err error
}

// BatchError says which events of a batch failed, and how. Events that it does not name were delivered. Its zero
// value is ready to use; it is not safe for concurrent use.
type BatchError struct {
	Failures []Failure
}

// Add records a failure. Failures may be added in any order; one index added twice with different outcomes
// counts as unknown.
func (b *BatchError) Add(f Failure) { b.Failures = append(b.Failures, f) }

// OrNil returns b as an error, or nil if it records no failure: what Publish returns.
func (b *BatchError) OrNil() error {
	if b == nil || len(b.Failures) == 0 {
		return nil
	}
	return b
}

// Error tells how many events failed, and the first of them.
func (b *BatchError) Error() string {
	if b == nil || len(b.Failures) == 0 {
		return "no event failed"
	}
	f := b.Failures[0]
	return fmt.Sprintf("%d events of the batch were not published, event %d first: %v: %v",
		len(b.Failures), f.Index, f.Outcome, f.Err)
}

// Unwrap returns the failures' errors.
func (b *BatchError) Unwrap() []error {
	if b == nil {
		return nil
	}
	errs := make([]error, 0, len(b.Failures))
	for _, f := range b.Failures {
		if f.Err != nil {
			errs = append(errs, f.Err)
		}
	}
	return errs
}

// Permanent marks an error as final: the sink will never take the event, however often it is sent, and the
// outbox gives up on it (by default it parks it, and the id goes on). Permanent(nil) is nil.
func Permanent(err error) error { return verdictOf(err, OutcomePermanent, 0) }

// RetryAfter marks an error as temporary, certain that the sink does not have the event, and asks to wait at
// least d before the next attempt. With d of 0 or less the outbox's own backoff decides. RetryAfter(nil, d) is
// nil.
func RetryAfter(err error, d time.Duration) error { return verdictOf(err, OutcomeRetry, max(d, 0)) }

// Unknown marks an error that leaves open whether the event was delivered, such as a timeout after it was sent.
// Unknown(nil) is nil.
func Unknown(err error) error { return verdictOf(err, OutcomeUnknown, 0) }

// verdict is an error that says what became of the event, or events, that it was returned for.
type verdict struct {
	error
	outcome    Outcome
	retryAfter time.Duration
}

func verdictOf(err error, o Outcome, after time.Duration) error {
	if err == nil {
		return nil
	}
	return &verdict{error: err, outcome: o, retryAfter: after}
}

func (v *verdict) Unwrap() error { return v.error }
