package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// boom makes an outbox that was spawned with exploding panic.
type boom struct{}

func exploding() outbox.Option {
	return outbox.WithPropsOptions(actor.WithReceiverMiddleware(func(next actor.ReceiverFunc) actor.ReceiverFunc {
		return func(c actor.ReceiverContext, env *actor.MessageEnvelope) {
			if _, ok := env.Message.(boom); ok {
				panic("boom")
			}
			next(c, env)
		}
	}))
}

func TestASupervisedRestartGoesOnUnderTheSameEpoch(t *testing.T) {
	j, s := memory.New(), &sink{}
	o := spawn(t, j, publisher.Props(publisher.Func(s.publish)), exploding())
	o.flush(t) // it knows its epoch
	for round := range int64(5) {
		write(t, j, "a", round*20+1, round*20+20)
		o.system.Root.Send(o.pid, boom{})
		o.flush(t)
	}
	require.Equal(t, ids("a", 1, 100), firsts(s.received("a")))
	status, err := o.Status(within(t))
	require.NoError(t, err)
	require.EqualValues(t, 1, status.GetEpoch(), "it has not taken over from itself")
}

func TestAnAnswerForAnEarlierLifeIsNotTaken(t *testing.T) {
	j, probe := memory.New(), testkit.NewTestProbe()
	write(t, j, "a", 1, 1)
	o := spawn(t, j, testkit.Props(probe), exploding(), outbox.WithLanes(1))
	early, err := testkit.GetNextMessageOf[*outboxv1.PublishRequest](probe, patience)
	require.NoError(t, err)
	o.system.Root.Send(o.pid, boom{})
	again, err := testkit.GetNextMessageOf[*outboxv1.PublishRequest](probe, patience)
	require.NoError(t, err)
	require.NotEqual(t, early.GetGeneration(), again.GetGeneration())

	late := &outboxv1.PublishResponse{Generation: early.GetGeneration(), Batch: early.GetBatch(), Outcome: outboxv1.Outcome_OUTCOME_OK}
	o.system.Root.Send(o.pid, late)
	status, err := o.Status(within(t))
	require.NoError(t, err)
	require.EqualValues(t, 1, status.GetInFlight())
	require.Zero(t, status.GetPublished())
}

func TestAPublisherThatDoesNotReturnIsNamed(t *testing.T) {
	j := memory.New()
	write(t, j, "a", 1, 1)
	publishing, release := make(chan struct{}), make(chan struct{})
	hanging := publisher.Func(func(context.Context, publisher.Event) error {
		close(publishing)
		<-release
		return nil
	})
	o := spawn(t, j, publisher.Props(hanging, publisher.WithStopGrace(time.Millisecond)), outbox.WithLanes(1))
	stopped := stoppedIn(t, o.system)
	<-publishing
	o.stop(t)
	s := <-stopped
	close(release)
	require.NoError(t, s.Err)
	require.Len(t, s.Abandoned, 1)
	require.Contains(t, s.Abandoned[0].Id, o.pid.Id+"/lane-0")
}

func TestBareCommandsNeedLeave(t *testing.T) {
	j := memory.New()
	write(t, j, "a", 1, 1)
	o := spawn(t, j, publisher.Props(publisher.Func((&sink{}).publish)))
	answer, err := o.system.Root.RequestFuture(o.pid, &outboxv1.Drain{}, patience).Result()
	require.NoError(t, err)
	require.Equal(t, outboxv1.Code_CODE_UNAUTHORIZED, answer.(*outboxv1.Reply).GetCode())
	require.Contains(t, answer.(*outboxv1.Reply).GetError(), "WithAuthorize")
	o.flush(t)
	o.stop(t)

	var asked []string
	open := spawn(t, j, publisher.Props(publisher.Func((&sink{}).publish)), outbox.WithAuthorize(func(c actor.Context) error {
		asked = append(asked, fmt.Sprintf("%T", c.Message()))
		if _, ok := c.Message().(*outboxv1.Drain); ok {
			return errors.New("not by you")
		}
		return nil
	}))
	answer, err = open.system.Root.RequestFuture(open.pid, &outboxv1.Drain{}, patience).Result()
	require.NoError(t, err)
	require.Contains(t, answer.(*outboxv1.Reply).GetError(), "not by you")
	answer, err = open.system.Root.RequestFuture(open.pid, &outboxv1.GetStatus{}, patience).Result()
	require.NoError(t, err)
	require.Equal(t, "test", answer.(*outboxv1.Status).GetName())
	open.flush(t) // a client of the same system is not asked
	require.Len(t, asked, 2)
}

func TestAnEventThatCannotBeDecodedBlocksNobody(t *testing.T) {
	j := memory.New()
	mux := publisher.NewMux(publisher.Park)
	write(t, j, "a", 1, 2) // of a type that the mux does not know
	o := spawn(t, j, publisher.Props(mux))
	o.flush(t)
	status, err := o.Status(within(t))
	require.NoError(t, err)
	require.EqualValues(t, 2, status.GetParkedCount())
	require.NotEmpty(t, status.GetParked()[0].GetReason())
}
