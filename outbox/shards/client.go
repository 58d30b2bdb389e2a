package shards

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/cluster"
	"google.golang.org/protobuf/proto"

	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// Client talks to an outbox in shards, from any member or client of the cluster. It holds nothing open and is safe for
// concurrent use. Every method returns when ctx ends, at the latest.
//
// Commands need [WithAuthorize], unless their shard runs in the same process. A shard that moves meanwhile, or is not active
// yet, is asked again until ctx ends.
type Client struct {
	cluster *cluster.Cluster
	names   names
}

// NewClient returns a client for the outbox of this name, which has so many shards. The cluster must have started, as a member
// or as a client. An invalid argument is an *outbox.OptionError. That it is the number that the members have is seen when they are
// asked: all methods return ErrLayout if it is not.
func NewClient(c *cluster.Cluster, name string, shards int) (*Client, error) {
	n := names{name, shards}
	if err := n.check(); err != nil {
		return nil, err
	}
	return &Client{cluster: c, names: n}, nil
}

// Client returns a client for these shards.
func (s *Shards) Client(c *cluster.Cluster) *Client { return &Client{cluster: c, names: s.names} }

// Answer is what one shard has said of itself.
type Answer struct {
	// Number of the shard.
	Number int
	// Shard is what it said; nil if it did not answer.
	Shard *outboxv1.Shard
	// Err is why it did not answer, and wraps ErrNoShard; or it wraps ErrLayout, if it is one of another number of shards.
	Err error
}

// Status asks all shards at once how they are, and returns the answers in the order of the shards. One that cannot be
// reached is told by its Answer; give ctx a deadline of a few seconds. How the outboxes are is told without reasons, ids
// and destinations unless [WithAuthorize] allows a GetShard.
func (c *Client) Status(ctx context.Context) []Answer {
	answers := make([]Answer, c.names.shards)
	var all sync.WaitGroup
	for number := range answers {
		all.Go(func() {
			shard, err := c.ask(ctx, number)
			answers[number] = Answer{Number: number, Shard: shard, Err: err}
		})
	}
	all.Wait()
	return answers
}

// ask asks one shard how it is.
func (c *Client) ask(ctx context.Context, number int) (*outboxv1.Shard, error) {
	answer, err := c.request(ctx, number, &outboxv1.GetShard{})
	if err != nil {
		return nil, err
	}
	if shard, ok := answer.(*outboxv1.Shard); ok {
		if int(shard.GetShards()) != c.names.shards {
			return shard, c.otherNumber(shard.GetShards(), number)
		}
		return shard, nil
	}
	return nil, fmt.Errorf("%w: %s answered with a %T", ErrNoShard, c.names.identity(number), answer)
}

// otherNumber is the error of a shard of which its member says that it is one of so many. What such a client asks of all shards
// would be done by some, and what it asks for an id by the wrong one.
func (c *Client) otherNumber(shards int32, number int) error {
	return fmt.Errorf("%w: this client is for %d shards of outbox %q, the member that runs %s is configured for %d",
		ErrLayout, c.names.shards, c.names.name, c.names.identity(number), shards)
}

// request asks a shard's actor, again and again until it answers or ctx ends.
func (c *Client) request(ctx context.Context, number int, message proto.Message) (any, error) {
	const patience = statusWait + time.Second
	for {
		pid, err := find(ctx, c.cluster, c.names, number)
		if err != nil {
			return nil, err
		}
		type result struct {
			answer any
			err    error
		}
		done := make(chan result, 1)
		go func() {
			answer, err := c.cluster.ActorSystem.Root.RequestFuture(pid, message, patience).Result()
			done <- result{answer, err}
		}()
		select {
		case r := <-done:
			if r.err == nil {
				return r.answer, nil
			}
			err = r.err
		case <-ctx.Done():
			err = ctx.Err()
		}
		select {
		case <-time.After(again):
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %s at %s: %w", ErrNoShard, c.names.identity(number), pid.GetAddress(), err)
		}
	}
}

// ShardOf returns the number of the shard that publishes the events of a persistence id, for [Client.Shard].
func (c *Client) ShardOf(persistenceID string) int { return c.names.of(persistenceID) }

// Shard returns a client for the outbox of one shard as it runs now, for what is asked of one at a time: rewind, accept a
// journal, look at it closely. The error is outbox.ErrUnavailable if the shard is found but runs no outbox, and says why. When
// the shard moves, the client's calls return outbox.ErrStopped, and it is to be looked for again. If it is drained, its
// member spawns it anew.
func (c *Client) Shard(ctx context.Context, number int) (*outbox.Client, error) {
	if number < 0 || number >= c.names.shards {
		return nil, fmt.Errorf("%w: there is no shard %d of %d", ErrNoShard, number, c.names.shards)
	}
	answer, err := c.request(ctx, number, &outboxv1.PingShard{Wanted: true})
	if err != nil {
		return nil, err
	}
	pong, ok := answer.(*outboxv1.PongShard)
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: %s answered with a %T", ErrNoShard, c.names.identity(number), answer)
	case int(pong.GetShards()) != c.names.shards:
		return nil, c.otherNumber(pong.GetShards(), number)
	case pong.GetOutboxId() == "":
		return nil, fmt.Errorf("%w: shard %s does not run: %s", outbox.ErrUnavailable, c.names.identity(number), pong.GetReason())
	}
	return outbox.NewClient(c.cluster.ActorSystem.Root, actor.NewPID(pong.GetOutboxAddress(), pong.GetOutboxId())), nil
}

