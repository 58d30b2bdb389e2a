package shards

import (
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// Option configures the shards; see [New].
type Option func(*settings)

type settings struct {
	outbox    []outbox.Option
	filter    query.Filter
	snapshots query.SnapshotStore
	authorize func(actor.Context) error
	interval  time.Duration
}

// WithOutboxOptions configures the outbox of each shard. Numbers such as outbox.WithMaxUnsaved and outbox.WithLanes are
// those of one shard. What concerns all of them is refused here: for outbox.WithFilter, outbox.WithSnapshots and
// outbox.WithAuthorize there are [WithFilter], [WithSnapshots] and [WithAuthorize]. So is outbox.WithStartNow, because a shard that
// first runs later than the others would begin later than they do. Use outbox.WithStartTime, with one time for all members,
// such as that of the release; not time.Now.
func WithOutboxOptions(opts ...outbox.Option) Option {
	return func(s *settings) { s.outbox = append(s.outbox, opts...) }
}

// WithFilter selects, by type and tag, the events that the outbox publishes. The default is all of them. Its slices must be
// zero: they are what is dealt out.
func WithFilter(f query.Filter) Option {
	return func(s *settings) { s.filter = f }
}

// WithSnapshots keeps the offsets and the layout in another place than the journal. All members must reach the same one.
func WithSnapshots(store query.SnapshotStore) Option {
	return func(s *settings) { s.snapshots = store }
}

// WithAuthorize lets shards take commands. They come from other members, and cannot be told from what comes from anywhere
// else that reaches the cluster's port. The function is called with each; the command is carried out if it returns nil.
// Without it, only a [Client] in the shard's own process can command, and all others get no more than numbers.
func WithAuthorize(allow func(actor.Context) error) Option {
	return func(s *settings) { s.authorize = allow }
}

// WithPingInterval sets how often a keeper makes sure that each shard is active. It does so at once when the cluster's
// topology changes; this is for what no change tells. The default is a second, and more beyond 200 shards, so that a keeper
// asks about 200 times a second. The least is 10 ms.
func WithPingInterval(d time.Duration) Option {
	return func(s *settings) { s.interval = d }
}

func (s *settings) check() error {
	switch {
	case !s.filter.Slices.All() || s.filter.Slices != (query.SliceRange{}):
		return &outbox.OptionError{Option: "WithFilter", Problem: "its slices must be zero: the shards divide all of them"}
	case s.interval < 10*time.Millisecond:
		return &outbox.OptionError{Option: "WithPingInterval", Problem: fmt.Sprintf("%v is less than 10 ms", s.interval)}
	}
	return nil
}
