package outbox_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

func TestAStoreThatDoesNotReturnHoldsUpNoStop(t *testing.T) {
	j, s := newSpy(), &sink{}
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	j.saving = func(context.Context, query.Saved) error { <-release; return nil }
	write(t, j.Journal, "a", 1, 1)
	system := testkit.NewActorSystem(t)
	props, err := outbox.Props("test", j, publisher.Props(publisher.Func(s.publish)), frozen())
	require.NoError(t, err)
	stopped := stoppedIn(t, system)
	pid := system.Root.Spawn(props)
	require.NoError(t, outbox.NewClient(system.Root, pid).WaitPublished(within(t), "a", 1))
	require.NoError(t, system.Root.StopFuture(pid).Wait())
	require.Equal(t, 1, (<-stopped).Unreturned)
}
