package outboxtest

import "context"

// hang is a call that waits for its fault to be healed, or for its context to end.
type hang struct {
	op     Operation
	events int
	over   func() bool
}

// hangs records a call that hangs, until the function that it returns is called.
func (f *Faults) hangs(ctx context.Context, in *injection, events int) (ended func()) {
	h := &hang{op: in.op, events: events, over: func() bool { return ctx.Err() != nil || in.isHealed() }}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hung[h] = struct{}{}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.hung, h)
	}
}

// hanging returns how many events are in publishes that hang, and how many of an outbox's calls into its journal do. A
// call that is about to go on does not count.
func (f *Faults) hanging() (events, calls int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for h := range f.hung {
		switch {
		case h.over():
		case h.op == Publish:
			events += h.events
		case h.op.isAnOutboxs():
			calls++
		}
	}
	return events, calls
}

// isAnOutboxs reports whether it is outboxes that make such calls.
func (o Operation) isAnOutboxs() bool {
	switch o {
	case ReadFeed, ReadByID, LastSequence, Head, OffsetAt, Acquire, Load, Save:
		return true
	}
	return false
}
