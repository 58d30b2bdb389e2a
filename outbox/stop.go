package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// Bounds of what a stop waits for. The framework's own StopFuture gives up after 10 s.
const (
	endWait   = 2 * time.Second
	finalSave = 2 * time.Second
)

// giveUp stops the outbox for a reason; nil after a drain.
func (o *outbox) giveUp(c actor.Context, reason error) {
	if o.stopping {
		return
	}
	o.stopping = true
	lifeOf(c).reason = reason
	if reason != nil {
		o.log.Error("outbox stops", slog.Any("reason", reason))
	}
	c.Stop(c.Self())
}

// quiet ends everything, for good.
func (o *outbox) quiet() (unreturned int) {
	o.stopping = true
	return o.halt()
}

// halt ends everything that could still cause a message.
func (o *outbox) halt() (unreturned int) {
	if o.timer != nil {
		o.timer()
		o.timer = nil
	}
	if o.spare != nil {
		o.spare()
		o.spare, o.spareAt = nil, time.Time{}
	}
	for _, child := range o.publishers.lanes {
		if child.respawn != nil {
			child.respawn()
		}
	}
	if o.background == nil {
		return 0
	}
	if o.unnotify != nil {
		// Not here: a dispatcher may run this mailbox within the journal's call of the subscriber, which cancelling
		// waits for.
		unnotify := o.unnotify
		o.background.run(endWait, func(context.Context) error {
			o.protect("end of the subscription to the journal", unnotify)
			return nil
		}, func(error) {})
		o.unnotify = nil
	}
	return o.background.end(endWait)
}

// restarting: this instance has failed. The next one begins with the offsets that are stored; saving now could save
// whatever was wrong.
func (o *outbox) restarting(c actor.Context) {
	o.protect("restart", func() {
		o.quiet()
		o.refusePending(c, outboxv1.Code_CODE_UNAVAILABLE, errors.New("the outbox was restarted by its supervisor"))
	})
}

// stop does what can still be done within a bound. It must not panic: in Stopping that would restart the actor.
func (o *outbox) stop(c actor.Context) {
	l := lifeOf(c)
	l.stopping = true
	if o.crashed && l.reason == nil {
		l.reason = ErrCrashed
	}
	o.protect("stop", func() {
		o.watchAbandoned(c)
		if o.unreturned = o.quiet(); o.unreturned > 0 {
			o.log.Error("outbox stops although calls into the journal have not returned", slog.Int("calls", o.unreturned))
		}
		if o.ledger == nil || o.crashed {
			return
		}
		if last, ok := o.ledger.Final(); ok {
			if err := o.saveLast(o.encode(last)); err != nil {
				o.log.Warn("the last offsets could not be saved: what they say was published will be published again", slog.Any("error", err))
			}
		}
	})
}

// saveLast saves within a bound, even if the store does not keep to its context.
func (o *outbox) saveLast(s query.Saved) error {
	b, result := newBackground(), make(chan error, 1)
	b.run(finalSave, func(ctx context.Context) error {
		err := o.snapshots.Save(ctx, o.key(), s)
		result <- err
		return err
	}, func(err error) {
		select {
		case result <- err: // a panic
		default:
		}
	})
	timer := time.NewTimer(finalSave + finalSave/4)
	defer timer.Stop()
	select {
	case err := <-result:
		return err
	case <-timer.C:
		b.cancel()
		o.unreturned += int(b.count.Load())
		return errors.New("the snapshot store has not returned although its context has ended")
	}
}

// stopped tells everybody. It must not panic: that would hang the parent's stop.
func (o *outbox) stopped(c actor.Context) {
	l := lifeOf(c)
	s := &Stopped{Name: o.name, PID: c.Self(), Err: l.reason, Unreturned: o.unreturned}
	o.protect("stop", func() {
		if o.abandoned != nil {
			c.ActorSystem().EventStream.Unsubscribe(o.abandoned.subscription)
			o.abandoned.mu.Lock()
			s.Abandoned = o.abandoned.pids
			o.abandoned.mu.Unlock()
		}
		o.refusePending(c, outboxv1.Code_CODE_STOPPED, ErrStopped)
	})
	if l.reserved {
		l.reserved = false
		o.release(c.ActorSystem())
	}
	o.protect("stop", func() { c.ActorSystem().EventStream.Publish(s) })
}

// protect keeps a panic, of the journal or of a subscriber of the event stream, from the framework.
func (o *outbox) protect(what string, fn func()) {
	defer func() {
		if v := recover(); v != nil && o.log != nil {
			o.log.Error("a panic was caught", slog.String("during", what), slog.String("panic", fmt.Sprint(v)), slog.String("stack", string(debug.Stack())))
		}
	}()
	fn()
}
