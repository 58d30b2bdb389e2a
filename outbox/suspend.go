package outbox

import (
	"errors"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// Blocked is published on the actor system's event stream when an outbox stops reading and waits, because its journal is
// not the one, or not in the history, that its offsets belong to. It goes on when the right journal is there again, or
// at an operator's word; see [Client.AcceptJournal].
type Blocked struct {
	// Name of the outbox.
	Name string
	// PID of the outbox.
	PID *actor.PID
	// Err wraps ErrJournalChanged and says what is wrong.
	Err error
}

// suspend does what a restart by a supervisor does, without one: everything that is under way ends, and after a while the
// outbox begins anew with the offsets that are stored.
func (o *outbox) suspend(c actor.Context, wait time.Duration, why error) {
	o.log.Warn("the outbox begins anew with its stored offsets", slog.Any("reason", why), slog.Duration("in", wait))
	if unreturned := o.halt(); unreturned > 0 {
		o.log.Warn("calls into the journal have not returned", slog.Int("calls", unreturned))
	}
	o.refusePending(c, outboxv1.Code_CODE_UNAVAILABLE, why)
	o.commands.pending = make(map[uint64]pendingCommand)
	for _, child := range o.publishers.lanes {
		if child.pid != nil {
			c.Stop(child.pid)
		}
	}
	l := lifeOf(c)
	l.incarnation++
	o.incarnation = l.incarnation
	o.ledger, o.owner = nil, ownership{epoch: o.owner.epoch}
	o.background = newBackground()
	o.doubt, o.ahead = doubt{}, nil
	o.woken.Store(false)
	o.reason = why.Error()
	if lifeOf(c).reserved {
		o.later(c, wait, retry{o.incarnation})
	} else {
		o.later(c, wait, tryName{o.incarnation})
	}
}

// revive begins anew after a message that panicked, where the supervisor said Resume: what is in memory may be half done.
func (o *outbox) revive(c actor.Context) {
	if o.ledger != nil && o.now().Sub(o.runningSince) > goodWhile {
		o.revivals = 0
	}
	o.crashed = false
	o.revivals++
	if o.background == nil { // it has not even started
		o.start(c)
		return
	}
	o.suspend(c, o.settings.ledger.Backoff(o.revivals), errors.New("it panicked, and its supervisor let it go on"))
}

// block waits for the right journal or an operator, and says so.
func (o *outbox) block(c actor.Context, err error) {
	first := o.blocked == nil
	o.blocked, o.reason = err, err.Error()
	if first {
		o.log.Error("the outbox reads nothing more: it waits for the right journal, or for an operator's AcceptJournal", slog.Any("reason", err))
		for _, e := range o.commands.early {
			o.answer(c, e.sender, outboxv1.Code_CODE_UNAVAILABLE, err)
		}
		o.commands.early = nil
		o.protect("event stream", func() {
			c.ActorSystem().EventStream.Publish(&Blocked{Name: o.name, PID: c.Self(), Err: err})
		})
	}
	o.later(c, ownerLook, retry{o.incarnation})
}
