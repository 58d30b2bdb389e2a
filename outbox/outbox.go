package outbox

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/scheduler"

	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/ledger"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// outbox is one instance of the actor: it carries out the effects of its ledger.
type outbox struct {
	*definition
	incarnation uint64
	startedAt   time.Time
	log         *slog.Logger
	background  *background
	scheduler   Scheduler
	ledger      *ledger.Ledger // nil until the offsets are recovered
	identity    string         // of the journal
	unknown     []byte         // fields of a newer version's snapshot
	publishers  publishers
	commands    commands
	owner       ownership

	timer      scheduler.CancelFunc // of the next tick, nil if there is none
	tickAt     time.Time
	woken      atomic.Bool
	unnotify   func()
	reason     string // why it is not running yet
	attempts   int    // to acquire
	stopping   bool
	abandoned  *abandoned
	unreturned int
}

// Messages to itself. Each names the instance that it is for.
type (
	tick    struct{ incarnation uint64 }
	wake    struct{ incarnation uint64 }
	tryName struct{ incarnation uint64 }
	retry   struct{ incarnation uint64 }
	// respawn brings a lane's publisher back.
	respawn struct {
		incarnation uint64
		lane        int
	}
	// happened brings the outcome of an effect.
	happened struct {
		incarnation uint64
		input       ledger.Input
	}
)

func (o *outbox) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		o.start(c)
	case *actor.Restarting:
		o.restarting()
	case *actor.Stopping:
		o.stop(c)
	case *actor.Stopped:
		o.stopped(c)
	case *actor.Terminated:
		o.publisherGone(c, m.Who)
	case tick:
		if m.incarnation == o.incarnation {
			o.timer = nil
			o.step(c, ledger.Tick{})
			o.proveOwnership(c)
		}
	case wake:
		o.woken.Store(false)
		if m.incarnation == o.incarnation {
			o.step(c, ledger.Wake{})
		}
	case happened:
		if m.incarnation == o.incarnation {
			o.step(c, m.input)
		}
	case *outboxv1.PublishResponse:
		o.step(c, published(m))
	case tryName:
		if m.incarnation == o.incarnation {
			o.tryName(c)
		}
	case retry:
		if m.incarnation == o.incarnation {
			o.acquire(c)
		}
	case acquired:
		if m.incarnation == o.incarnation {
			o.acquired(c, m)
		}
	case respawn:
		if m.incarnation == o.incarnation {
			o.spawnPublisher(c, m.lane)
		}
	case proved:
		if m.incarnation == o.incarnation {
			o.proved(c, m)
		}
	case located:
		if m.incarnation == o.incarnation {
			o.located(c, m)
		}
	case command:
		o.command(c, m.message)
	case abandon:
		o.abandon(c, m)
	case *outboxv1.GetStatus, *outboxv1.Flush, *outboxv1.WaitPublished, *outboxv1.Drain:
		o.bareCommand(c, m)
	}
}

func (o *outbox) start(c actor.Context) {
	l := lifeOf(c)
	l.incarnation++
	o.incarnation = l.incarnation
	o.startedAt = o.clock()
	o.log = c.Logger().With(slog.String("outbox", o.name))
	o.background = newBackground()
	o.scheduler = o.settings.scheduler(c.ActorSystem())
	o.commands.pending = make(map[uint64]pendingCommand)
	o.tryName(c)
}

// step gives the ledger an input and does what it asks for.
func (o *outbox) step(c actor.Context, in ledger.Input) {
	if o.ledger == nil || o.stopping {
		return
	}
	o.logFailure(in)
	for _, effect := range o.ledger.Step(o.clock(), in) {
		switch e := effect.(type) {
		case ledger.ReadFeed:
			o.readFeed(c, e)
		case ledger.ReadStream:
			o.readStream(c, e)
		case ledger.Dispatch:
			o.dispatch(c, e)
		case ledger.Save:
			o.save(c, e)
		case ledger.Reply:
			o.reply(c, e)
		case ledger.Notice:
			o.notice(e)
		case ledger.Stop:
			o.giveUp(c, e.Err)
		}
	}
	o.arm(c)
}

// arm schedules the next tick, unless one is due early enough.
func (o *outbox) arm(c actor.Context) {
	at := o.ledger.NextTick()
	if at.IsZero() || (o.timer != nil && !o.tickAt.After(at)) {
		return
	}
	if o.timer != nil {
		o.timer()
	}
	o.tickAt = at
	o.timer = o.scheduler.SendOnce(max(0, at.Sub(o.clock())), c.Self(), tick{o.incarnation})
}

// later sends the outbox a message, unless it has stopped by then.
func (o *outbox) later(c actor.Context, d time.Duration, message any) {
	if o.timer != nil {
		o.timer()
	}
	o.timer = o.scheduler.SendOnce(d, c.Self(), message)
}

// subscribe has the journal wake the outbox.
func (o *outbox) subscribe(c actor.Context) {
	n, ok := o.journal.(query.Notifier)
	if !ok {
		return
	}
	root, self, incarnation := c.ActorSystem().Root, c.Self(), o.incarnation
	o.unnotify = n.Subscribe(func() {
		if o.woken.CompareAndSwap(false, true) {
			root.Send(self, wake{incarnation})
		}
	})
}

// logFailure says what did not work and will be tried again.
func (o *outbox) logFailure(in ledger.Input) {
	switch in := in.(type) {
	case ledger.FeedFailed:
		o.log.Warn("the journal could not be read; will try again", slog.Any("error", in.Err))
	case ledger.StreamFailed:
		o.log.Warn("the events of one id could not be read; will try again", slog.Any("error", in.Err))
	case ledger.Saved:
		if in.Result == ledger.SaveFailed {
			o.log.Warn("the offsets could not be saved; will try again", slog.Int64("index", in.Index), slog.Any("error", in.Err))
		}
	}
}

func (o *outbox) notice(n ledger.Notice) {
	event := slog.Group("event", slog.String("persistence_id", n.PersistenceID), slog.Int64("sequence_number", n.SequenceNumber))
	switch n.Kind {
	case ledger.NoticeHeld:
		o.log.Warn("a persistence id is held: its events wait, others go on", event, slog.String("error", n.Err))
	case ledger.NoticeRejoined:
		o.log.Info("a held persistence id has caught up", event)
	case ledger.NoticeParked:
		o.log.Error("an event was parked: it will not be published", event, slog.String("error", n.Err))
	case ledger.NoticeMissing:
		o.log.Error("events that were seen are no longer in the journal", event)
	case ledger.NoticeOutageBegan:
		o.log.Error("no event gets through: the sink is down", event, slog.String("error", n.Err))
	case ledger.NoticeOutageEnded:
		o.log.Info("events get through again")
	}
}
