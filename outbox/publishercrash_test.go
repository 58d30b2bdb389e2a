package outbox_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// brittle is a publisher actor of the application's own. Its first lives panic at the moments that are named: "producer",
// "init", or the type of the message that they then receive. The others deliver to the sink.
type brittle struct {
	*sink
	lives   int32
	moments []string
	life    atomic.Int32
}

func (b *brittle) reach(life int32, moment string) {
	if life <= b.lives && slices.Contains(b.moments, moment) {
		panic("the publisher has a bug: " + moment)
	}
}

func (b *brittle) props() *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor {
		life := b.life.Add(1)
		b.reach(life, "producer")
		return actor.ReceiveFunc(func(c actor.Context) {
			b.reach(life, fmt.Sprintf("%T", c.Message()))
			if r, ok := c.Message().(*outboxv1.PublishRequest); ok {
				for _, e := range r.GetEvents() {
					_ = b.publish(context.Background(), publisher.Event{Event: query.Event{PersistenceID: e.GetPersistenceId(), SequenceNumber: e.GetSequenceNumber()}})
				}
				c.Respond(&outboxv1.PublishResponse{Generation: r.GetGeneration(), Batch: r.GetBatch(), Outcome: outboxv1.Outcome_OUTCOME_OK})
			}
		})
	}, actor.WithOnInit(func(actor.Context) { b.reach(b.life.Load(), "init") }))
}

const (
	onStarted  = "*actor.Started"
	onRequest  = "*outboxv1.PublishRequest"
	onStopping = "*actor.Stopping"
	onStopped  = "*actor.Stopped"
)

func TestAPublisherThatPanicsAtAnyMomentOfItsLifeIsReplacedAndCostsTheOutboxNoRestart(t *testing.T) {
	for name, moments := range map[string][]string{
		"as it is made":                                 {"producer"},
		"as it is initialised":                          {"init"},
		"as it starts":                                  {onStarted},
		"as it publishes":                               {onRequest},
		"as it starts, and as it stops then":            {onStarted, onStopping},
		"as it publishes, and as it stops then":         {onRequest, onStopping},
		"as it publishes, and when it has then stopped": {onRequest, onStopped},
		"whatever it is told":                           {onStarted, onRequest, onStopping, onStopped, "*actor.Terminated"},
	} {
		simulated(t, name, func(t *testing.T) {
			const lanes, lives = 2, 30 // far more than a supervisor's default of restarts
			j, b := memory.New(), &brittle{sink: &sink{}, lives: lives, moments: moments}
			for _, id := range []string{"a", "b", "c", "d"} {
				write(t, j, id, 1, 10)
			}
			system := testkit.NewActorSystem(t)
			before := processes(system)
			failures := eventsOf(t, system, func(e any) bool { f, ok := e.(*actor.SupervisorEvent); return ok && f.Directive != actor.StopDirective })
			o := spawnIn(t, system, j, b.props(), outbox.WithLanes(lanes))
			o.flush(t)
			for _, id := range []string{"a", "b", "c", "d"} {
				require.Equal(t, ids(id, 1, 10), b.received(id))
			}
			require.EqualValues(t, lives+lanes, b.life.Load())
			require.Empty(t, failures(), "the outbox itself has not crashed")
			o.stop(t)
			require.Equal(t, before, processes(system), "no child is left")
		})
	}
}

func TestAPublisherThatPanicsWhileTheOutboxStopsHoldsUpNoStop(t *testing.T) {
	for _, moment := range []string{onStopping, onStopped} {
		simulated(t, moment, func(t *testing.T) {
			j, b := memory.New(), &brittle{sink: &sink{}, lives: 1000, moments: []string{moment}}
			write(t, j, "a", 1, 10)
			system := testkit.NewActorSystem(t)
			before := processes(system)
			o := spawnIn(t, system, j, b.props())
			o.flush(t)
			stopped, begun := stoppedIn(t, system), time.Now()
			o.stop(t)
			require.Zero(t, time.Since(begun))
			require.NoError(t, next(t, "the stop", stopped).Err)
			require.Equal(t, before, processes(system))
		})
	}
}
