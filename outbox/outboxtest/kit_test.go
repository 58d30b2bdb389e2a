package outboxtest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/persistence"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/outboxtest"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

var errDown = errors.New("the broker is down")

// list is a persistent actor: it remembers what it was told, and tells how much that is.
type list struct {
	persistence.Mixin
	items []string
}

func newList() actor.Actor { return &list{} }

func (l *list) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case string:
		switch m {
		case "panic":
			panic("it was told to")
		case "stop":
			c.Stop(c.Self())
			return
		}
		l.PersistReceive(wrapperspb.String(m))
		l.items = append(l.items, m)
		c.Respond(journal.LastSequence(c))
	case int:
		c.Respond(len(l.items))
	case *wrapperspb.StringValue:
		l.items = append(l.items, m.GetValue())
	}
}

// add has the list persist items.
func add(k *outboxtest.Kit, list *actor.PID, items ...string) {
	for _, item := range items {
		k.Request(list, item)
	}
}

func TestTimePassesOnlyByHand(t *testing.T) {
	k := outboxtest.New(t)
	a := k.Spawn("a", newList)
	add(k, a, "one", "two")
	require.Empty(t, k.Published())
	k.Advance(0)
	require.Empty(t, k.Published())
	k.Advance(49 * time.Millisecond)
	require.Empty(t, k.Published())
	k.Advance(time.Millisecond)
	require.Equal(t, []string{"a/1", "a/2"}, outboxtest.EventIDs(k.Published()))
	add(k, a, "three")
	k.Tick()
	require.Equal(t, []string{"a/1", "a/2", "a/3"}, outboxtest.EventIDs(k.PublishedOf("a")))
	require.Equal(t, "three", outboxtest.Decode[*wrapperspb.StringValue](t, k.Published()[2]).GetValue())
}

func TestAFlushSaves(t *testing.T) {
	k := outboxtest.New(t)
	add(k, k.Spawn("a", newList), "one", "two")
	k.Flush()
	s := k.Status()
	require.EqualValues(t, 2, s.GetSavedWatermark())
	require.Zero(t, s.GetUnsaved())
	before := k.Now()
	k.Flush()
	require.Equal(t, before, k.Now(), "there is nothing to wait for")
}

func TestBackoffPassesByTheKitsTime(t *testing.T) {
	k := outboxtest.New(t)
	a, b := k.Spawn("a", newList), k.Spawn("b", newList)
	add(k, a, "one", "two")
	add(k, b, "one")
	k.FailNext("a", errDown, errDown)
	k.Tick()
	require.Equal(t, []string{"b/1"}, outboxtest.EventIDs(k.Published()))
	k.Advance(299 * time.Millisecond) // 100 ms after the first failure, 200 ms after the second
	require.Empty(t, k.PublishedOf("a"))
	k.Advance(time.Millisecond)
	require.Equal(t, []string{"b/1", "a/1", "a/2"}, outboxtest.EventIDs(k.Published()))
}

func TestAPermanentFailureParks(t *testing.T) {
	k := outboxtest.New(t)
	add(k, k.Spawn("a", newList), "one", "two", "three")
	k.FailNext("a", publisher.Permanent(errDown))
	k.Flush()
	require.Equal(t, []string{"a/2", "a/3"}, outboxtest.EventIDs(k.Published()))
	require.Len(t, k.Parked(), 1)
	n, err := k.Client().Redrive(t.Context(), "a", 1)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, []string{"a/2", "a/3", "a/1"}, outboxtest.EventIDs(k.Published()))
	require.Empty(t, k.Parked())
}

func TestAFailureOfOneIDHoldsBackItsOwnEventsOnly(t *testing.T) {
	k := outboxtest.New(t)
	a, b := k.Spawn("a", newList), k.Spawn("b", newList)
	add(k, a, "one", "two")
	heal := k.Fail("a", errDown)
	for range 10 {
		add(k, b, "more")
		k.Advance(time.Second)
	}
	require.Len(t, k.PublishedOf("b"), 10)
	require.Empty(t, k.PublishedOf("a"))
	require.Len(t, k.Held(), 1)
	require.Equal(t, "a", k.Held()[0].GetPersistenceId())
	heal()
	_, err := k.Client().Retry(t.Context(), "a")
	require.NoError(t, err)
	k.Advance(0)
	require.Equal(t, []string{"a/1", "a/2"}, outboxtest.EventIDs(k.PublishedOf("a")))
	require.Empty(t, k.Held())
}

func TestACrashRepeatsWhatWasNotSaved(t *testing.T) {
	k := outboxtest.New(t)
	a := k.Spawn("a", newList)
	add(k, a, "one")
	k.Flush()
	for range 20 { // more often than a supervisor would put up with
		k.Crash()
	}
	add(k, a, "two")
	k.Tick()
	k.Crash()
	require.Equal(t, []string{"a/1", "a/2", "a/2"}, outboxtest.EventIDs(k.Published()))
	k.Flush()
	k.Crash()
	k.Flush()
	require.Len(t, k.Published(), 3)
	require.EqualValues(t, 1, k.Status().GetEpoch())
}

