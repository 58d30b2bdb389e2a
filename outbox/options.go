package outbox

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/scheduler"

	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/ledger"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/local"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// Option configures an outbox; see [Props].
type Option func(*settings)

// Scheduler sends a message later, once. Proto.Actor's *scheduler.TimerScheduler is one; tests use
// testkit.ManualScheduler.
type Scheduler interface {
	SendOnce(delay time.Duration, pid *actor.PID, message any) scheduler.CancelFunc
}

type settings struct {
	ledger       ledger.Config
	maxHeldGiven bool
	snapshots    query.SnapshotStore
	scheduler    func(*actor.ActorSystem) Scheduler
	noScheduler  bool // a nil one was given
	clock        func() time.Time
	authorize    func(actor.Context) error
	propsOptions []actor.PropsOption
	start        start
	misplaced    *OptionError // an option that is not for a shard's outbox
}

func defaults() settings {
	return settings{
		ledger: ledger.Config{
			Lanes:            4,
			PollInterval:     50 * time.Millisecond,
			Page:             query.Limits{Events: 1024, Bytes: 4 << 20},
			Window:           query.Limits{Events: 8192, Bytes: 32 << 20},
			CatchUp:          query.Limits{Events: 256, Bytes: 1 << 20},
			CatchUps:         16,
			Batch:            query.Limits{Events: 256, Bytes: 1 << 20},
			LaneBatches:      4,
			MaxUnsaved:       4096,
			MaxHeld:          1024,
			MaxParked:        1024,
			SaveEvery:        1024,
			SaveInterval:     time.Second,
			LazySaveInterval: time.Minute,
			ReadTimeout:      10 * time.Second,
			PublishTimeout:   30 * time.Second,
			SaveTimeout:      10 * time.Second,
			HoldAfter:        5 * time.Second,
			BackoffMin:       100 * time.Millisecond,
			BackoffMax:       30 * time.Second,
			OutageAfter:      8,
			Jitter:           rand.Float64,
		},
		scheduler: func(system *actor.ActorSystem) Scheduler { return scheduler.NewTimerScheduler(system.Root) },
		clock:     time.Now,
	}
}

// WithPollInterval sets the time between two looks at the journal. The default is 50 ms, the least 1 ms. A journal
// that notifies is looked at as soon as it says so, and then once a second is enough while nothing happens.
func WithPollInterval(d time.Duration) Option {
	return func(s *settings) { s.ledger.PollInterval = d }
}

// WithLanes sets the number of publisher children. The default is 4. Each persistence id belongs to one of them.
func WithLanes(n int) Option {
	return func(s *settings) { s.ledger.Lanes = n }
}

// WithBatch limits one publish request in events and bytes. The default is 256 events and 1 MiB; an event larger
// than that travels alone.
func WithBatch(events, bytes int) Option {
	return func(s *settings) { s.ledger.Batch = query.Limits{Events: events, Bytes: bytes} }
}

// WithWindow limits, in events and bytes, what was read from the journal and has not yet passed the watermark. The
// default is 8192 events and 32 MiB. While there is a backlog, up to 4 MiB are read ahead besides.
func WithWindow(events, bytes int) Option {
	return func(s *settings) { s.ledger.Window = query.Limits{Events: events, Bytes: bytes} }
}

// WithMaxUnsaved bounds the events that one crash can cause to be published again. The default is 4096, the least 4.
// When that many were sent and the offsets that record them could not be saved, publishing waits.
func WithMaxUnsaved(events int) Option {
	return func(s *settings) { s.ledger.MaxUnsaved = events }
}

// WithMaxHeld bounds the persistence ids that wait while others go on, because they fail or the destination of their next
// event is down. Each may have one event unsaved, so it must be at most MaxUnsaved - 2; the default is 1024, or a quarter of
// MaxUnsaved if that is less. When that many are held, nothing new is read until some of them get through: it should be more
// than the ids of the largest destination, if the publisher has several.
func WithMaxHeld(ids int) Option {
	return func(s *settings) { s.ledger.MaxHeld, s.maxHeldGiven = ids, true }
}

// WithMaxParked bounds the events that were given up on. The default is 1024. When that many are parked, an event
// that would be is tried again, with backoff, until there is room.
func WithMaxParked(events int) Option {
	return func(s *settings) { s.ledger.MaxParked = events }
}

