package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// customers is a sink with a place for each customer, which an id begins with.
type customers struct {
	sink
	down sync.Map // names of those that take nothing
}

func (s *customers) Destination(e publisher.Event) string { return customerOf(e.PersistenceID) }

func customerOf(id string) string {
	name, _, _ := strings.Cut(id, "-")
	return name
}

var errUnreachable = errors.New("unreachable")

func (s *customers) take(ctx context.Context, e publisher.Event) error {
	if _, down := s.down.Load(customerOf(e.PersistenceID)); down {
		return publisher.RetryAfter(errUnreachable, 0)
	}
	return s.publish(ctx, e)
}

func (s *customers) Publish(ctx context.Context, events []publisher.Event) error {
	return publisher.Func(s.take).Publish(ctx, events)
}

// byHand is an actor of somebody's own that publishes to the customers' sink: each says in another way where events go.
func (s *customers) byHand(name func(*outboxv1.PublishRequest, *outboxv1.PublishResponse)) *actor.Props {
	return actor.PropsFromFunc(func(c actor.Context) {
		r, ok := c.Message().(*outboxv1.PublishRequest)
		if !ok {
			return
		}
		answer := &outboxv1.PublishResponse{Generation: r.GetGeneration(), Batch: r.GetBatch(), Outcome: outboxv1.Outcome_OUTCOME_OK}
		failed := map[string]bool{}
		for i, e := range r.GetEvents() {
			if id := e.GetPersistenceId(); failed[id] || s.take(context.Background(), eventOf(e)) != nil {
				failed[id] = true
				answer.Results = append(answer.Results, &outboxv1.PublishResult{Index: uint32(i), Outcome: outboxv1.Outcome_OUTCOME_RETRY, Error: "no"})
			}
		}
		name(r, answer)
		c.Respond(answer)
	})
}

func eventOf(e *outboxv1.Event) (event publisher.Event) {
	event.PersistenceID, event.SequenceNumber = e.GetPersistenceId(), e.GetSequenceNumber()
	return event
}

// all names the destinations of all events.
func all(r *outboxv1.PublishRequest, answer *outboxv1.PublishResponse) {
	for _, e := range r.GetEvents() {
		name := customerOf(e.GetPersistenceId())
		if !slices.Contains(answer.Destinations, name) {
			answer.Destinations = append(answer.Destinations, name)
		}
		answer.EventDestinations = append(answer.EventDestinations, uint32(slices.Index(answer.Destinations, name)+1))
	}
}

// failures names only those of events that were not delivered.
func failures(r *outboxv1.PublishRequest, answer *outboxv1.PublishResponse) {
	for _, f := range answer.Results {
		f.Destination = customerOf(r.GetEvents()[f.GetIndex()].GetPersistenceId())
	}
}