func TestARestartRepeatsNothing(t *testing.T) {
	k := outboxtest.New(t)
	add(k, k.Spawn("a", newList), "one")
	k.Tick()
	require.EqualValues(t, 1, k.Status().GetUnsaved())
	before := k.PID()
	k.Restart()
	require.NotEqual(t, before, k.PID())
	k.Flush()
	require.Len(t, k.Published(), 1)
	require.EqualValues(t, 2, k.Status().GetEpoch())

	require.NoError(t, k.Client().Drain(t.Context(), time.Second))
	k.Tick()
	k.Restart()
	k.Flush()
}

func TestAnActorIsRespawned(t *testing.T) {
	k := outboxtest.New(t)
	a := k.Spawn("a", newList)
	add(k, a, "one", "two")
	again := k.Respawn(a)
	require.True(t, a.Equal(again))
	require.Equal(t, 2, k.Request(again, 0))
	require.EqualValues(t, 3, k.Request(a, "three"))
	require.NoError(t, k.System().Root.StopFuture(a).Wait())
	require.Equal(t, 3, k.Request(k.Respawn(a), 0))
	k.Flush()
	require.Len(t, k.Published(), 3)
}

func TestAHangingPublishIsNotWaitedFor(t *testing.T) {
	k := outboxtest.New(t, outboxtest.WithOutboxOptions(outbox.WithPublishTimeout(10*time.Second)))
	a := k.Spawn("a", newList)
	add(k, a, "one")
	k.Faults().Inject(outboxtest.Publish, outboxtest.Fault{Hang: true, Times: 1})
	heal := k.Faults().Inject(outboxtest.Publish, outboxtest.Fault{Hang: true, Times: 1})
	k.Tick()
	require.EqualValues(t, 1, k.Status().GetInFlight())
	k.Advance(8900 * time.Millisecond)
	require.Equal(t, 1, k.Faults().Struck(outboxtest.Publish))
	k.Advance(time.Second) // its context has ended; it was sent again, and hangs again
	require.Equal(t, 2, k.Faults().Struck(outboxtest.Publish))
	require.Empty(t, k.Published())
	require.Contains(t, k.Status().GetReason(), "deadline exceeded")
	heal()
	k.Advance(0)
	require.Len(t, k.Published(), 1)
}

func TestAHangingReadIsNotWaitedFor(t *testing.T) {
	k := outboxtest.New(t)
	add(k, k.Spawn("a", newList), "one")
	k.Faults().Inject(outboxtest.ReadFeed, outboxtest.Fault{Hang: true, Times: 1})
	k.Tick()
	require.Empty(t, k.Published())
	k.Advance(9 * time.Second)
	require.Empty(t, k.Published())
	k.Advance(2 * time.Second)
	require.Len(t, k.Published(), 1)
}

func TestAHangIsLetGoOfAtTheEnd(t *testing.T) {
	k := outboxtest.New(t)
	add(k, k.Spawn("a", newList), "one")
	k.Faults().Inject(outboxtest.Publish, outboxtest.Fault{Hang: true})
	k.Faults().Inject(outboxtest.Save, outboxtest.Fault{Hang: true})
	k.Tick()
}

func TestTheApplicationsOwnPublisher(t *testing.T) {
	mux := publisher.NewMux(publisher.Park)
	var got []string
	refused := false
	publisher.On(mux, func(_ context.Context, _ publisher.Meta, m *wrapperspb.StringValue) error {
		if m.GetValue() == "bad" && !refused {
			refused = true
			return errDown
		}
		got = append(got, m.GetValue())
		return nil
	})
	k := outboxtest.New(t, outboxtest.WithPublisher(mux))
	add(k, k.Spawn("a", newList), "good", "bad", "good")
	require.NoError(t, k.Journal().AppendEvent(t.Context(), event("b", 1)))
	k.Tick()
	require.Equal(t, []string{"a/1"}, outboxtest.EventIDs(k.Published()), "what it has not taken was not published")
	k.Flush()
	require.Equal(t, []string{"good", "bad", "good"}, got)
	require.Equal(t, []string{"a/1", "a/2", "a/3"}, outboxtest.EventIDs(k.Published()))
	require.Contains(t, k.Parked()[0].GetReason(), "no handler for type")
}

func TestAnnouncedFailuresAndThePublishersOwnMeetInABatch(t *testing.T) {
	k := outboxtest.New(t, outboxtest.WithPublisher(publisher.Func(func(_ context.Context, e publisher.Event) error {
		if e.PersistenceID == "b" {
			return publisher.Permanent(errDown)
		}
		return nil
	})))
	for _, id := range []string{"a", "b", "c"} {
		add(k, k.Spawn(id, newList), "one", "two")
	}
	k.FailNext("a", errDown)
	k.Tick()
	require.Equal(t, []string{"c/1", "c/2"}, outboxtest.EventIDs(k.Published()))
	k.Flush()
	require.Len(t, k.PublishedOf("a"), 2)
	require.Empty(t, k.PublishedOf("b"))
	require.Len(t, k.Parked(), 2)
	for _, p := range k.Parked() {
		require.Equal(t, "b", p.GetEvent().GetPersistenceId())
	}
}

