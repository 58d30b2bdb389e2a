package journal

import (
	"errors"
	"fmt"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/persistence"
)

// Using returns the receiver middleware that keeps an actor's events and snapshots in a journal, in place of
// Proto.Actor's persistence.Using. The actor embeds persistence.Mixin, and otherwise uses it as ever.
//
// Beyond what persistence.Using does, it
//   - stores the actor under the id that [WithID] gives, whatever its PID, which Mixin.Name then returns too;
//   - adds the trace context of the message that caused an event (its traceparent and tracestate headers), and
//     what [WithMetadata] says, to the event's metadata;
//   - asks for snapshots only where [WithSnapshotInterval] says so, never after the very first event, and without
//     taking from the actor the message that it is handling, and its sender;
//   - refuses an actor that does not embed the Mixin, or whose id is invalid, by a panic with an [*Error] for its
//     supervisor, and so never ends the process.
//
// As with persistence.Using, recovery follows Started, also after a restart, and is delivered to the actor without
// passing through other middleware. A request for a snapshot goes straight to the actor, too.
func Using(store Store, opts ...UsingOption) actor.ReceiverMiddleware {
	o := defaultUsingOptions()
	for _, opt := range opts {
		opt.applyToUsing(&o)
	}
	p := newProvider(store, o.provider)

	return func(next actor.ReceiverFunc) actor.ReceiverFunc {
		return func(c actor.ReceiverContext, env *actor.MessageEnvelope) {
			switch env.Message.(type) {
			case *actor.Started:
				s := start(c, p, o)
				next(c, env)
				s.recover(env)
			case *actor.Restarting, *actor.Stopping, *actor.Stopped:
				defer forgiveUnrecovered(c)
				next(c, env)
			default:
				next(c, env)
			}
		}
	}
}

// start binds the actor to its stream. Whether the id is valid is for the store to say, at the first call: by then
// the Mixin has its provider, so that an actor which is refused, and tries to persist something on its way to the
// end, finds mustHaveRecovered and not nil.
func start(rc actor.ReceiverContext, p *provider, o usingOptions) *stream {
	c, ok := rc.(actor.Context)
	if !ok {
		must("start the actor", rc.Self().Id, 0, fmt.Errorf(
			"a receiver middleware before Using hands on a %T, which is not an actor.Context", rc))
	}
	// A Mixin that is used again after a restart, because its producer returns the same actor, keeps the
	// provider that it was given first.
	s := streamOf(c)
	if s == nil {
		s = new(stream)
	}
	*s = stream{provider: p, c: c, id: o.id(c), metadata: o.metadata}
	c.Set(s)
	return s
}

// recover has the framework give the Mixin its provider and replay what is stored.
func (s *stream) recover(env *actor.MessageEnvelope) {
	alreadyStarted := func(actor.ReceiverContext, *actor.MessageEnvelope) {}
	persistence.Using(s)(alreadyStarted)(&mixinContext{
		Context: s.c,
		stream:  s,
		self:    &actor.PID{Address: s.c.Self().Address, Id: s.id},
		actor:   s.c.Actor(),
	}, env)
}

// forgiveUnrecovered lets an actor that has not recovered come to its end although it tried to persist something
// on the way. That was refused, and the supervisor knows already that the recovery has failed; with another
// failure now, the actor would never end.
func forgiveUnrecovered(c actor.ReceiverContext) {
	if s := streamOf(c); s != nil && s.recovered {
		return
	}
	if r := recover(); r != nil {
		if err, ok := r.(error); !ok || !errors.Is(err, ErrNotRecovered) {
			panic(r)
		}
	}
}