func TestADestinationThatIsDownStopsNobodyElse(t *testing.T) {
	const streams = 20
	for what, props := range map[string]func(*customers) *actor.Props{
		"a publisher that knows where events go": func(s *customers) *actor.Props { return publisher.Props(s) },
		"an actor that names all destinations":   func(s *customers) *actor.Props { return s.byHand(all) },
		"an actor that names those of failures":  func(s *customers) *actor.Props { return s.byHand(failures) },
	} {
		t.Run(what, func(t *testing.T) {
			j, s := memory.New(), &customers{}
			last := int64(0)
			more := func() {
				last += 5
				for i := range streams {
					for _, name := range []string{"acme", "globex", "initech"} {
						write(t, j, fmt.Sprintf("%s-%d", name, i), last-4, last)
					}
				}
			}
			s.down.Store("globex", true)
			more()
			var restarts atomic.Int32
			o := spawn(t, j, props(s), outbox.WithMaxAttempts(2), outbox.WithMaxHeld(streams+1))
			o.system.EventStream.Subscribe(func(e any) {
				if _, is := e.(*actor.SupervisorEvent); is {
					restarts.Add(1)
				}
			})
			published := func() {
				for i := range streams {
					for _, name := range []string{"acme", "initech"} {
						require.NoError(t, o.WaitPublished(within(t), fmt.Sprintf("%s-%d", name, i), last))
					}
				}
			}
			published()
			var status *outboxv1.Status
			await(t, "all that go there wait", func() bool {
				var err error
				status, err = o.Status(within(t))
				out := status.GetDestinationsOut()
				return err == nil && status.GetHeldCount() == streams && len(out) == 1 && out[0].GetWaiting() == streams && out[0].GetFailedProbes() > 2
			})
			out := status.GetDestinationsOut()[0]
			require.EqualValues(t, 1, status.GetDestinationsOutCount())
			require.Equal(t, "globex", out.GetDestination())
			require.NotEmpty(t, out.GetError())
			require.True(t, out.GetSince().IsValid())
			require.Equal(t, outboxv1.State_STATE_RUNNING, status.GetState())
			require.Zero(t, status.GetParkedCount())
			for _, h := range status.GetHeld() {
				require.Equal(t, "globex", customerOf(h.GetPersistenceId()))
				require.Equal(t, "globex", h.GetDestination())
			}

			more() // that somebody waits is no reason not to read on
			published()
			require.Empty(t, s.received("globex-0"))

			s.down.Delete("globex")
			o.flush(t)
			status, err := o.Status(within(t))
			require.NoError(t, err)
			require.Zero(t, status.GetHeldCount())
			require.Empty(t, status.GetDestinationsOut())
			require.Zero(t, status.GetParkedCount(), "what failed while nothing got through does not count")
			for i := range streams {
				for _, name := range []string{"acme", "globex", "initech"} {
					id := fmt.Sprintf("%s-%d", name, i)
					require.Equal(t, ids(id, 1, int(last)), s.received(id))
				}
			}
			require.Zero(t, restarts.Load())
		})
	}
}

// Where an event goes is not saved. After a restart each id is tried once, and then waits again.
func TestAfterARestartADestinationThatIsStillDownIsLeftAlone(t *testing.T) {
	const streams = 50
	j, s := memory.New(), &customers{}
	s.down.Store("globex", true)
	for i := range streams {
		write(t, j, fmt.Sprintf("globex-%d", i), 1, 1)
	}
	write(t, j, "acme-0", 1, 1)
	tried := make(map[string]int)
	var mu sync.Mutex
	p := publisher.Props(counted{s, func(e publisher.Event) {
		mu.Lock()
		defer mu.Unlock()
		tried[e.PersistenceID]++
	}})
	waiting := func(o running) func() bool {
		return func() bool {
			status, err := o.Status(within(t))
			out := status.GetDestinationsOut()
			return err == nil && status.GetHeldCount() == streams && len(out) == 1 && out[0].GetWaiting() == streams
		}
	}
	slow := outbox.WithBackoff(patience, 2*patience) // no probe in between
	first := spawn(t, j, p, slow)
	await(t, "all wait", waiting(first))
	first.stop(t)
	mu.Lock()
	clear(tried)
	mu.Unlock()
	write(t, j, "acme-0", 2, 2)

	second := spawn(t, j, p, slow)
	require.NoError(t, second.WaitPublished(within(t), "acme-0", 2))
	await(t, "all wait again", waiting(second))
	mu.Lock()
	defer mu.Unlock()
	for id, n := range tried {
		require.Equal(t, 1, n, id)
	}
	require.Len(t, tried, streams+1)
}

// counted is middleware that counts what is tried.
type counted struct {
	publisher.Publisher
	count func(publisher.Event)
}

func (c counted) Publish(ctx context.Context, events []publisher.Event) error {
	for _, e := range events {
		c.count(e)
	}
	return c.Publisher.Publish(ctx, events)
}

func (c counted) Unwrap() publisher.Publisher { return c.Publisher }
