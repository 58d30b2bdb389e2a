package adopt

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/persistence"
	"google.golang.org/protobuf/proto"
)

// Option is an option of [Wrap].
type Option func(*options)

type options struct {
	snapshots     persistence.Provider
	sweepInterval time.Duration
	callTimeout   time.Duration
	confirmWithin time.Duration
	eventTime     func(id string, seq int64, event proto.Message) time.Time
	log           *slog.Logger
}

func defaults() options {
	return options{
		sweepInterval: time.Minute,
		callTimeout:   5 * time.Second,
		confirmWithin: 30 * time.Second,
		eventTime:     func(string, int64, proto.Message) time.Time { return time.Time{} },
		log:           slog.Default(),
	}
}

func (o *options) check() error {
	for name, d := range map[string]time.Duration{
		"WithSweepInterval": o.sweepInterval, "WithCallTimeout": o.callTimeout, "WithConfirmWithin": o.confirmWithin,
	} {
		if d <= 0 {
			return fmt.Errorf("adopt.%s(%v): the time must be positive", name, d)
		}
	}
	switch {
	case o.eventTime == nil:
		return fmt.Errorf("adopt.WithTime: the function is nil")
	case o.log == nil:
		return fmt.Errorf("adopt.WithLogger: the logger is nil")
	}
	return nil
}

// WithSnapshots has the outboxes' offsets kept in another provider than the events; the default is the one that was
// wrapped. Nothing else may use the ids there that begin with [ReservedPrefix].
func WithSnapshots(p persistence.Provider) Option { return func(o *options) { o.snapshots = p } }

// WithSweepInterval sets the time in which every persistence id is looked at once, for events that were not persisted
// through this journal. The default is one minute; each sweep costs one read for each id. The first sweep of a process
// takes as little time as it can.
func WithSweepInterval(d time.Duration) Option { return func(o *options) { o.sweepInterval = d } }

// WithCallTimeout sets how long a call of the provider is waited for where nobody else sets a limit. The default is 5
// seconds. A call that has not returned by then goes on, and its id is left out until it has returned.
func WithCallTimeout(d time.Duration) Option { return func(o *options) { o.callTimeout = d } }

// WithConfirmWithin sets how long an event that an actor has persisted is looked for, if the provider does not show it at
// once. The default is 30 seconds. After that it is a [Problem], and the sweep goes on looking.
func WithConfirmWithin(d time.Duration) Option { return func(o *options) { o.confirmWithin = d } }

// WithTime tells the time of an event, for a provider does not have it: the default is none. It should find it in the
// event alone, so that an event that is delivered again has the same. It is called concurrently.
func WithTime(of func(id string, seq int64, event proto.Message) time.Time) Option {
	return func(o *options) { o.eventTime = of }
}

// WithLogger sets where problems are logged; the default is slog.Default.
func WithLogger(log *slog.Logger) Option { return func(o *options) { o.log = log } }
