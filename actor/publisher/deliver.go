package publisher

import (
	"context"
	"errors"
	"fmt"
)

// deliver has p publish the events and returns those that are not known to be delivered, each once, in order.
func deliver(ctx context.Context, p Publisher, events []Event) []Failure {
	if !ordered(p) {
		return deliverInWaves(ctx, p, events)
	}
	return failuresOf(p.Publish(ctx, events), len(events))
}

// destinationsOf returns where each event is to go, nil if p does not distinguish destinations.
func destinationsOf(p Publisher, events []Event) []string {
	d, ok := As[Destinations](p)
	if !ok {
		return nil
	}
	destinations := make([]string, len(events))
	for i := range events {
		destinations[i] = d.Destination(events[i])
	}
	return destinations
}

// failuresOf reads what Publish has returned for a batch of n events.
func failuresOf(err error, n int) []Failure {
	if err == nil {
		return nil
	}
	if batch, ok := errors.AsType[*BatchError](err); ok {
		if batch == nil {
			return nil
		}
		return batch.normalized(n)
	}

	all := Failure{Outcome: OutcomeUnknown, Err: err}
	var v *verdict
	if errors.As(err, &v) && (v.outcome != OutcomePermanent || n == 1) {
		all.Outcome, all.RetryAfter = v.outcome, v.retryAfter
	}
	return repeat(all, n)
}

func repeat(f Failure, n int) []Failure {
	failures := make([]Failure, n)
	for i := range failures {
		failures[i] = f
		failures[i].Index = i
	}
	return failures
}

// normalized returns the failures of a batch of n events in order, each event at most once.
func (b *BatchError) normalized(n int) []Failure {
	at := make([]*Failure, n)
	count := 0
	for _, f := range b.Failures {
		if f.Index < 0 || f.Index >= n {
			return repeat(Failure{Err: fmt.Errorf(
				"the publisher's answer makes no sense: it names event %d of a batch of %d: %w", f.Index, n, b)}, n)
		}
		switch have := at[f.Index]; {
		case have == nil:
			at[f.Index] = &f
			count++
		case have.Outcome != f.Outcome:
			have.Outcome, have.RetryAfter = OutcomeUnknown, 0
		}
	}
	failures := make([]Failure, 0, count)
	for _, f := range at {
		if f != nil {
			failures = append(failures, *f)
		}
	}
	return failures
}

// deliverInWaves publishes the first event of every id, then the second of every id, and so on.
func deliverInWaves(ctx context.Context, p Publisher, events []Event) []Failure {
	return deliverParts(ctx, p, events, waves(events))
}

// deliverParts publishes a batch in parts, given as positions, one after another. An id that fails in one is left out
// of those after.
func deliverParts(ctx context.Context, p Publisher, events []Event, parts [][]int) []Failure {
	outcomes := make([]*Failure, len(events))
	failed := map[string]bool{}
	for _, part := range parts {
		var batch []Event
		var positions []int
		for _, i := range part {
			switch {
			case failed[events[i].PersistenceID]:
				outcomes[i] = new(notTried(i, errEarlierFailed))
			case ctx.Err() != nil:
				outcomes[i] = new(notTried(i, ctx.Err()))
			default:
				batch = append(batch, events[i])
				positions = append(positions, i)
			}
		}
		if len(batch) == 0 {
			continue
		}
		for _, f := range failuresOf(p.Publish(ctx, batch), len(batch)) {
			f.Index = positions[f.Index]
			outcomes[f.Index] = &f
			failed[events[f.Index].PersistenceID] = true
		}
	}

	var failures []Failure
	for _, f := range outcomes {
		if f != nil {
			failures = append(failures, *f)
		}
	}
	return failures
}

// waves returns the positions of the events, the k-th event of every id in the k-th wave.
func waves(events []Event) [][]int {
	var waves [][]int
	seen := make(map[string]int, len(events))
	for i := range events {
		k := seen[events[i].PersistenceID]
		seen[events[i].PersistenceID] = k + 1
		if k == len(waves) {
			waves = append(waves, nil)
		}
		waves[k] = append(waves[k], i)
	}
	return waves
}
