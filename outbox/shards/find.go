package shards

import (
	"context"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/cluster"
)

// lookup has the cluster say where a shard is, and activate it if it is nowhere; nil if it does not know. It does not use the
// cluster's cache, which keeps to an old activation as long as that answers. It may block for five seconds.
func lookup(c *cluster.Cluster, n names, number int) *actor.PID {
	pid := c.Get(n.identity(number), n.kind())
	if pid != nil {
		c.PidCache.Set(n.identity(number), n.kind(), pid)
	}
	return pid
}

// Looking for a shard.
const (
	hedge      = 500 * time.Millisecond // a lookup that takes longer may be blocked by a member that has died
	maxLookups = 8
	again      = 100 * time.Millisecond
)

// find looks a shard up, again and again until ctx ends.
func find(ctx context.Context, c *cluster.Cluster, n names, number int) (*actor.PID, error) {
	found := make(chan *actor.PID, maxLookups)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for open := 0; ; {
		select {
		case pid := <-found:
			if pid != nil {
				return pid, nil
			}
			open--
			timer.Reset(again)
		case <-timer.C:
			if open < maxLookups {
				open++
				go func() {
					var err error
					var pid *actor.PID
					defer func() { found <- pid }()
					defer caught(&err) // the cluster has not started
					pid = lookup(c, n, number)
				}()
			}
			timer.Reset(hedge)
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %s is not found: %w", ErrNoShard, n.identity(number), ctx.Err())
		}
	}
}
