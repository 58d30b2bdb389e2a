package outbox

import (
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/ctxext"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// life is what survives a supervised restart: it is kept in the actor's context, not in the actor.
type life struct {
	// incarnation counts the instances; messages that an earlier one caused carry its number.
	incarnation uint64
	// epoch that was acquired, 0 before. A restarted outbox proves it instead of taking over from itself.
	epoch int64
	// tried is the last save that was tried. It, or one before it, may still arrive at the store, and the journal may then
	// remove what it does not keep. So the next instance begins from it, unless it is stored already, and goes on above
	// its index, so that it cannot take the one for the other. Without data only the index counts.
	tried query.Saved
	// reserved says that the name is ours.
	reserved bool
	// stopping says that the actor was told to stop. A failure that was on its way then makes the framework restart it
	// all the same.
	stopping bool
	// children counts the publishers spawned, so that no name is used twice.
	children int
	// reason is why the outbox stops itself; nil if it was told to, or drained.
	reason error
}

var lifeID = ctxext.NextContextExtensionID()

// ExtensionID implements ctxext.ContextExtension.
func (*life) ExtensionID() ctxext.ContextExtensionID { return lifeID }

func lifeOf(c actor.Context) *life { return c.Get(lifeID).(*life) }

// reservation occupies a name in an actor system's process registry, which is atomic. It receives nothing.
type reservation struct {
	system *actor.ActorSystem
}

func (r reservation) SendUserMessage(pid *actor.PID, message any) {
	r.system.DeadLetter.SendUserMessage(pid, message)
}

func (r reservation) SendSystemMessage(pid *actor.PID, message any) {
	r.system.DeadLetter.SendSystemMessage(pid, message)
}

func (reservation) Stop(*actor.PID) {}

func (d *definition) reservationID() string { return "$outbox/" + d.name }

func (d *definition) reserve(system *actor.ActorSystem) bool {
	_, ok := system.ProcessRegistry.Add(reservation{system}, d.reservationID())
	return ok
}

func (d *definition) release(system *actor.ActorSystem) {
	system.ProcessRegistry.Remove(actor.NewPID(system.Address(), d.reservationID()))
}

// How long a second outbox of the same name waits for the first to go, and how often it looks.
const (
	nameWait = 10 * time.Second
	nameLook = 50 * time.Millisecond
)

// tryName reserves the name, or looks again later, or gives up.
func (o *outbox) tryName(c actor.Context) {
	l := lifeOf(c)
	if l.reserved || o.reserve(c.ActorSystem()) {
		l.reserved = true
		o.acquire(c, nil)
		return
	}
	if o.now().Sub(o.startedAt) >= nameWait {
		o.giveUp(c, fmt.Errorf("%w: %q; stop that one first, or use another name", ErrNameInUse, o.name))
		return
	}
	o.reason = "waiting for another outbox of this name to stop"
	o.later(c, nameLook, tryName{o.incarnation})
}
