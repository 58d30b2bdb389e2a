package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/ledger"
)

// ownership is when we look next whether the epoch is ours and the journal is the same.
type ownership struct {
	epoch  int64
	lookAt time.Time
	looks  uint64 // that this instance has begun
}

// looked is the answer to a look at the store and the journal.
type looked struct {
	incarnation uint64
	look        uint64 // its number
	epoch       int64
	seen        history // before the look
	err         error   // of the store or the journal, or ErrJournalChanged
}

// ownerLook is how often an owner looks whether it is still the owner, and the journal still the one that it knows.
const ownerLook = 5 * time.Second

func (o *outbox) lookAround(c actor.Context) {
	if o.ledger == nil || o.stopping || o.now().Before(o.owner.lookAt) {
		return
	}
	o.owner.lookAt = o.now().Add(o.settings.ledger.ReadTimeout + ownerLook) // if this one is never answered
	o.owner.looks++
	root, self := c.ActorSystem().Root, c.Self()
	found := looked{incarnation: o.incarnation, look: o.owner.looks, seen: o.history()}
	verified := o.verified
	o.background.run(o.settings.ledger.ReadTimeout, func(ctx context.Context) error {
		saved, err := o.snapshots.Load(ctx, o.key())
		if err != nil {
			return err
		}
		found.epoch = saved.Epoch
		head, err := o.journal.Head(ctx)
		if err != nil {
			return err
		}
		if err := o.checkHistory(ctx, head, found.seen, anchorMayGo); err != nil {
			return err
		}
		// What was read since the last look may be of another history already.
		if verified.anchor != found.seen.anchor {
			if err := o.checkEvent(ctx, verified.anchor, anchorMayGo); err != nil {
				return err
			}
		}
		root.Send(self, found)
		return nil
	}, func(err error) {
		found.err = err
		root.Send(self, found)
	})
}

func (o *outbox) looked(c actor.Context, l looked) {
	latest := l.look == o.owner.looks
	if latest {
		o.owner.lookAt = o.now().Add(ownerLook)
	}
	switch {
	case l.epoch > o.owner.epoch:
		o.step(c, ledger.Fenced{})
	case !latest: // a later look tells more, and no epoch comes back
	case errors.Is(l.err, ErrJournalChanged):
		o.changed(c, o.lastVerified(), l.err)
	case l.err != nil:
		o.log.Warn("cannot look whether another owner has taken over, or the journal has changed", slog.Any("error", l.err))
	case l.epoch < o.owner.epoch:
		o.changed(c, o.lastVerified(), fmt.Errorf("%w: epoch %d was given to this outbox, and the store of its offsets knows only %d", ErrJournalChanged, o.owner.epoch, l.epoch))
	default:
		o.verified = l.seen
	}
}

// lastVerified is what is known to be of the journal as it was.
func (o *outbox) lastVerified() history {
	if now := o.history(); now.anchor == o.verified.anchor {
		return now // it has read on, and nothing of that is in doubt but its end
	}
	return o.verified
}

// changed begins anew, to wait for the right journal if it is still another one than was known.
func (o *outbox) changed(c actor.Context, known history, err error) {
	known.read = max(known.read, o.ledger.Position())
	o.suspend(c, 0, err)
	o.seen = &known // it may be more than the stored offsets tell
}
