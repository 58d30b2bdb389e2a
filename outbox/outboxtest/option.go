package outboxtest

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
)

// Option configures a [Kit]; see [New].
type Option func(*settings)

type settings struct {
	name      string
	journal   Journal
	publisher publisher.Publisher
	system    *actor.ActorSystem
	outbox    []outbox.Option
	timeout   time.Duration
}

// WithName sets the name of the outbox. The default is "test".
func WithName(name string) Option { return func(s *settings) { s.name = name } }

// WithPublisher has the outbox publish to p, such as the application's own Mux. What p took is kept as well. The default is a
// publisher that takes everything.
//
// p is called as ever, off the test's goroutine, and the kit waits for it to return. That a context ends by itself is a
// matter of the kit's time, too.
func WithPublisher(p publisher.Publisher) Option { return func(s *settings) { s.publisher = p } }

// WithJournal sets the journal, which stays the test's to close, after the kit has ended: open it, and register its
// closing, before [New]. The default is one in memory, whose clock is the kit's.
func WithJournal(j Journal) Option { return func(s *settings) { s.journal = j } }

// WithActorSystem sets the actor system, which stays the test's to shut down. The default is testkit.NewActorSystem.
func WithActorSystem(system *actor.ActorSystem) Option {
	return func(s *settings) { s.system = system }
}

// WithOutboxOptions adds options of the outbox: backoff, attempts, filter and so on. Leave the scheduler, the clock and the
// place of its snapshots to the kit. Other than by default there is one lane, so that a test sees the same order at every
// run; outbox.WithLanes makes more.
func WithOutboxOptions(opts ...outbox.Option) Option {
	return func(s *settings) { s.outbox = append(s.outbox, opts...) }
}

// WithTimeout sets how long, by the real clock, the kit waits for one thing before it fails the test. The default is
// testkit.DefaultTimeout.
func WithTimeout(d time.Duration) Option { return func(s *settings) { s.timeout = d } }
