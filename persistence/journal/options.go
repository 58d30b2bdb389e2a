package journal

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"
)

// DefaultRetryFor is how long a transient failure is retried, unless [WithRetryFor] says otherwise.
const DefaultRetryFor = 30 * time.Second

// UsingOption is an option of [Using].
type UsingOption interface{ applyToUsing(*usingOptions) }

// ProviderOption is an option of [NewProvider], and of [Using] as well.
type ProviderOption interface {
	UsingOption
	applyToProvider(*providerOptions)
}

type providerOptions struct {
	retryFor         time.Duration
	snapshotInterval int
}

type usingOptions struct {
	provider providerOptions
	id       func(actor.Context) string
	metadata func(actor.Context, proto.Message) map[string]string
}

// WithRetryFor sets how long a transient failure is retried before the actor is failed; the actor is blocked for
// as long. No single attempt takes more than a third of it. It panics unless d is positive.
func WithRetryFor(d time.Duration) ProviderOption {
	if d <= 0 {
		panic(fmt.Errorf("journal.WithRetryFor(%v): the time must be positive", d))
	}
	return providerOption(func(o *providerOptions) { o.retryFor = d })
}

// WithSnapshotInterval has an actor asked for a snapshot, by a *persistence.RequestSnapshot, after it has persisted
// every n-th further event. Without this option it is never asked. It panics unless n is positive.
//
// The request arrives before the event it follows counts as covered: an actor persists first, then applies.
func WithSnapshotInterval(n int) ProviderOption {
	if n <= 0 {
		panic(fmt.Errorf("journal.WithSnapshotInterval(%d): the number of events must be positive; leave the option out for no requests", n))
	}
	return providerOption(func(o *providerOptions) { o.snapshotInterval = n })
}

// WithID sets how an actor's persistence id is found; see query.ValidateID for what is valid. The default is
// Self().Id, which is good for an actor that is always spawned under the same name. Cluster grains get another PID
// at every activation, and need this option: their kind and identity make a good id.
//
// id is called each time that the actor starts or restarts, before it receives Started. If the id is invalid, the
// actor fails after Started, in place of its recovery. It panics if id is nil.
func WithID(id func(actor.Context) string) UsingOption {
	if id == nil {
		panic(errors.New("journal.WithID: the function is nil"))
	}
	return usingOption(func(o *usingOptions) { o.id = id })
}

// WithMetadata adds metadata to each event. It is added to the trace context that the current message carries, and
// wins where both have a key. metadata is called in the actor, for each event, with the bare event; it may return
// nil. Keys and values are valid UTF-8 without NUL. It panics if metadata is nil.
func WithMetadata(metadata func(actor.Context, proto.Message) map[string]string) UsingOption {
	if metadata == nil {
		panic(errors.New("journal.WithMetadata: the function is nil"))
	}
	return usingOption(func(o *usingOptions) { o.metadata = metadata })
}

type providerOption func(*providerOptions)

func (f providerOption) applyToProvider(o *providerOptions) { f(o) }
func (f providerOption) applyToUsing(o *usingOptions)       { f(&o.provider) }

type usingOption func(*usingOptions)

func (f usingOption) applyToUsing(o *usingOptions) { f(o) }

func defaultProviderOptions() providerOptions {
	return providerOptions{
		retryFor: DefaultRetryFor,
		// Off. It cannot be 0, because the framework divides by it.
		snapshotInterval: math.MaxInt,
	}
}

func defaultUsingOptions() usingOptions {
	return usingOptions{
		provider: defaultProviderOptions(),
		id:       func(c actor.Context) string { return c.Self().Id },
		metadata: func(actor.Context, proto.Message) map[string]string { return nil },
	}
}
