package outbox

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/ledger"
)

// lostTick is how long after its time a message to itself counts as lost: a scheduler, a mailbox or middleware may drop
// it, or panic at it, and the outbox would stand still without a word.
const lostTick = 5 * time.Second

// armSpare replaces the spare tick, which is due some time after whatever is waited for.
func (o *outbox) armSpare(c actor.Context, d time.Duration) {
	if o.spare != nil {
		o.spare()
	}
	o.spare = o.scheduler.SendOnce(d, c.Self(), spareTick{o.incarnation})
	o.spareAt = time.Time{}
}

// goOn does what the message that was lost would have done.
func (o *outbox) goOn(c actor.Context) {
	o.spare, o.spareAt = nil, time.Time{}
	if o.stopping {
		return
	}
	if o.timer != nil {
		o.timer()
		o.timer = nil
	}
	if o.ledger == nil {
		o.tryName(c)
		return
	}
	o.step(c, ledger.Tick{})
	o.lookAround(c)
}
