package publisher

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// DefaultStopGrace is how long a child that stops waits for its Publish calls to return.
const DefaultStopGrace = time.Second

// Option configures the publisher actor; see [Props].
type Option func(*settings)

type settings struct {
	stopGrace time.Duration
}

// WithStopGrace sets how long a child that stops waits for its Publish calls to return, after their contexts were
// cancelled, before it gives them up and publishes [Abandoned]. The default is [DefaultStopGrace]; 0 or less
// means not to wait. The framework gives up on a stop after 10 seconds, so it should be well below.
func WithStopGrace(d time.Duration) Option {
	return func(s *settings) { s.stopGrace = d }
}

// Props returns the actor that calls p: a child of an outbox, which answers each PublishRequest with a
// PublishResponse to its sender. Several children may share p. Props of a nil Publisher is nil, which outbox.Props
// reports as an error.
//
// The child supervises nothing and owns nothing but its running calls; p belongs to the application, which
// closes it, if it can be closed, once the outbox has stopped.
func Props(p Publisher, opts ...Option) *actor.Props {
	if p == nil {
		return nil
	}
	s := settings{stopGrace: DefaultStopGrace}
	for _, opt := range opts {
		opt(&s)
	}
	return actor.PropsFromProducer(
		func() actor.Actor { return &child{publisher: p, settings: s} },
		actor.WithOnInit(newCalls),
	)
}