// PoisonRule says what becomes of an event that can never be published: one that cannot be decoded, that the publisher
// refuses for good, or that has used up its attempts.
type PoisonRule = ledger.PoisonRule

// The rules for poison.
const (
	// Park gives up on the event, keeps it visible for [Client.Redrive] or [Client.Skip], and goes on with its persistence
	// id. It is the default.
	Park = ledger.Park
	// Hold has the persistence id wait for an operator's [Client.Retry] or [Client.Skip]; others go on. A restart tries it once.
	Hold = ledger.Hold
	// Skip counts and logs the event, and goes on.
	Skip = ledger.SkipOver
)

// WithOnPoison sets the rule for events that can never be published. The default is [Park].
func WithOnPoison(rule PoisonRule) Option {
	return func(s *settings) { s.ledger.OnPoison = rule }
}

// WithMaxAttempts lets an event count as one that can never be published once it has failed so often by itself, while
// others got through: at least 2, for one failure says nothing. A sink that takes nothing at all uses up nobody's attempts, nor
// does one destination that takes nothing, if the publisher names it, nor a restart. The default, 0, is without end.
func WithMaxAttempts(n int) Option {
	return func(s *settings) { s.ledger.MaxAttempts = n }
}

// WithStartNow has an outbox that never ran before begin at the journal's end: what was written before its first start is
// not published. Where a transaction was open at that moment and commits later, some events from before may be, so that its own are not
// missed. The default is the journal's beginning.
func WithStartNow() Option {
	return func(s *settings) { s.start = start{now: true} }
}

// WithStartTime has an outbox that never ran before begin with the first event of this time or later, by the journal's
// clock. The journal must be a query.TimeFinder.
func WithStartTime(t time.Time) Option {
	return func(s *settings) { s.start = start{time: t, byTime: true} }
}

// WithPublishTimeout sets how long a publisher may take to answer a request. The default is 30 s. After that, the
// outcome of the request is unknown and its events are sent again.
func WithPublishTimeout(d time.Duration) Option {
	return func(s *settings) { s.ledger.PublishTimeout = d }
}

// WithHoldAfter sets how long one persistence id may stand in the way of the others' offsets before it is held. The
// default is 5 s.
func WithHoldAfter(d time.Duration) Option {
	return func(s *settings) { s.ledger.HoldAfter = d }
}

// WithBackoff bounds the time before something that failed is tried again: it doubles from least to most, with
// jitter. The default is 100 ms to 30 s.
func WithBackoff(least, most time.Duration) Option {
	return func(s *settings) { s.ledger.BackoffMin, s.ledger.BackoffMax = least, most }
}

// WithFilter selects the events that the outbox publishes. The default is all of them. It is part of what the
// outbox is: with another filter, use another name.
func WithFilter(f query.Filter) Option {
	return func(s *settings) { s.ledger.Filter = f }
}

// WithSnapshots keeps the outbox's offsets in another place than the journal, or in a place at all if the journal
// cannot keep them.
func WithSnapshots(store query.SnapshotStore) Option {
	return func(s *settings) { s.snapshots = store }
}

// WithScheduler sets what sends the outbox its ticks. The default is Proto.Actor's timer scheduler.
func WithScheduler(sch Scheduler) Option {
	return func(s *settings) {
		s.noScheduler = sch == nil
		s.scheduler = func(*actor.ActorSystem) Scheduler { return sch }
	}
}

// WithClock sets the outbox's clock. The default is time.Now. It decides when something is due, never what is
// published.
func WithClock(now func() time.Time) Option {
	return func(s *settings) { s.clock = now }
}

// WithAuthorize lets the outbox take bare protobuf commands, which is what arrives from another process. The function
// is called with each; the command is carried out if it returns nil. Without it, they are refused: a message from
// outside cannot be told from one of this process. A [Client] of the same actor system needs no leave.
func WithAuthorize(allow func(actor.Context) error) Option {
	return func(s *settings) { s.authorize = allow }
}