// vague is a publisher that says nothing of the events of its first batches.
type vague struct{ batches int }

func (v *vague) Publish(context.Context, []publisher.Event) error {
	v.batches--
	if v.batches >= 0 {
		return errDown
	}
	return nil
}

func TestABatchOfWhichNothingIsKnownWasNotPublished(t *testing.T) {
	k := outboxtest.New(t, outboxtest.WithPublisher(&vague{batches: 1}))
	add(k, k.Spawn("a", newList), "one")
	add(k, k.Spawn("b", newList), "one")
	k.FailNext("a", errDown)
	k.Advance(0)
	k.Tick()
	require.Empty(t, k.PublishedOf("a"))
	k.Flush()
	require.Len(t, k.PublishedOf("a"), 1)
	require.Len(t, k.PublishedOf("b"), 1)
}

// exclusive keeps its destinations and says that it cannot keep the order of a batch.
type exclusive struct {
	publisher.Publisher
	longest int
}

func (*exclusive) OrderedWithinBatch() bool { return false }

func (e *exclusive) Publish(ctx context.Context, events []publisher.Event) error {
	e.longest = max(e.longest, len(events))
	return e.Publisher.Publish(ctx, events)
}

func TestThePublishersCapabilitiesAreSeen(t *testing.T) {
	p := &exclusive{Publisher: publisher.Func(func(context.Context, publisher.Event) error { return nil })}
	k := outboxtest.New(t, outboxtest.WithPublisher(p))
	add(k, k.Spawn("a", newList), "one", "two", "three")
	k.Flush()
	require.Len(t, k.Published(), 3)
	require.Equal(t, 1, p.longest, "waves in which each id appears once")
}

func TestSeveralOutboxes(t *testing.T) {
	k := outboxtest.New(t, outboxtest.WithName("one"))
	two := k.AddOutbox("two", nil, outbox.WithFilter(query.Filter{Types: []string{"none"}}))
	three := k.AddOutbox("three", nil)
	a := k.Spawn("a", newList)
	add(k, a, "one")
	three.FailNext("a", errDown)
	k.Tick()
	require.Len(t, k.Published(), 1)
	require.Empty(t, three.Published())
	two.Flush()
	three.Flush()
	require.Len(t, three.Published(), 1)
	require.Empty(t, two.Published())
	require.Len(t, k.Published(), 1)
	three.Crash()
	two.Restart()
	add(k, a, "two")
	three.Fail("", errDown)
	k.Flush()
	require.Len(t, k.Published(), 2)
	require.Len(t, three.Published(), 1)
	require.Contains(t, k.String(), `outbox "two"`)
}

func TestTheTestsOwnJournalAndActorSystem(t *testing.T) {
	j := memory.New()
	t.Cleanup(func() { _ = j.Close() })
	system := testkit.NewActorSystem(t)
	k := outboxtest.New(t, outboxtest.WithJournal(j), outboxtest.WithActorSystem(system))
	require.Same(t, system, k.System())
	pid := system.Root.Spawn(actor.PropsFromProducer(newList, actor.WithReceiverMiddleware(journal.Using(k.Journal(),
		journal.WithID(func(actor.Context) string { return "mine" })))))
	t.Cleanup(func() { require.NoError(t, system.Root.StopFuture(pid).Wait()) })
	add(k, pid, "one")
	require.NoError(t, j.AppendEvent(t.Context(), event("by hand", 1)))
	k.Flush()
	require.Equal(t, []string{"mine/1", "by hand/1"}, outboxtest.EventIDs(k.Published()))
}

func TestEveryRunIsTheSame(t *testing.T) {
	run := func(t *testing.T) string {
		k := outboxtest.New(t)
		a, b, c := k.Spawn("a", newList), k.Spawn("b", newList), k.Spawn("c", newList)
		for range 5 {
			add(k, a, "x", "y")
			add(k, b, "x")
			add(k, c, "x", "y", "z")
			k.FailNext("a", errDown, publisher.RetryAfter(errDown, time.Second), publisher.Unknown(errDown))
			k.FailNext("c", publisher.Permanent(errDown))
			k.Faults().Inject(outboxtest.Save, outboxtest.Fault{Err: errDown, Unheard: true, Times: 2})
			k.Advance(70 * time.Millisecond)
			k.Flush()
		}
		return k.String()
	}
	first := run(t)
	for range 10 {
		t.Run("", func(t *testing.T) { require.Equal(t, first, run(t)) })
	}
}
