package publisher

import (
	"context"
	"slices"
)

// Middleware puts something in front of a [Publisher], which it is given and calls.
//
// What it returns keeps the contract of Publisher, which means above all: it sends nothing of an id after a failure
// of that id, its answer names events by their place in the batch that it was given itself, and it lets panics pass.
// It has an Unwrap method, so that the capabilities of the publisher behind it are found; see [Wrapper].
type Middleware func(Publisher) Publisher

// Chain puts middleware in front of p. The first is the outermost: it sees a batch first, and the answer last.
//
//	publisher.Chain(hook, publisher.Log(logger), publisher.Map(mapping.Map), publisher.RateLimit(100, 20))
//
// logs the batches of the outbox, and limits the messages that they are mapped to. Chain of a nil p is nil.
func Chain(p Publisher, middleware ...Middleware) Publisher {
	for _, m := range slices.Backward(middleware) {
		if p == nil {
			return nil
		}
		p = m(p)
	}
	return p
}

// around is the middleware that has no capabilities of its own, and does publish in place of p.Publish. In front of a nil
// Publisher it is a nil Publisher, which Props makes an error of.
func around(publish func(ctx context.Context, p Publisher, events []Event) error) Middleware {
	return func(p Publisher) Publisher {
		if p == nil {
			return nil
		}
		return &wrapped{p, publish}
	}
}

type wrapped struct {
	inner   Publisher
	publish func(ctx context.Context, p Publisher, events []Event) error
}

func (w *wrapped) Publish(ctx context.Context, events []Event) error {
	return w.publish(ctx, w.inner, events)
}

func (w *wrapped) Unwrap() Publisher { return w.inner }
