package outbox

import (
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/scheduler"

	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/ledger"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/local"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// outbox is one instance of the actor: it carries out the effects of its ledger.
type outbox struct {
	*definition
	incarnation uint64
	handled     uint64 // messages, by this instance
	steady      steadyClock
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
	blocked     error    // why it waits for an operator or for the right journal; nil if it does not
	seen        *history // of the journal, before a suspension; nil if the stored offsets tell as much
	verified    history  // at the last look
	doubt       doubt
	ahead       *readAhead // nil if there is none, or a read of the feed has it

	timer        scheduler.CancelFunc // of the next tick, nil if there is none
	tickAt       time.Time
	spare        scheduler.CancelFunc // of a tick that comes if nothing else does, nil if there is none
	spareAt      time.Time            // zero if not by the clock
	ticks        uint64               // that were armed; only the last one counts
	woken        atomic.Bool
	unnotify     func()
	reason       string      // why it is not running yet
	accepting    *acceptance // of the operator, that is being carried out
	acquiring    int         // attempts to acquire, ever
	attempts     int         // those that failed, in a row
	stopping     bool
	busy         bool // handling a message; still set afterwards if that panicked
	crashed      bool // a message before this one panicked, so that the state may be wrong
	runningSince time.Time
	revivals     int // from such a crash, in a row
	abandoned    *abandoned
	unreturned   int
}

// Messages to itself. Each names the instance that it is for.
type (
	tick    struct{ incarnation, number uint64 }
	wake    struct{ incarnation uint64 }
	tryName struct{ incarnation uint64 }
	// resumed has the instance that panicked notice that it goes on; for any other it means nothing.
	resumed struct{}
	// spareTick comes if nothing else has come for a while.
	spareTick struct{ incarnation uint64 }
	retry     struct{ incarnation uint64 }
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
	if o.busy {
		o.crashed = true
	}
	o.busy = true
	o.handled++
	defer func() {
		if o.busy {
			// It panics. If its supervisor says Resume, nothing else may ever come.
			c.ActorSystem().Root.Send(c.Self(), resumed{})
		}
	}()
	o.receive(c)
	o.busy = false
}

// now is the time by which everything is due.
func (o *outbox) now() time.Time { return o.steady.tell() }

func (o *outbox) receive(c actor.Context) {
	switch c.Message().(type) {
	case *actor.Started, *actor.Restarting, *actor.Stopping, *actor.Stopped:
	default:
		if o.crashed && !o.stopping {
			o.revive(c)
		}
	}
	switch m := c.Message().(type) {
	case *actor.Started:
		o.start(c)
	case *actor.Restarting:
		o.restarting(c)
	case *actor.Stopping:
		o.stop(c)
	case *actor.Stopped:
		o.stopped(c)
	case *actor.Terminated:
		o.publisherGone(c, m.Who)
	case tick:
		if m.incarnation == o.incarnation && m.number == o.ticks {
			o.timer = nil
			o.step(c, ledger.Tick{})
			o.lookAround(c)
		}
	case spareTick:
		if m.incarnation == o.incarnation {
			o.goOn(c)
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
	case pageRead:
		if m.incarnation == o.incarnation {
			o.believe(c, m)
		}
	case journalLost:
		if m.incarnation == o.incarnation && !o.stopping {
			o.changed(c, m.known, m.err)
		}
	case *outboxv1.PublishResponse:
		o.step(c, published(m, o.settings.ledger.Batch.Events))
	case tryName:
		if m.incarnation == o.incarnation {
			o.tryName(c)
		}
	case retry:
		if m.incarnation == o.incarnation {
			o.acquire(c, nil)
		}
	case acquired:
		if m.incarnation == o.incarnation {
			o.acquired(c, m)
		}
	case respawn:
		if m.incarnation == o.incarnation {
			o.spawnPublisher(c, m.lane)
		}
	case looked:
		if m.incarnation == o.incarnation {
			o.looked(c, m)
		}
	case located:
		if m.incarnation == o.incarnation {
			o.located(c, m)
		}
	case local.Command:
		o.command(c, m.Message)
	case local.Ask:
		o.tellRest(c)
	case local.Abandon:
		o.abandon(c)
	case *outboxv1.GetStatus, *outboxv1.Flush, *outboxv1.WaitPublished, *outboxv1.Drain, *outboxv1.Skip, *outboxv1.Retry,
		*outboxv1.Redrive, *outboxv1.Rewind, *outboxv1.Pause, *outboxv1.Resume, *outboxv1.AcceptJournal:
		o.bareCommand(c, m)
	}
}

func (o *outbox) start(c actor.Context) {
	l := lifeOf(c)
	l.incarnation++
	o.incarnation = l.incarnation
	o.steady.read = o.clock
	if local.IsSteady(c) {
		o.definition = o.steadied()
	}
	o.startedAt = o.now()
	o.log = c.Logger().With(slog.String("outbox", o.name))
	if l.stopping {
		o.stopping = true
		c.Stop(c.Self())
		return
	}
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
	switch err := o.failure(in); {
	case errors.Is(err, ErrJournalChanged):
		o.changed(c, o.lastVerified(), err)
		return
	case errors.Is(err, query.ErrClosed):
		o.giveUp(c, fmt.Errorf("%w (if you closed it: stop the outbox first)", err))
		return
	}
	for _, effect := range o.ledger.Step(o.now(), in) {
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
	if at.IsZero() {
		return
	}
	now := o.now()
	if latest := now.Add(ownerLook); at.After(latest) {
		at = latest
	}
	if o.timer != nil {
		if !o.tickAt.After(at) && now.Sub(o.tickAt) < lostTick {
			return
		}
		o.timer()
	}
	if o.spareAt.Before(at.Add(lostTick / 2)) {
		o.armSpare(c, at.Add(lostTick).Sub(now))
		o.spareAt = at.Add(lostTick)
	}
	o.ticks++
	o.tickAt = at
	o.timer = o.scheduler.SendOnce(max(0, at.Sub(now)), c.Self(), tick{o.incarnation, o.ticks})
}

// later sends the outbox a message, unless it has stopped by then.
func (o *outbox) later(c actor.Context, d time.Duration, message any) {
	if o.timer != nil {
		o.timer()
	}
	o.armSpare(c, d+lostTick)
	o.timer = o.scheduler.SendOnce(d, c.Self(), message)
}

// subscribe has the journal wake the outbox.
func (o *outbox) subscribe(c actor.Context) {
	n, ok := o.journal.(query.Notifier)
	if !ok {
		return
	}
	root, self, incarnation := c.ActorSystem().Root, c.Self(), o.incarnation
	o.protect("subscription to the journal", func() {
		o.unnotify = n.Subscribe(func() {
			if o.woken.CompareAndSwap(false, true) {
				root.Send(self, wake{incarnation})
			}
		})
	})
}

// failure returns what did not work, if something did not, and logs it. It will be tried again.
func (o *outbox) failure(in ledger.Input) error {
	switch in := in.(type) {
	case ledger.FeedFailed:
		o.doubt.failures++
		o.log.Warn("the journal could not be read; will try again", slog.Any("error", in.Err))
		return in.Err
	case ledger.StreamFailed:
		o.doubt.failures++
		o.log.Warn("the events of one id could not be read; will try again", slog.Any("error", in.Err))
		return in.Err
	case ledger.Saved:
		if in.Result == ledger.SaveFailed {
			o.log.Warn("the offsets could not be saved; will try again", slog.Int64("index", in.Index), slog.Any("error", in.Err))
		}
		return in.Err
	}
	return nil
}

func (o *outbox) notice(n ledger.Notice) {
	event := slog.Group("event", slog.String("persistence_id", n.PersistenceID), slog.Int64("sequence_number", n.SequenceNumber))
	switch n.Kind {
	case ledger.NoticeHeld:
		if n.Err == "" {
			o.log.Info("a persistence id is held, so that the offsets of the others can be saved, and goes at its own pace", event)
			break
		}
		o.log.Warn("a persistence id is held: its events wait, others go on", event, slog.String("error", n.Err))
	case ledger.NoticeRejoined:
		o.log.Info("a held persistence id has caught up", event)
	case ledger.NoticeParked:
		o.log.Error("an event was parked: it will not be published", event, slog.String("error", n.Err))
	case ledger.NoticeSkipped:
		o.log.Error("an event was skipped: it will not be published", event, slog.String("reason", n.Err))
	case ledger.NoticeStuck:
		o.log.Error("a persistence id waits for an operator: send Retry, or Skip its next event", event, slog.String("error", n.Err))
	case ledger.NoticeRedriven:
		o.log.Info("a parked event was published after all", event)
	case ledger.NoticeGap:
		o.log.Warn("the journal has not shown an event, but a later one of its id: it is looked for", event)
	case ledger.NoticeMissing:
		o.log.Error("events that were seen are no longer in the journal", event)
	case ledger.NoticePaused:
		o.log.Warn("the outbox is paused")
	case ledger.NoticeResumed:
		o.log.Info("the outbox goes on after a pause")
	case ledger.NoticeRewound:
		o.log.Warn("the outbox was rewound: what is behind its watermark is published again", slog.Int64("watermark", int64(o.ledger.Position())))
	case ledger.NoticeOutageBegan:
		if n.Destination != "" {
			o.log.Error("no event gets through to one destination: its events wait, others go on",
				slog.String("destination", n.Destination), event, slog.String("error", n.Err))
			break
		}
		o.log.Error("no event gets through: the sink is down", event, slog.String("error", n.Err))
	case ledger.NoticeOutageEnded:
		if n.Destination != "" {
			o.log.Info("events get through to a destination again, or none is left that waits for it", slog.String("destination", n.Destination))
			break
		}
		o.log.Info("events get through again")
	}
}
