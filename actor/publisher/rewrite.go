package publisher

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// rewriting is a publisher in front of which events become other events: none, one or many for each. What then fails
// is translated back, so that its answers are about the events it was given.
type rewriting struct {
	inner Publisher
	// become returns what the event becomes, always the same for the same event.
	become func(e Event) ([]Event, error)
	// concerns reports whether an event becomes another one; nil means that each may become any number of them, which
	// are numbered.
	concerns func(e *Event) bool
}

// numbers reports whether an event becomes numbered outputs, and not just another event.
func (r *rewriting) numbers() bool { return r.concerns == nil }

func (r *rewriting) Unwrap() Publisher { return r.inner }

// OrderedWithinBatch implements [BatchOrdering]. Where an event may become several of its id, waves have to be made
// behind it, and that is done here.
func (r *rewriting) OrderedWithinBatch() bool { return r.numbers() || ordered(r.inner) }

// Destination implements [Destinations]: an event goes where the first that it becomes goes.
func (r *rewriting) Destination(e Event) string {
	d, ok := As[Destinations](r.inner)
	if !ok {
		return ""
	}
	outputs, err := r.become(e)
	if err != nil || len(outputs) == 0 {
		return ""
	}
	return d.Destination(outputs[0])
}

func (r *rewriting) Publish(ctx context.Context, events []Event) error {
	if !r.numbers() && !slices.ContainsFunc(events, func(e Event) bool { return r.concerns(&e) }) {
		return r.inner.Publish(ctx, events)
	}
	b := rewrittenBatch{failures: make([]*Failure, len(events))}
	failed := map[string]bool{}
	for i := range events {
		id := events[i].PersistenceID
		if failed[id] {
			b.failures[i] = new(notTried(i, errEarlierFailed))
			continue
		}
		outputs, err := r.become(events[i])
		if err != nil {
			b.failures[i] = new(failureOf(ctx, i, err))
			failed[id] = true
			continue
		}
		for range outputs {
			b.source = append(b.source, i)
		}
		b.outputs = append(b.outputs, outputs...)
	}
	if len(b.outputs) > 0 {
		r.deliver(ctx, &b)
	}
	return b.result(events)
}

// rewrittenBatch is a batch, and what it has become.
type rewrittenBatch struct {
	outputs  []Event
	source   []int      // source[k] is the position of the event that outputs[k] was made of; it rises
	failures []*Failure // of the events; nil is none
}

// deliver publishes the outputs and notes what became of their events.
func (r *rewriting) deliver(ctx context.Context, b *rewrittenBatch) {
	var failures []Failure
	position := b.source // of the event, by the failure's index
	if !ordered(r.inner) {
		failures = deliverInWaves(ctx, r.inner, b.outputs)
	} else {
		err := r.inner.Publish(ctx, b.outputs)
		if _, named := errors.AsType[*BatchError](err); !named {
			// About the batch as a whole: count its events, not what they became. If it was only one, a rejection
			// has found the one to blame.
			position = slices.Compact(slices.Clone(b.source))
		}
		failures = failuresOf(err, len(position))
	}
	d, routes := As[Destinations](r.inner)
	for _, f := range failures {
		k := f.Index
		f.Index = position[k]
		if b.failures[f.Index] != nil {
			continue // the outputs are in order: the first that failed is what the event waits for
		}
		if later := len(position) == len(b.outputs) && k > 0 && b.source[k-1] == b.source[k]; later && routes {
			f.Destination = "" // it is not where the event goes
		}
		if b.isOneOfSeveral(k) && len(position) == len(b.outputs) && f.Err != nil {
			f.Err = fmt.Errorf("message %d, %q: %w", b.outputs[k].Output, b.outputs[k].Type, f.Err)
		}
		b.failures[f.Index] = &f
	}
	if routes {
		for k, i := range b.source {
			if first := k == 0 || b.source[k-1] != i; first && b.failures[i] != nil && b.failures[i].Destination == "" {
				b.failures[i].Destination = d.Destination(b.outputs[k])
			}
		}
	}
}

// isOneOfSeveral reports whether the event of outputs[k] has become others besides.
func (b *rewrittenBatch) isOneOfSeveral(k int) bool {
	return k > 0 && b.source[k-1] == b.source[k] || k+1 < len(b.source) && b.source[k+1] == b.source[k]
}

// result returns the failures. Whatever the sink was not asked about, because the event became nothing or failed to
// become something, waits for the events of its id that failed before it.
func (b *rewrittenBatch) result(events []Event) error {
	asked := make([]bool, len(events))
	for _, i := range b.source {
		asked[i] = true
	}
	var batch BatchError
	failed := map[string]bool{}
	for i := range events {
		id := events[i].PersistenceID
		f := b.failures[i]
		if failed[id] && !asked[i] {
			f = new(notTried(i, errEarlierFailed))
		}
		if f != nil {
			failed[id] = true
			batch.Add(*f)
		}
	}
	return batch.OrNil()
}
