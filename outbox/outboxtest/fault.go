package outboxtest

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Fault is something that goes wrong, and with which calls of an operation.
//
// What goes wrong happens in the order of the fields: first the call waits, then it fails. One that only waits goes on
// as if nothing had been. A wait ends early, with the context's error and without an effect, when the call's context
// ends.
type Fault struct {
	// Delay is how long the call waits.
	Delay time.Duration
	// Hang has the call wait until the fault is healed.
	Hang bool
	// Unheard has the call take effect before it fails: its success is not heard of.
	Unheard bool
	// Panic is what the call panics with, unless it is nil.
	Panic any
	// Err is what the call answers. For a publisher, publisher.Permanent, RetryAfter and Unknown mean what they always
	// mean, and any other error, for a whole batch, that nothing is known.
	Err error

	// After is how many calls pass before the fault begins to strike.
	After int
	// Times is how many calls it strikes; 0 means all of them, until it is healed.
	Times int
	// Probability is that with which it strikes a call, up to 1; 0 means always.
	Probability float64

	// PersistenceID limits the fault to calls about this id. Of a batch to be published it then strikes the events of
	// the id, not the others.
	PersistenceID string
	// Type limits the fault to events of this type, for Append and Publish. Of a batch it strikes those events only.
	Type string
	// Event limits the fault, for Publish, to the event in this place of a batch, the first of which is 1. With
	// PersistenceID or Type only those count. The events before it are delivered.
	Event int
}

// String tells what the fault does, in a line.
func (f Fault) String() string {
	var what []string
	add := func(format string, args ...any) { what = append(what, fmt.Sprintf(format, args...)) }
	if f.Event > 0 {
		add("event %d", f.Event)
	}
	if f.PersistenceID != "" {
		add("of %q", f.PersistenceID)
	}
	if f.Type != "" {
		add("of type %q", f.Type)
	}
	if f.After > 0 {
		add("after %d calls", f.After)
	}
	if f.Times > 0 {
		add("%d times", f.Times)
	}
	if f.Probability > 0 {
		add("with probability %v", f.Probability)
	}
	if f.Delay > 0 {
		add("wait %v", f.Delay)
	}
	if f.Hang {
		add("hang")
	}
	if f.Unheard {
		add("take effect")
	}
	if f.Panic != nil {
		add("panic: %v", f.Panic)
	}
	if f.Err != nil {
		add("fail: %v", f.Err)
	}
	return strings.Join(what, ", ")
}

// selective reports whether the fault strikes single events of a batch.
func (f *Fault) selective() bool { return f.PersistenceID != "" || f.Type != "" || f.Event > 0 }

// check returns an error for a fault that could not mean anything, so that no test passes because nothing went wrong.
func (f *Fault) check(op Operation) error {
	fails := f.Err != nil || f.Panic != nil
	for _, c := range []struct {
		bad     bool
		problem string
	}{
		{!fails && !f.Hang && f.Delay == 0, "it does nothing: give it an Err, a Panic, a Delay or Hang"},
		{f.Unheard && !fails, "it is Unheard, but has neither Err nor Panic"},
		{f.Delay != 0 && f.Hang, "it has both Delay and Hang"},
		{f.Panic != nil && f.Err != nil, "it has both Err and Panic"},
		{f.Delay < 0 || f.After < 0 || f.Times < 0 || f.Event < 0, "a number is negative"},
		{f.Probability < 0 || f.Probability > 1, "its Probability is not between 0 and 1"},
		{f.PersistenceID != "" && !op.concernsOneID(), "its calls have no PersistenceID"},
		{f.Type != "" && !op.hasEventType(), "its calls have no event Type"},
		{f.Event > 0 && op != Publish, "only Publish has batches to choose an Event of"},
		{f.Panic != nil && op == Notify, "a panic in a journal's own goroutine would end the process: use Err, and the notification is lost"},
	} {
		if c.bad {
			return errors.New(c.problem)
		}
	}
	return nil
}
