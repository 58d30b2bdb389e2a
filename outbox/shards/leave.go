package shards

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/outbox"
)

// Leave has this member's shards stop in good order, before the application shuts its cluster down: each reads nothing more,
// waits up to the deadline for what is in flight, saves, and says in its offsets that it has. From then on this member
// runs no shard and its keeper asks for none; what the cluster activates here says that it is leaving. Another member takes over
// once the cluster knows that this one has gone.
//
// It returns when all have stopped, or ctx ends. The error says which ended otherwise, such as outbox.ErrDrainDeadline: what
// was not saved is published again. It cannot be taken back.
func (s *Shards) Leave(ctx context.Context, deadline time.Duration) error {
	s.mu.Lock()
	s.leaving = true
	active := make([]*activation, 0, len(s.active))
	for a := range s.active {
		active = append(active, a)
	}
	s.mu.Unlock()
	for _, a := range active {
		a.system.Root.Send(a.pid, leave{deadline})
	}
	var errs []error
	for _, a := range active {
		select {
		case <-a.idle:
			// One that is another's by now has been left already.
			if a.err != nil && !errors.Is(a.err, outbox.ErrFenced) {
				errs = append(errs, fmt.Errorf("shard at %s: %w", a.pid.GetId(), a.err))
			}
		case <-ctx.Done():
			return errors.Join(append(errs, fmt.Errorf("not all shards have stopped: %w", ctx.Err()))...)
		}
	}
	return errors.Join(errs...)
}
