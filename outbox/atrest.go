package outbox

import (
	"github.com/asynkron/protoactor-go/actor"

	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/local"
)

// tellRest answers a test that waits until there is nothing left to do before time passes.
func (o *outbox) tellRest(c actor.Context) {
	a := local.Answer{Incarnation: o.incarnation, Handled: o.handled}
	if o.background != nil {
		a.Calls = int(o.background.count.Load())
	}
	if o.ledger != nil {
		a.InFlight = o.ledger.Status(0).InFlight
	}
	if sender := c.Sender(); sender != nil {
		c.Send(sender, a)
	}
}

// steadied is the definition for an outbox whose waits are not left to chance.
func (d *definition) steadied() *definition {
	s := *d
	s.ledger.Jitter = func() float64 { return 1 }
	return &s
}
