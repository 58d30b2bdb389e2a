package ledger

import (
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// Config is fixed for the life of a Ledger. All numbers must be positive; package outbox checks them.
type Config struct {
	// Generation is echoed by publishers. It must be greater than that of every earlier ledger whose answers
	// may still arrive.
	Generation uint64
	// Lanes is the number of publishers.
	Lanes int
	// Filter is what the feed selects; reads by id are filtered by it here.
	Filter query.Filter

	// PollInterval is the time between two reads of a feed that had something to say; IdlePollInterval that of
	// one that had not.
	PollInterval, IdlePollInterval time.Duration
	// Page limits one read of the feed.
	Page query.Limits
	// Window limits the events that were read and have not yet passed the watermark.
	Window query.Limits
	// CatchUp limits one read by id.
	CatchUp query.Limits
	// CatchUps is the number of held streams that may have events in memory at a time.
	CatchUps int
	// Batch limits one batch.
	Batch query.Limits
	// LaneBatches is the number of unanswered batches per lane; as many again are allowed for events that are
	// sent anew, so that those who fail do not stand in the way of the others.
	LaneBatches int

	// MaxUnsaved bounds the events sent at least once that no saved snapshot records.
	MaxUnsaved int
	// MaxHeld bounds the held streams; it must be at most MaxUnsaved-2.
	MaxHeld int
	// MaxParked bounds the parked events.
	MaxParked int
	// OnPoison says what becomes of an event that can never be published.
	OnPoison PoisonRule
	// MaxAttempts is how often an event may fail by itself, while others get through where it goes, before it counts as one that can
	// never be published: at least 2, since one failure says nothing; 0 means without end.
	MaxAttempts int

	// SaveEvery and SaveInterval: a snapshot is saved when so many events can be recorded, or so long after the
	// first of them. LazySaveInterval is for a watermark that moved over nothing that was published.
	SaveEvery                      int
	SaveInterval, LazySaveInterval time.Duration

	// ReadTimeout, PublishTimeout and SaveTimeout: an answer later than that counts as missing.
	ReadTimeout, PublishTimeout, SaveTimeout time.Duration
	// HoldAfter is how long one stream may pin the watermark before it is held.
	HoldAfter time.Duration
	// BackoffMin and BackoffMax bound the time before something that failed is tried again.
	BackoffMin, BackoffMax time.Duration
	// OutageAfter is the number of distinct streams that must fail in a row, with no success among them, for
	// the sink, or the destination that the publisher names, to be held responsible.
	OutageAfter int
	// Jitter returns a number in [0, 1) for backoff; a fixed source makes the ledger reproducible.
	Jitter func() float64
}

// PoisonRule says what becomes of an event that can never be published.
type PoisonRule uint8

// The rules.
const (
	// Park gives up on the event, keeps a pointer to it, and goes on with its stream.
	Park PoisonRule = iota
	// Hold lets the stream wait for an operator's [Retry] or [Skip].
	Hold
	// SkipOver gives up on the event, counts it, and goes on.
	SkipOver
)

// contiguous reports whether the feed shows every event of a stream, so that a gap in its sequence numbers says that
// the feed has not shown one.
func (c *Config) contiguous() bool { return len(c.Filter.Types) == 0 && len(c.Filter.Tags) == 0 }

// Backoff is the time to wait after the given number of failures in a row: it doubles from BackoffMin to BackoffMax,
// and between half of that and the whole is left to Jitter.
func (c *Config) Backoff(failures int) time.Duration {
	d := c.BackoffMax
	if shift := max(failures-1, 0); c.BackoffMin <= c.BackoffMax>>shift {
		d = c.BackoffMin << shift
	}
	return d/2 + time.Duration(float64(d/2)*c.Jitter())
}