// WithPropsOptions adds options of the framework's own, such as a dispatcher, a mailbox or middleware. A supervisor
// strategy has no effect: the outbox supervises its publishers itself.
func WithPropsOptions(opts ...actor.PropsOption) Option {
	return func(s *settings) { s.propsOptions = append(s.propsOptions, opts...) }
}

// OfShard makes an outbox that of one shard. It is the last option of package shards, which alone can name its argument. What
// the application has chosen before, in the place of that package, is refused.
func OfShard(shard local.Shard) Option {
	return func(s *settings) {
		refuse := func(option, instead string) {
			s.misplaced = &OptionError{Option: option, Problem: "it is not for the outbox of a shard, in shards.WithOutboxOptions: " + instead}
		}
		switch {
		case !s.ledger.Filter.All() || s.ledger.Filter.Slices != (query.SliceRange{}):
			refuse("WithFilter", "use shards.WithFilter")
		case s.snapshots != nil:
			refuse("WithSnapshots", "use shards.WithSnapshots")
		case s.authorize != nil:
			refuse("WithAuthorize", "use shards.WithAuthorize")
		case s.start.now:
			refuse("WithStartNow", "each shard would have a now of its own. Use WithStartTime, with the same time for all members")
		}
		s.ledger.Filter, s.snapshots, s.authorize = shard.Filter, shard.Snapshots, shard.Authorize
	}
}

// check returns an *OptionError for the first setting that makes no sense.
func (s *settings) check() error {
	l := &s.ledger
	for _, c := range []struct {
		ok              bool
		option, problem string
	}{
		{l.PollInterval >= time.Millisecond, "WithPollInterval", fmt.Sprintf("%v is less than 1 ms", l.PollInterval)},
		{l.Lanes > 0 && l.Lanes <= query.NumSlices, "WithLanes", fmt.Sprintf("%d is not between 1 and %d", l.Lanes, query.NumSlices)},
		{l.Batch.Events > 0 && l.Batch.Bytes > 0, "WithBatch", "events and bytes must be positive"},
		{l.Window.Events > 0 && l.Window.Bytes > 0, "WithWindow", "events and bytes must be positive"},
		{l.MaxUnsaved >= 4, "WithMaxUnsaved", fmt.Sprintf("%d is less than 4", l.MaxUnsaved)},
		{l.MaxHeld > 0, "WithMaxHeld", fmt.Sprintf("%d is not positive", l.MaxHeld)},
		{l.MaxHeld <= l.MaxUnsaved-2, "WithMaxHeld", fmt.Sprintf("%d held ids leave no room in MaxUnsaved, %d: it must be at least 2 more", l.MaxHeld, l.MaxUnsaved)},
		{l.MaxParked > 0, "WithMaxParked", fmt.Sprintf("%d is not positive", l.MaxParked)},
		{l.OnPoison <= ledger.SkipOver, "WithOnPoison", fmt.Sprintf("%d is none of Park, Hold and Skip", l.OnPoison)},
		{l.MaxAttempts == 0 || l.MaxAttempts >= 2, "WithMaxAttempts", fmt.Sprintf("%d is neither 0 nor at least 2", l.MaxAttempts)},
		{!s.start.byTime || !s.start.time.IsZero(), "WithStartTime", "the time is zero: leave the option out to begin at the beginning"},
		{l.PublishTimeout > 0, "WithPublishTimeout", fmt.Sprintf("%v is not positive", l.PublishTimeout)},
		{l.HoldAfter > 0, "WithHoldAfter", fmt.Sprintf("%v is not positive", l.HoldAfter)},
		{l.BackoffMin > 0 && l.BackoffMax >= l.BackoffMin, "WithBackoff", fmt.Sprintf("%v to %v is no range of positive durations", l.BackoffMin, l.BackoffMax)},
		{l.Filter.Slices.From <= l.Filter.Slices.To && l.Filter.Slices.To <= query.NumSlices, "WithFilter",
			fmt.Sprintf("slices %d up to %d are not between 0 and %d", l.Filter.Slices.From, l.Filter.Slices.To, query.NumSlices)},
		{!s.noScheduler, "WithScheduler", "it is nil"},
		{s.clock != nil, "WithClock", "it is nil"},
	} {
		if !c.ok {
			return &OptionError{Option: c.option, Problem: c.problem}
		}
	}
	return nil
}
