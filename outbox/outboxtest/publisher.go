package outboxtest

import (
	"context"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
)

// Publisher returns p as the faults let it be seen.
//
// A fault that is limited to some events of a batch has the others delivered, but for those that come after it in the
// same persistence id; for that, p is then called with one event at a time.
func (f *Faults) Publisher(p publisher.Publisher) publisher.Publisher {
	return &faultyPublisher{publisher: p, faults: f}
}

type faultyPublisher struct {
	publisher publisher.Publisher
	faults    *Faults
}

// Unwrap implements publisher.Wrapper: the capabilities are those of the publisher.
func (w *faultyPublisher) Unwrap() publisher.Publisher { return w.publisher }

func (w *faultyPublisher) Publish(ctx context.Context, events []publisher.Event) error {
	var struck map[string]bool // the events' IDs
	in := w.faults.strike(call{Publish, func(f *Fault) bool {
		struck = f.among(events)
		return len(struck) > 0
	}})
	switch {
	case in == nil:
		return w.publisher.Publish(ctx, events)
	case !in.selective():
		struck = nil // all at once
	}
	if err := w.faults.wait(ctx, in, len(events)); err != nil {
		return err
	}
	if struck == nil {
		return in.around(func() error { return w.publisher.Publish(ctx, events) })
	}
	// Func has the rules: what failed holds back only its own id, and what was not tried is said to be so.
	return publisher.Func(func(ctx context.Context, e publisher.Event) error {
		deliver := func() error { return alone(w.publisher.Publish(ctx, []publisher.Event{e})) }
		if !struck[e.ID()] {
			return deliver()
		}
		err := in.around(deliver)
		if in.Unheard {
			return publisher.Unknown(err)
		}
		return err
	}).Publish(ctx, events)
}

// among returns the IDs of the events that the fault would strike.
func (f *Fault) among(events []publisher.Event) map[string]bool {
	struck := make(map[string]bool)
	place := 0
	for i := range events {
		e := &events[i]
		if (f.PersistenceID != "" && f.PersistenceID != e.PersistenceID) || (f.Type != "" && f.Type != e.Type) {
			continue
		}
		if place++; f.Event == 0 || f.Event == place {
			struck[e.ID()] = true
		}
	}
	return struck
}

// alone says about its event what a batch of one said about it.
func alone(err error) error {
	for _, f := range publisher.Failures(err, 1) {
		switch f.Outcome {
		case publisher.OutcomePermanent:
			return publisher.Permanent(err)
		case publisher.OutcomeRetry:
			return publisher.RetryAfter(err, f.RetryAfter)
		default:
			return publisher.Unknown(err)
		}
	}
	return nil
}
