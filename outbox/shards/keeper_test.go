package shards

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/cluster"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// lookups is what a cluster knows of its shards. One that belongs to a dead member blocks the caller for five seconds, as
// the cluster's does.
type lookups struct {
	cluster.IdentityLookup
	mu    sync.Mutex
	where map[string]*actor.PID
	dead  bool
	asked map[string]int
}

func (l *lookups) Get(identity *cluster.ClusterIdentity) *actor.PID {
	l.mu.Lock()
	l.asked[identity.GetIdentity()]++
	pid, dead := l.where[identity.GetIdentity()], l.dead
	l.mu.Unlock()
	if dead {
		<-time.After(5 * time.Second)
		return nil
	}
	return pid
}

func (l *lookups) count(identity string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked[identity]
}

func (l *lookups) setDead(dead bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = dead
}

// inCluster makes a cluster of the node's system of which nothing works but the lookups.
func (n *node) inCluster() (*cluster.Cluster, *lookups) {
	l := &lookups{where: make(map[string]*actor.PID), asked: make(map[string]int)}
	return &cluster.Cluster{ActorSystem: n.system, IdentityLookup: l, PidCache: cluster.NewPidCache()}, l
}

func TestAKeeperAsksForEveryShardOnATimer(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		n := w.node(2, WithPingInterval(time.Second))
		c, l := n.inCluster()
		for number := range 2 {
			l.where[n.identity(number)] = n.activate(number)
		}
		keeper := n.system.Root.Spawn(n.Keeper(c))
		pass(10*time.Second + 500*time.Millisecond)
		for number := range 2 {
			require.Equal(t, 11, l.count(n.identity(number)), "at once, and every second")
		}
		require.NoError(t, n.Leave(t.Context(), time.Second))
		pass(10 * time.Second)
		require.Equal(t, 11, l.count(n.identity(0)), "a member that leaves asks for nothing more")
		require.NoError(t, n.system.Root.StopFuture(keeper).Wait())
	})
}

func TestAKeeperAsksAtOnceWhenSomebodyHasGoneAlthoughItsQuestionsHang(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		n := w.node(1, WithPingInterval(time.Second))
		c, l := n.inCluster()
		l.setDead(true)
		keeper := n.system.Root.Spawn(n.Keeper(c))
		pass(2500 * time.Millisecond)
		require.Equal(t, 3, l.count(n.identity(0)))
		l.setDead(false)
		l.where[n.identity(0)] = n.activate(0)
		n.system.EventStream.Publish(&cluster.ClusterTopology{TopologyHash: 2, Left: []*cluster.Member{{Id: "a"}}})
		synctest.Wait()
		require.Equal(t, 4, l.count(n.identity(0)), "not after the hanging ones")
		n.system.EventStream.Publish(&cluster.ClusterTopology{TopologyHash: 3, Joined: []*cluster.Member{{Id: "b"}}})
		synctest.Wait()
		require.Equal(t, 4, l.count(n.identity(0)), "others may join yet")
		pass(joinWait)
		require.Equal(t, 5, l.count(n.identity(0)))
		require.NoError(t, n.system.Root.StopFuture(keeper).Wait())
		n.system.EventStream.Publish(&cluster.ClusterTopology{TopologyHash: 4, Left: []*cluster.Member{{Id: "b"}}})
		pass(10 * time.Second)
		require.Equal(t, 5, l.count(n.identity(0)), "it has stopped")
	})
}

func TestHangingQuestionsAreBounded(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		n := w.node(1, WithPingInterval(10*time.Millisecond))
		c, l := n.inCluster()
		l.setDead(true)
		keeper := n.system.Root.Spawn(n.Keeper(c))
		pass(4 * time.Second)
		require.Equal(t, maxOpen, l.count(n.identity(0)))
		require.NoError(t, n.system.Root.StopFuture(keeper).Wait())
		pass(5 * time.Second)
	})
}

func TestAClientGetsRoundALookupThatHangs(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		n := w.node(1)
		c, l := n.inCluster()
		l.setDead(true)
		client := n.Client(c)
		time.AfterFunc(700*time.Millisecond, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.dead = false
		})
		l.where[n.identity(0)] = n.activate(0)
		w.write()
		began := time.Now()
		require.NoError(t, client.WaitPublished(t.Context(), "order-1", 0))
		require.Less(t, time.Since(began), 3*time.Second)
		pass(5 * time.Second) // what hangs
	})
}

func TestAClientSaysWhichShardsDoNotAnswer(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		n := w.node(2)
		c, l := n.inCluster()
		client := n.Client(c)
		l.where[n.identity(1)] = n.activate(1)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		answers := client.Status(ctx)
		require.ErrorIs(t, answers[0].Err, ErrNoShard)
		require.Nil(t, answers[0].Shard)
		require.NoError(t, answers[1].Err)
		require.Equal(t, running, answers[1].Shard.GetState())
		require.EqualValues(t, 2, answers[1].Shard.GetOutbox().GetEpoch(), "the first was when it was registered")
		require.Equal(t, []int32{512, 1024}, []int32{answers[1].Shard.GetFromSlice(), answers[1].Shard.GetToSlice()})
		_, err := client.Shard(ctx, 2)
		require.ErrorIs(t, err, ErrNoShard)
	})
}

// A client that waits at a shard that moves goes on at its new place.
func TestAClientFollowsAShardThatMoves(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		first, second := w.node(1), w.node(1)
		c, l := first.inCluster()
		l.where[first.identity(0)] = first.activate(0)
		client := first.Client(c)
		require.NoError(t, client.Pause(t.Context()))
		w.write()
		done := make(chan error, 1)
		go func() { done <- client.Flush(t.Context()) }()
		pass(time.Second)
		first.stop(first.pid)
		pid := second.activate(0)
		pass(time.Second)
		require.Empty(t, done, "the pause goes on over a takeover")
		// There is no remote between the two systems: the client of the second has the word.
		c2, l2 := second.inCluster()
		l2.where[second.identity(0)] = pid
		require.NoError(t, second.Client(c2).Resume(t.Context()))
		require.NoError(t, second.Client(c2).Flush(t.Context()))
		require.Equal(t, 1, w.published())
		first.activate(0)
		l.mu.Lock()
		l.where[first.identity(0)] = first.pid
		l.mu.Unlock()
		require.NoError(t, <-done)
	})
}

func TestAClientIsRefusedWithTheReason(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		require.NoError(t, checkLayout(context.Background(), w.j, names{"shop", 2}, nil))
		n := w.node(1)
		c, l := n.inCluster()
		l.where[n.identity(0)] = n.activate(0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := n.Client(c).Flush(ctx)
		require.ErrorIs(t, err, outbox.ErrUnavailable)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "configured for 1")
		require.Equal(t, outboxv1.ShardState_SHARD_STATE_REFUSED, n.tell().GetState())
	})
}
