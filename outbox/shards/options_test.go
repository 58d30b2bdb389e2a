package shards

import (
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// What would be overridden, or would mean something else for each shard, is refused, and it is said what to use.
func TestOptionsThatAreNotForOneShardAreRefused(t *testing.T) {
	j := store(t)
	props := publisher.Props(publisher.Func((&world{}).publish))
	for option, c := range map[string]struct {
		given   outbox.Option
		instead string
	}{
		"WithFilter":    {outbox.WithFilter(query.Filter{Types: []string{"x"}}), "shards.WithFilter"},
		"WithSnapshots": {outbox.WithSnapshots(memory.New()), "shards.WithSnapshots"},
		"WithAuthorize": {outbox.WithAuthorize(func(actor.Context) error { return nil }), "shards.WithAuthorize"},
		"WithStartNow":  {outbox.WithStartNow(), "WithStartTime"},
	} {
		_, err := New("shop", 4, j, props, WithOutboxOptions(outbox.WithLanes(1), c.given, outbox.WithLanes(2)))
		var wrong *outbox.OptionError
		require.ErrorAs(t, err, &wrong, option)
		require.Equal(t, option, wrong.Option)
		require.Contains(t, wrong.Problem, c.instead)
		require.Contains(t, wrong.Problem, "shards.WithOutboxOptions")
	}
	slices := outbox.WithFilter(query.Filter{Slices: query.SliceRange{To: query.NumSlices}})
	_, err := New("shop", 4, j, props, WithOutboxOptions(slices))
	require.ErrorContains(t, err, "shards.WithFilter", "all of the slices are too many")
	_, err = New("shop", 4, j, props, WithOutboxOptions(outbox.WithStartTime(time.Now())), WithFilter(query.Filter{Types: []string{"x"}}),
		WithSnapshots(j), WithAuthorize(func(actor.Context) error { return nil }))
	require.NoError(t, err)
	_, err = New("shop", 4, struct{ query.Journal }{j}, props)
	require.ErrorContains(t, err, "WithSnapshots", "the journal cannot keep offsets")
}

// A command from another process goes to the shard's outbox itself.
func TestTheOutboxOfAShardSaysWhoseLeaveItNeeds(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		n := w.node(1)
		n.activate(0)
		pass(time.Second)
		pong := n.ask(&outboxv1.PingShard{}).(*outboxv1.PongShard)
		child := actor.NewPID(pong.GetOutboxAddress(), pong.GetOutboxId())
		answer, err := n.system.Root.RequestFuture(child, &outboxv1.WaitPublished{PersistenceId: "a"}, time.Second).Result()
		require.NoError(t, err)
		require.Equal(t, outboxv1.Code_CODE_UNAUTHORIZED, answer.(*outboxv1.Reply).GetCode())
		require.Contains(t, answer.(*outboxv1.Reply).GetError(), "shards.WithAuthorize")
	})
}