// WaitPublished waits until an event is published, by the shard that it belongs to; see outbox.Client.WaitPublished.
func (c *Client) WaitPublished(ctx context.Context, persistenceID string, sequenceNumber int64) error {
	if err := query.ValidateID(persistenceID); err != nil {
		return fmt.Errorf("%w: %w", outbox.ErrNotFound, err)
	}
	return c.insist(ctx, c.names.of(persistenceID), true, func(o *outbox.Client) error {
		return o.WaitPublished(ctx, persistenceID, sequenceNumber)
	})
}

// Flush waits until everything that was committed before the call is published or parked, and saved, by all shards.
func (c *Client) Flush(ctx context.Context) error {
	return c.all(ctx, true, func(o *outbox.Client) error { return o.Flush(ctx) })
}

// Pause stops all shards reading and publishing until [Client.Resume], over takeovers too. If it fails for some, the others
// are paused.
func (c *Client) Pause(ctx context.Context) error {
	return c.all(ctx, true, func(o *outbox.Client) error { return ignoreConflict(o.Pause(ctx)) })
}

// Resume ends a pause of all shards.
func (c *Client) Resume(ctx context.Context) error {
	return c.all(ctx, true, func(o *outbox.Client) error { return ignoreConflict(o.Resume(ctx)) })
}

// ignoreConflict: it is as was asked for.
func ignoreConflict(err error) error {
	if errors.Is(err, outbox.ErrConflict) {
		return nil
	}
	return err
}

// Skip lets go of one event for good; see outbox.Client.Skip.
func (c *Client) Skip(ctx context.Context, persistenceID string, sequenceNumber int64) error {
	return c.insist(ctx, c.names.of(persistenceID), false, func(o *outbox.Client) error {
		return o.Skip(ctx, persistenceID, sequenceNumber)
	})
}

// Retry has an id that waits tried again at once, all of them in all shards if it is empty; see outbox.Client.Retry.
func (c *Client) Retry(ctx context.Context, persistenceID string) (ids int, err error) {
	return c.count(ctx, persistenceID, func(o *outbox.Client) (int, error) { return o.Retry(ctx, persistenceID) })
}

// Redrive publishes parked events after all, those of all shards if the id is empty; see outbox.Client.Redrive.
func (c *Client) Redrive(ctx context.Context, persistenceID string, sequenceNumber int64) (events int, err error) {
	return c.count(ctx, persistenceID, func(o *outbox.Client) (int, error) { return o.Redrive(ctx, persistenceID, sequenceNumber) })
}

// count adds up what the shards concerned have done.
func (c *Client) count(ctx context.Context, persistenceID string, do func(*outbox.Client) (int, error)) (sum int, err error) {
	var mu sync.Mutex
	add := func(o *outbox.Client) error {
		n, err := do(o)
		mu.Lock()
		defer mu.Unlock()
		sum += n
		return err
	}
	if persistenceID == "" {
		err = c.all(ctx, false, add)
	} else {
		err = c.insist(ctx, c.names.of(persistenceID), false, add)
	}
	mu.Lock()
	defer mu.Unlock()
	return sum, err
}

// all asks all shards, in parallel, and returns every error.
func (c *Client) all(ctx context.Context, harmless bool, do func(*outbox.Client) error) error {
	errs := make([]error, c.names.shards)
	var all sync.WaitGroup
	for number := range errs {
		all.Go(func() {
			if err := c.insist(ctx, number, harmless, do); err != nil {
				errs[number] = fmt.Errorf("shard %s: %w", c.names.identity(number), err)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// insist asks a shard until it has an answer. What is not harmless when it is done twice is not asked again once the shard
// may have done it.
func (c *Client) insist(ctx context.Context, number int, harmless bool, do func(*outbox.Client) error) error {
	var last error // which says more than that it was not answered in time
	for {
		o, err := c.Shard(ctx, number)
		if err == nil {
			err = do(o)
		}
		switch {
		case errors.Is(err, outbox.ErrUnavailable) || (harmless && errors.Is(err, outbox.ErrStopped)):
			last = err
		case last != nil && ctx.Err() != nil:
			return fmt.Errorf("%w: %w", last, ctx.Err())
		default:
			return err
		}
		select {
		case <-time.After(again):
		case <-ctx.Done():
		}
	}
}
