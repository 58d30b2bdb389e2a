package takeover

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
)

// reportInterval is how often a sink tells how much it was given.
const reportInterval = 20 * time.Millisecond

// sink takes one event after the other, each of which takes a while.
type sink struct {
	work  time.Duration
	count atomic.Int64
}

func (s *sink) publish(ctx context.Context, _ publisher.Event) error {
	select {
	case <-time.After(s.work):
	case <-ctx.Done():
		return ctx.Err()
	}
	s.count.Add(1)
	return nil
}

// tell reports until ctx ends, or the reports' reader has gone.
func (s *sink) tell(ctx context.Context, r *reporter, statements *atomic.Int64) {
	tick := time.NewTicker(reportInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := time.Now()
		if r.report(Report{What: Published, Count: s.count.Load(), Statements: statements.Load(), Began: now, Ended: now}) != nil {
			return
		}
	}
}
