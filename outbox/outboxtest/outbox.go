package outboxtest

import (
	"errors"
	"fmt"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/local"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// Outbox is an outbox of a [Kit], with what it publishes to. Of its methods the same is true as of the Kit's.
type Outbox struct {
	kit      *Kit
	name     string
	props    *actor.Props
	pid      *actor.PID
	probe    *testkit.TestProbe // asks it
	probePID *actor.PID
	gone     bool // it has stopped
	faults   *Faults
	recorder *recorder
	failures *failures
	reply    *outboxv1.Reply // to the last command of ours
}

// mute is a journal that does not say when it has grown: only time makes an outbox look.
type mute struct {
	query.Journal
	query.SnapshotStore
	query.TimeFinder
}

// crash has an outbox panic, before it sees the message.
type crash struct{}

func crashing(next actor.ReceiverFunc) actor.ReceiverFunc {
	return func(c actor.ReceiverContext, envelope *actor.MessageEnvelope) {
		if _, ok := envelope.Message.(crash); ok {
			panic("outboxtest: Crash")
		}
		next(c, envelope)
	}
}

func (k *Kit) open(name string, faults *Faults, p publisher.Publisher, opts []outbox.Option) *Outbox {
	k.tb.Helper()
	if p == nil {
		p = takeAll
	}
	o := &Outbox{kit: k, name: name, probe: testkit.NewTestProbe(), faults: faults}
	o.recorder = &recorder{Publisher: p, calls: map[*[]publisher.Event]struct{}{}}
	o.failures = &failures{Publisher: o.recorder}
	sink := &timed{Publisher: faults.Publisher(o.failures), clock: k.clock}
	props, err := outbox.Props(name, mute{k.journal, k.journal, k.journal}, sink.props(), append([]outbox.Option{
		outbox.WithScheduler(k.clock), outbox.WithClock(k.clock.Now), outbox.WithLanes(1),
		outbox.WithPropsOptions(local.Steady(), actor.WithReceiverMiddleware(crashing), actor.WithGuardian(actor.NewRestartingStrategy())),
	}, opts...)...)
	if err != nil {
		k.tb.Fatalf("outboxtest: %v", err)
	}
	o.props, o.probePID = props, o.probe.Spawn(k.system)
	k.outboxes = append(k.outboxes, o)
	o.start()
	return o
}

func (o *Outbox) start() {
	o.kit.tb.Helper()
	o.pid, o.gone = o.kit.system.Root.Spawn(o.props), false
	o.probe.Context().Watch(o.pid)
	o.kit.settle()
}

func (o *Outbox) end() {
	o.kit.stop(o.pid)
	o.kit.stop(o.probePID)
	if o.kit.tb.Failed() {
		return
	}
	for _, f := range o.failures.unmet() {
		o.kit.tb.Errorf("outboxtest: FailNext(%q, %q): nothing of this id was published after that, so that nothing failed", f.id, f.err)
	}
}

// Client talks to the outbox, as the application's operators would. What waits for time to pass waits for the test: do that
// in another goroutine, or better, let time pass first. After a command that answers before it is carried out, such as
// Retry, [Kit.Advance] of 0 waits for it.
//
// After a [Outbox.Restart] a new one is needed.
func (o *Outbox) Client() *outbox.Client { return outbox.NewClient(o.kit.system.Root, o.pid) }

// PID is that of the outbox. A [Outbox.Restart] changes it.
func (o *Outbox) PID() *actor.PID { return o.pid }

// Published returns the events that the publisher has taken, oldest first, with whatever came more than once. Between
// persistence ids an outbox promises no order.
func (o *Outbox) Published() []publisher.Event { return o.recorder.published() }

// PublishedOf returns the events of one persistence id that the publisher has taken, oldest first.
func (o *Outbox) PublishedOf(persistenceID string) []publisher.Event {
	var events []publisher.Event
	for _, e := range o.recorder.published() {
		if e.PersistenceID == persistenceID {
			events = append(events, e)
		}
	}
	return events
}

// Crash has the outbox panic and its supervisor restart it: it goes on from the offsets that it has saved, so that what was
// published since then comes again. Its next look at the journal is at once.
func (o *Outbox) Crash() {
	o.kit.tb.Helper()
	o.kit.settle()
	if o.gone {
		o.kit.fatalf("crash: outbox %q has stopped", o.name)
	}
	o.kit.system.Root.Send(o.pid, crash{})
	o.kit.settle()
}

// Restart stops the outbox, unless it has stopped, which saves its offsets, and starts it again, as when a process ends in
// good order and the next one begins.
func (o *Outbox) Restart() {
	o.kit.tb.Helper()
	o.kit.settle()
	o.kit.stop(o.pid)
	o.start()
}

// tell sends the outbox a message that is answered to the probe.
func (o *Outbox) tell(message any) { o.probe.Request(o.pid, message) }

// errStopped: there is nobody to ask.
var errStopped = errors.New("it has stopped")

// ask sends an outbox a message and returns its answer, of type T. What else has come, late or unasked for, is passed over,
// but for the reply to a command.
func ask[T any](o *Outbox, message any) (T, error) {
	var none T
	if o.gone {
		return none, errStopped
	}
	o.tell(message)
	for {
		m, err := o.probe.GetNextMessage(o.kit.timeout)
		if err != nil {
			return none, fmt.Errorf("it does not answer: %w", err)
		}
		switch m := m.(type) {
		case *outboxv1.Reply:
			o.reply = m
		case *actor.Terminated:
			if m.Who.Equal(o.pid) {
				o.gone = true
				return none, errStopped
			}
		case T:
			return m, nil
		}
	}
}

// look asks the outbox what it waits for; ok is false if it has stopped.
func (o *Outbox) look() (a local.Answer, ok bool) {
	o.kit.tb.Helper()
	a, err := ask[local.Answer](o, local.Ask{})
	if err != nil && !errors.Is(err, errStopped) {
		o.kit.fatalf("outbox %q: %v", o.name, err)
	}
	return a, err == nil
}
