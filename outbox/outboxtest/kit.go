package outboxtest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/eventstream"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
)

// Kit is an actor system, a journal, an outbox over it and a sink that keeps what is published, for one test; see [New].
// All of it ends with the test.
//
// Time, for the outboxes, passes only by [Kit.Tick], [Kit.Advance] and [Outbox.Flush]. Each of them returns when the
// outboxes have done whatever there was to do by then: a test that looks afterwards sees the same at every run. The waits
// after failures are not jittered: 100 ms, 200 ms and so on, unless outbox.WithBackoff says otherwise.
//
// A Kit is its first [Outbox], too: [Outbox.Flush], [Outbox.Published], [Outbox.FailNext] and the others are its methods.
//
// A method that cannot do what it says fails the test, and tells how the outboxes are and what they have published. So
// the methods are for the test's own goroutine, but for Journal, System, Clock, Faults and Client and what these return.
type Kit struct {
	*Outbox

	tb       testing.TB
	timeout  time.Duration
	system   *actor.ActorSystem
	clock    *clock
	bare     Journal // without faults
	journal  Journal
	faults   *Faults
	outboxes []*Outbox
	actors   map[string]spawned // by PID
	events   *eventstream.Subscription
	told     bool // how everything is, by a failure

	mu       sync.Mutex
	panics   map[string]any              // what actors have panicked with last, by PID
	stopped  map[string]error            // why outboxes have stopped, by PID
	watching map[string]func(reason any) // requests that are told of a panic, by PID
}

// New returns a Kit whose outbox runs. It fails the test if an option is no good.
func New(tb testing.TB, opts ...Option) *Kit {
	tb.Helper()
	s := settings{name: "test", timeout: testkit.DefaultTimeout}
	for _, opt := range opts {
		opt(&s)
	}
	k := &Kit{
		tb: tb, timeout: s.timeout, system: s.system, bare: s.journal, faults: NewFaults(1),
		actors: map[string]spawned{}, panics: map[string]any{}, stopped: map[string]error{}, watching: map[string]func(any){},
	}
	if k.system == nil {
		k.system = testkit.NewActorSystem(tb)
	}
	k.clock = newClock(k.system.Root)
	if k.bare == nil {
		j := memory.New(memory.WithClock(k.clock.Now))
		tb.Cleanup(func() { _ = j.Close() })
		k.bare = j
	}
	k.journal = k.faults.Journal(k.bare)
	k.events = k.system.EventStream.Subscribe(k.notice)
	tb.Cleanup(k.end)
	k.Outbox = k.open(s.name, k.faults, s.publisher, s.outbox)
	return k
}

// AddOutbox starts another outbox over the same journal. A publisher of nil takes everything, as that of the first one
// does. It has faults of its own, which strike its publisher only.
func (k *Kit) AddOutbox(name string, p publisher.Publisher, opts ...outbox.Option) *Outbox {
	k.tb.Helper()
	for _, o := range k.outboxes {
		if o.name == name {
			k.fatalf("there is an outbox of the name %q already", name)
		}
	}
	return k.open(name, NewFaults(1), p, opts)
}

// System is the actor system.
func (k *Kit) System() *actor.ActorSystem { return k.system }

// Journal is the journal, as the kit's faults let it be seen. Actors that the test does not spawn by [Kit.Spawn] are
// stored in it by journal.Using(kit.Journal()), and what is appended to it by hand is published as well.
func (k *Kit) Journal() Journal { return k.journal }

// notice is told of everything on the actor system's event stream, from any goroutine.
func (k *Kit) notice(event any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch e := event.(type) {
	case *actor.SupervisorEvent:
		k.panics[e.Child.Id] = e.Reason
		if tell := k.watching[e.Child.Id]; tell != nil {
			tell(e.Reason)
		}
	case *outbox.Stopped:
		k.stopped[e.PID.Id] = e.Err
	}
}

// stoppedWith returns why an outbox has stopped, nil if it was told to.
func (k *Kit) stoppedWith(pid *actor.PID) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.stopped[pid.Id]
}

// end stops everything, the outboxes first: a handler of theirs may want its actors.
func (k *Kit) end() {
	if k.tb.Failed() && !k.told && len(k.outboxes) > 0 {
		k.tb.Log(k.String())
	}
	for _, o := range k.outboxes {
		o.faults.Clear()
	}
	for _, o := range k.outboxes {
		o.end()
	}
	for _, a := range k.actors {
		k.stop(a.pid)
	}
	k.system.EventStream.Unsubscribe(k.events)
}

func (k *Kit) stop(pid *actor.PID) {
	if err := k.system.Root.StopFuture(pid).Wait(); err != nil {
		k.tb.Errorf("outboxtest: %v does not stop: %v", pid, err)
	}
}

// fatalf fails the test and tells all that there is to tell.
func (k *Kit) fatalf(format string, args ...any) {
	k.tb.Helper()
	k.told = true
	k.tb.Fatalf("outboxtest: %s\n\n%v", fmt.Sprintf(format, args...), k)
}

// String tells how the outboxes are, what each of them has published, and what faults there were.
func (k *Kit) String() string {
	parts := make([]string, 0, len(k.outboxes))
	for _, o := range k.outboxes {
		parts = append(parts, o.String())
	}
	return strings.Join(parts, "\n")
}
