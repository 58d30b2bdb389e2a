package journal

import (
	"fmt"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/persistence"
)

// mixinContext is the actor's context as its Mixin sees it.
type mixinContext struct {
	actor.Context
	stream *stream
	self   *actor.PID
	actor  actor.Actor
	asked  bool
}

// Self is where the Mixin takes the persistence id from.
func (c *mixinContext) Self() *actor.PID { return c.self }

// Actor panics when it is called again. The framework calls it once to see whether the actor has a Mixin, which
// can only be seen from within its package, and again to say that it has none, just before it ends the process.
func (c *mixinContext) Actor() actor.Actor {
	if c.asked {
		must("start the actor", c.stream.id, 0, fmt.Errorf("%w: embed it in %T, or leave out journal.Using", ErrNotPersistent, c.actor))
	}
	c.asked = true
	return c.actor
}

// Receive delivers what the Mixin has for the actor: its snapshot, its events, ReplayComplete, and, in the middle
// of the message by which the actor persists an event, the request for a snapshot.
func (c *mixinContext) Receive(env *actor.MessageEnvelope) {
	request, ok := env.Message.(*persistence.RequestSnapshot)
	switch {
	case !ok:
		c.Context.Receive(env)
	case c.stream.last == 1:
		// The framework asks after the event with index 0, whatever the interval.
	default:
		// Not by Context.Receive, which would make the request the current message and then leave none.
		c.actor.Receive(&requestContext{Context: c.Context, request: request})
	}
}

// requestContext is the actor's context while it handles a request for a snapshot that has no sender. Only what
// brings a message back later (Stash, ReenterAfter) still means the message that is being handled around it.
type requestContext struct {
	actor.Context
	request *persistence.RequestSnapshot
}

func (c *requestContext) Message() any { return c.request }

func (c *requestContext) MessageHeader() actor.ReadonlyMessageHeader { return actor.EmptyMessageHeader }

func (c *requestContext) Sender() *actor.PID { return nil }

// Respond has nobody to respond to.
func (c *requestContext) Respond(response any) {
	c.ActorSystem().DeadLetter.SendUserMessage(nil, response)
}

func (c *requestContext) Forward(pid *actor.PID) { c.Send(pid, c.request) }
