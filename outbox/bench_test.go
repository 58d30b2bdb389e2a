package outbox_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// noop takes everything.
type noop struct{}

func (noop) Publish(context.Context, []publisher.Event) error { return nil }

// BenchmarkDrain publishes what is in memory to a publisher that does nothing.
func BenchmarkDrain(b *testing.B) {
	j := memory.New()
	data := make([]byte, 256)
	for n := range b.N {
		e := query.Event{PersistenceID: fmt.Sprintf("id-%d", n%1000), SequenceNumber: int64(n/1000) + 1, Type: "t", Data: data}
		e.UID[0], e.UID[1], e.UID[2], e.UID[3] = byte(n), byte(n>>8), byte(n>>16), byte(n>>24)
		require.NoError(b, j.AppendEvent(context.Background(), e))
	}
	props, err := outbox.Props("bench", j, publisher.Props(noop{}))
	require.NoError(b, err)
	system := testkit.NewActorSystem(b)
	b.ResetTimer()
	pid := system.Root.Spawn(props)
	require.NoError(b, outbox.NewClient(system.Root, pid).Flush(context.Background()))
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	require.NoError(b, system.Root.StopFuture(pid).Wait())
}
