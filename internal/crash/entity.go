package crash

import (
	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/persistence"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
)

// persist asks an entity to persist a payload. The answer is an Ack.
type persist struct{ payload string }

// entity is a persistent actor without any state but its stream.
type entity struct{ persistence.Mixin }

func newEntity() actor.Actor { return &entity{} }

// Receive implements actor.Actor.
func (e *entity) Receive(c actor.Context) {
	if m, ok := c.Message().(*persist); ok {
		e.PersistReceive(wrapperspb.String(m.payload))
		c.Respond(Ack{PersistenceID: journal.PersistenceID(c), SequenceNumber: journal.LastSequence(c), Payload: m.payload})
	}
}
