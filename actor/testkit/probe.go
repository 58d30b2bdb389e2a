package testkit

import (
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// TestProbe is an actor that records the messages which it is sent, for a test to look at. It may be spawned
// several times, for example as every child of an actor that is tested: all of them record into the one probe.
// Its methods, Receive apart, are for the test, and are safe for concurrent use.
//
// It records everything except the messages about its own lifecycle (Started, Stopping, Stopped, Restarting).
type TestProbe struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each change
	pending []received
	current received        // the message that was got last
	started []actor.Context // of each actor, in the order in which they started
}

// received is a message, with who sent it and which of the probe's actors got it.
type received struct {
	message any
	sender  *actor.PID
	context actor.Context
}

// NewTestProbe returns a probe that is not spawned yet; see [TestProbe.Spawn] and [Props].
func NewTestProbe() *TestProbe {
	return &TestProbe{changed: make(chan struct{})}
}

// Props returns props under which an actor that is tested, or the test, can spawn the probe.
func Props(probe *TestProbe, opts ...actor.PropsOption) *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor { return probe }, opts...)
}

// Spawn spawns the probe as a root actor and returns its PID, once it has started.
func (p *TestProbe) Spawn(system *actor.ActorSystem) *actor.PID {
	pid := system.Root.Spawn(Props(p))
	p.await(0, func() bool {
		return slices.ContainsFunc(p.started, func(c actor.Context) bool { return c.Self().Equal(pid) })
	})
	return pid
}

// Receive makes the probe an actor; it is called by Proto.Actor.
func (p *TestProbe) Receive(c actor.Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch m := c.Message().(type) {
	case *actor.Started:
		p.started = append(p.started, c)
	case *actor.Stopping, *actor.Stopped, *actor.Restarting:
		return
	default:
		p.pending = append(p.pending, received{message: m, sender: c.Sender(), context: c})
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

// Context returns the context of the probe's actor that started last, waiting for the first to start; it panics if
// none does. Outside of the actor only what does not depend on a message may be used of it: Self, Send, Request,
// RequestFuture, Watch and the like.
func (p *TestProbe) Context() actor.Context {
	var last actor.Context
	if !p.await(0, func() bool {
		if len(p.started) > 0 {
			last = p.started[len(p.started)-1]
		}
		return last != nil
	}) {
		panic("testkit: the probe has not been started: spawn it first")
	}
	return last
}

// PID returns the PID of the probe's actor that started last, like [TestProbe.Context].
func (p *TestProbe) PID() *actor.PID { return p.Context().Self() }

// Sender returns the sender of the message that was got last; nil if it had none.
func (p *TestProbe) Sender() *actor.PID {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.current.sender
}

// GetNextMessage removes the oldest message that was not got yet and returns it, waiting for one up to timeAllowed;
// 0 means [DefaultTimeout].
func (p *TestProbe) GetNextMessage(timeAllowed time.Duration) (any, error) {
	var message any
	ok := p.await(timeAllowed, func() bool {
		if len(p.pending) == 0 {
			return false
		}
		p.take()
		message = p.current.message
		return true
	})
	if !ok {
		return nil, fmt.Errorf("no message arrived within %v", orDefault(timeAllowed))
	}
	return message, nil
}

// take makes the oldest pending message the current one.
func (p *TestProbe) take() { p.current, p.pending = p.pending[0], p.pending[1:] }

// ExpectNoMessage returns an error that tells the message if one is there or arrives within timeAllowed; 0 means
// 100 ms. The message stays.
func (p *TestProbe) ExpectNoMessage(timeAllowed time.Duration) error {
	if timeAllowed <= 0 {
		timeAllowed = 100 * time.Millisecond
	}
	var message any
	if p.await(timeAllowed, func() bool {
		if len(p.pending) == 0 {
			return false
		}
		message = p.pending[0].message
		return true
	}) {
		return fmt.Errorf("no message was expected, but there is a %T: %v", message, message)
	}
	return nil
}

// Send sends a message from the probe, without a sender.
func (p *TestProbe) Send(target *actor.PID, message any) { p.Context().Send(target, message) }

// Request sends a message with the probe as its sender, so that the answer arrives at the probe.
func (p *TestProbe) Request(target *actor.PID, message any) { p.Context().Request(target, message) }

// Respond sends a message to the sender of the message that was got last, with the actor that got it as its
// sender. It does nothing if there was no sender.
func (p *TestProbe) Respond(message any) {
	p.mu.Lock()
	current := p.current
	p.mu.Unlock()
	if current.sender != nil {
		current.context.Request(current.sender, message)
	}
}

// await waits until look, which is called with the lock held, returns true, and reports whether it did in time.
func (p *TestProbe) await(timeAllowed time.Duration, look func() bool) bool {
	timer := time.NewTimer(orDefault(timeAllowed))
	defer timer.Stop()
	for {
		p.mu.Lock()
		found, changed := look(), p.changed
		p.mu.Unlock()
		if found {
			return true
		}
		select {
		case <-changed:
		case <-timer.C:
			return false
		}
	}
}

// GetNextMessageOf is [TestProbe.GetNextMessage] for a message of type T. A message of another type is an error.
func GetNextMessageOf[T any](p *TestProbe, timeAllowed time.Duration) (T, error) {
	var zero T
	message, err := p.GetNextMessage(timeAllowed)
	if err != nil {
		return zero, fmt.Errorf("waiting for a %v: %w", reflect.TypeFor[T](), err)
	}
	typed, ok := message.(T)
	if !ok {
		return zero, fmt.Errorf("a %v was expected, but there is a %T: %v", reflect.TypeFor[T](), message, message)
	}
	return typed, nil
}

// FishForMessage removes messages until one is of type T and when accepts it, and returns that one. It waits up to
// timeAllowed in all; 0 means [DefaultTimeout].
func FishForMessage[T any](p *TestProbe, when func(T) bool, timeAllowed time.Duration) (T, error) {
	var caught T
	ok := p.await(timeAllowed, func() bool {
		for len(p.pending) > 0 {
			p.take()
			if typed, ok := p.current.message.(T); ok && when(typed) {
				caught = typed
				return true
			}
		}
		return false
	})
	if !ok {
		return caught, fmt.Errorf("no %v that is looked for arrived within %v", reflect.TypeFor[T](), orDefault(timeAllowed))
	}
	return caught, nil
}
