package shards

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/cluster"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/stored"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// world is what members have in common, in simulated time: time passes while everybody waits, and costs nothing.
type world struct {
	t   *testing.T
	j   *memory.Journal
	seq int64

	mu  sync.Mutex
	got []int64
}

func simulated(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(func() { pass(time.Minute) }) // timers of the framework have their say
		w := &world{t: t, j: memory.New()}
		t.Cleanup(func() { require.NoError(t, w.j.Close()) })
		test(t, w)
	})
}

// pass lets simulated time pass.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (w *world) write() {
	w.t.Helper()
	w.seq++
	e := query.Event{PersistenceID: "order-1", SequenceNumber: w.seq, Type: "x", ContentType: "text/plain", Data: []byte("x")}
	e.UID[0], e.UID[1], e.UID[2] = byte(w.seq), byte(w.seq>>8), 1
	require.NoError(w.t, w.j.AppendEvent(context.Background(), e))
}

func (w *world) publish(_ context.Context, e publisher.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.got = append(w.got, e.SequenceNumber)
	return nil
}

func (w *world) published() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.got)
}

// node is one member as far as its shard knows: there is no cluster.
type node struct {
	*Shards
	w      *world
	system *actor.ActorSystem
	store  *faulty
	pid    *actor.PID
	events chan any
}

func (w *world) node(shards int, opts ...Option) *node {
	w.t.Helper()
	n := &node{w: w, store: &faulty{Journal: w.j}, events: make(chan any, 1000)}
	n.system = actor.NewActorSystem(
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }),
		actor.WithDeadLetterThrottleInterval(time.Millisecond))
	w.t.Cleanup(n.system.Shutdown)
	n.system.EventStream.Subscribe(func(event any) {
		switch event.(type) {
		case *Refused, *Fenced:
			n.events <- event
		}
	})
	var err error
	n.Shards, err = New("shop", shards, n.store, publisher.Props(publisher.Func(w.publish)), opts...)
	require.NoError(w.t, err)
	return n
}

// activate does what the cluster does.
func (n *node) activate(number int) *actor.PID {
	n.w.t.Helper()
	n.pid = n.system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return &grain{Shards: n.Shards} }))
	n.system.Root.Send(n.pid, &cluster.ClusterInit{Identity: cluster.NewClusterIdentity(n.identity(number), n.kind())})
	pid := n.pid
	n.w.t.Cleanup(func() { n.stop(pid) })
	pass(10 * time.Millisecond)
	return pid
}

func (n *node) stop(pid *actor.PID) {
	n.w.t.Helper()
	err := n.system.Root.StopFuture(pid).Wait()
	if err != nil && !errors.Is(err, actor.ErrDeadLetter) { // it has stopped before
		require.NoError(n.w.t, err)
	}
}

// topology has the member see a change of the cluster.
func (n *node) changeTopology(hash uint64) {
	n.system.EventStream.Publish(&cluster.ClusterTopology{TopologyHash: hash})
}

func (n *node) ask(message proto.Message) any {
	n.w.t.Helper()
	answer, err := n.system.Root.RequestFuture(n.pid, message, 5*time.Second).Result()
	require.NoError(n.w.t, err)
	return answer
}

func (n *node) tell() *outboxv1.Shard { return n.ask(&outboxv1.GetShard{}).(*outboxv1.Shard) }

func (n *node) mustBe(state outboxv1.ShardState, what string) *outboxv1.Shard {
	n.w.t.Helper()
	shard := n.tell()
	require.Equal(n.w.t, state, shard.GetState(), "%s: %v", what, shard)
	return shard
}

const (
	running = outboxv1.ShardState_SHARD_STATE_RUNNING
	standBy = outboxv1.ShardState_SHARD_STATE_STANDBY
	refused = outboxv1.ShardState_SHARD_STATE_REFUSED
	leaving = outboxv1.ShardState_SHARD_STATE_LEAVING
	failed  = outboxv1.ShardState_SHARD_STATE_FAILED
)

// two members have both activated the shard; the second has taken over, and the first knows.
func (w *world) two() (first, second *node) {
	w.t.Helper()
	first, second = w.node(1), w.node(1)
	w.write()
	first.activate(0)
	pass(5 * time.Second)
	require.Equal(w.t, 1, w.published())
	second.activate(0)
	pass(10 * time.Second)
	first.mustBe(standBy, "fenced")
	require.IsType(w.t, &Fenced{}, <-first.events)
	second.mustBe(running, "the other")
	return first, second
}

// epoch is how often the shard was taken over: that it was registered, with its layout, does not count.
func (w *world) epoch() int64 {
	w.t.Helper()
	saved, err := w.j.Load(context.Background(), names{"shop", 1}.key(0))
	require.NoError(w.t, err)
	return saved.Epoch - 1
}

func TestAFencedShardStandsByAsLongAsTheOwnerIsAtWork(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		first, second := w.two()
		for range 600 { // ten minutes of work
			w.write()
			pass(time.Second)
		}
		pass(time.Hour) // and an hour of none
		require.EqualValues(t, 2, w.epoch())
		require.EqualValues(t, 3, first.mustBe(standBy, "after an hour").GetFencedBy())
		second.mustBe(running, "after an hour")
		require.Equal(t, 601, w.published(), "nothing twice")
	})
}

func TestAShardThatStandsByTakesOverOnceTheOwnerHasReleased(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		first, second := w.two()
		w.write()
		pass(5 * time.Second)
		second.stop(second.pid)
		pass(2 * time.Second)
		first.mustBe(running, "released")
		w.write()
		pass(time.Second)
		require.Equal(t, 3, w.published(), "nothing twice")
	})
}

func TestAShardThatStandsByTakesOverFromWhoLeavesWorkUndone(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		first, second := w.two()
		second.store.onCall(func(string, string) (before, after error) { return errInjected, nil })
		second.stop(second.pid) // without a word
		pass(time.Hour)
		first.mustBe(standBy, "there is nothing to do")
		w.write()
		pass(5 * time.Second)
		first.mustBe(standBy, "the owner may yet do it")
		pass(12 * time.Second)
		first.mustBe(running, "the owner has not done it")
		require.Equal(t, 2, w.published())
	})
}

// Of two that both reach the store, but not one another, the last one to see the cluster change wins.
func TestWhenTheClusterChangesAShardTakesOverOnce(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		first, second := w.two()
		first.changeTopology(7)
		pass(settleTime / 2)
		first.mustBe(outboxv1.ShardState_SHARD_STATE_STARTING, "it may be somebody else's now")
		pass(settleTime)
		first.mustBe(running, "the cluster has changed")
		pass(10 * time.Second)
		second.mustBe(standBy, "fenced in turn")
		for range 100 {
			w.write()
			pass(time.Second)
		}
		second.mustBe(standBy, "nothing has changed for it")
		second.changeTopology(7)
		pass(10 * time.Second)
		second.mustBe(running, "now it has")
		first.mustBe(standBy, "nothing has changed for it")
		first.changeTopology(7)
		pass(time.Minute)
		first.mustBe(standBy, "that is the cluster in which it was fenced")
		require.EqualValues(t, 4, w.epoch())
	})
}

func TestAShardRemembersThatItWasFencedWhenItIsActivatedAgain(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		first, _ := w.two()
		first.stop(first.pid)
		first.activate(0)
		first.mustBe(standBy, "nothing has changed")
		pass(time.Minute)
		require.EqualValues(t, 2, w.epoch())
		first.stop(first.pid)
		first.topology.Store(9) // as the keeper has seen it
		first.activate(0)
		pass(time.Second)
		first.mustBe(running, "the cluster has changed")
		require.EqualValues(t, 3, w.epoch())
		require.EqualValues(t, 3, first.tell().GetActivations())
	})
}

// It may not even be told that it is fenced before it is moved: a stop saves what it can, and says that it has gone.
func TestAShardThatIsStoppedSavesAndReleases(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		n := w.node(1)
		n.activate(0)
		pass(time.Second)
		w.write()
		pass(60 * time.Millisecond) // published, and not yet saved
		require.Equal(t, 1, w.published())
		require.NoError(t, n.system.Root.PoisonFuture(n.pid).Wait())
		saved, err := w.j.Load(context.Background(), n.key(0))
		require.NoError(t, err)
		snapshot, err := stored.DecodeSnapshot(saved.Data)
		require.NoError(t, err)
		require.EqualValues(t, 1, snapshot.Watermark)
		require.Equal(t, saved.Epoch, snapshot.ReleasedEpoch)
		n.activate(0)
		pass(2 * time.Second)
		require.Equal(t, 1, w.published(), "nothing twice")
		w.write()
		pass(2 * time.Second)
		saved, err = w.j.Load(context.Background(), n.key(0))
		require.NoError(t, err)
		snapshot, err = stored.DecodeSnapshot(saved.Data)
		require.NoError(t, err)
		require.Zero(t, snapshot.ReleasedEpoch, "who is at work has released nothing")
	})
}

func TestAMemberWithAnotherNumberRefusesAndSaysSo(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		require.NoError(t, checkLayout(context.Background(), w.j, names{"shop", 2}, nil))
		n := w.node(3)
		for number := range 3 {
			n.activate(number)
		}
		pass(time.Hour)
		shard := n.mustBe(refused, "another number")
		require.Contains(t, shard.GetReason(), "has 2 shards, this member is configured for 3")
		require.ErrorIs(t, (<-n.events).(*Refused).Err, ErrLayout)
		require.Empty(t, n.events, "it is said once")
		for number := range 3 {
			saved, err := w.j.Load(context.Background(), n.key(number))
			require.NoError(t, err)
			require.Zero(t, saved.Epoch, "nothing was taken over")
		}
		reply := n.ask(&outboxv1.PingShard{}).(*outboxv1.PongShard)
		require.Equal(t, refused, reply.GetState(), "it is there, so that nobody wonders")

		saved, err := takeOver(context.Background(), w.j, n.layoutKey())
		require.NoError(t, err)
		saved.Index++
		saved.Data = stored.SealLayout(&outboxv1.Layout{Shards: 3})
		require.NoError(t, w.j.Save(context.Background(), n.layoutKey(), saved))
		pass(2 * layoutLook)
		n.mustBe(running, "the number is right now")
	})
}

func TestAnIdentityThatIsNoShardIsRefused(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		n := w.node(2)
		n.activate(2)
		require.Contains(t, n.mustBe(refused, "no such shard").GetReason(), "no such shard")
		pass(time.Hour)
	})
}

func TestAMemberLeavesInGoodOrder(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		n := w.node(2)
		n.activate(0)
		n.activate(1)
		for range 50 {
			w.write()
		}
		pass(100 * time.Millisecond)
		require.NoError(t, n.Leave(t.Context(), 5*time.Second))
		n.mustBe(leaving, "left")
		published := w.published()
		w.write()
		pass(time.Minute)
		require.Equal(t, published, w.published(), "it does nothing more")
		n.activate(0)
		n.mustBe(leaving, "activated once more")
		require.NoError(t, n.Leave(t.Context(), 5*time.Second), "again")
		other := w.node(2)
		other.activate(0)
		other.activate(1)
		pass(time.Second)
		require.Equal(t, 51, w.published(), "nothing is lost, nothing is repeated")
	})
}

func TestLeavingTellsWhoDidNotEndInTime(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		n := w.node(1)
		hanging := publisher.Func(func(ctx context.Context, _ publisher.Event) error { <-ctx.Done(); return ctx.Err() })
		n.publisher = publisher.Props(hanging)
		n.activate(0)
		w.write()
		pass(time.Second)
		require.ErrorIs(t, n.Leave(t.Context(), 3*time.Second), outbox.ErrDrainDeadline)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		m := w.node(1)
		m.publisher = publisher.Props(hanging)
		m.activate(0)
		pass(time.Second)
		require.ErrorIs(t, m.Leave(ctx, time.Minute), context.DeadlineExceeded)
	})
}

func TestCommandsNeedTheApplicationsLeave(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		w.write()
		closed := w.node(1)
		closed.activate(0)
		pass(time.Second)
		for _, command := range []proto.Message{&outboxv1.GetStatus{}, &outboxv1.Pause{}, &outboxv1.Flush{}, &outboxv1.Drain{}} {
			require.Equal(t, outboxv1.Code_CODE_UNAUTHORIZED, closed.ask(command).(*outboxv1.Reply).GetCode(), "%T", command)
		}
		status := closed.tell().GetOutbox()
		require.EqualValues(t, 1, status.GetPublished(), "numbers are nobody's secret")

		var asked []string
		open := w.node(1, WithAuthorize(func(c actor.Context) error {
			asked = append(asked, fmt.Sprintf("%T", c.Message()))
			return nil
		}))
		open.activate(0)
		pass(time.Second)
		require.Equal(t, outboxv1.Code_CODE_OK, open.ask(&outboxv1.Flush{}).(*outboxv1.Reply).GetCode())
		require.Equal(t, outboxv1.State_STATE_RUNNING, open.ask(&outboxv1.GetStatus{}).(*outboxv1.Status).GetState())
		require.Equal(t, outboxv1.Code_CODE_UNSUPPORTED, open.ask(&outboxv1.Drain{}).(*outboxv1.Reply).GetCode())
		require.Equal(t, []string{"*outboxv1.Flush", "*outboxv1.GetStatus", "*outboxv1.Drain"}, asked)
		pong := open.ask(&outboxv1.PingShard{}).(*outboxv1.PongShard)
		client := outbox.NewClient(open.system.Root, actor.NewPID(pong.GetOutboxAddress(), pong.GetOutboxId()))
		require.NoError(t, client.WaitPublished(t.Context(), "order-1", 0))
	})
}

func TestWhatCouldShowDataIsToldOnlyWithLeave(t *testing.T) {
	full := &outboxv1.Status{
		Name: "n", Reason: "order-1 failed", Published: 5, Held: []*outboxv1.HeldStatus{{PersistenceId: "order-1"}}, HeldCount: 1,
		Parked: []*outboxv1.Parked{{Reason: "r"}}, ParkedCount: 1, DestinationsOut: []*outboxv1.DestinationStatus{{Destination: "https://x"}},
	}
	require.True(t, proto.Equal(&outboxv1.Status{Name: "n", Published: 5, HeldCount: 1, ParkedCount: 1}, numbers(full)))
	require.NotEmpty(t, full.GetHeld(), "the original is not touched")
}

// Why an outbox has ended may name ids, and what a database has said.
func TestWhyAnOutboxHasEndedIsToldOnlyWithLeave(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		require.NoError(t, checkLayout(context.Background(), w.j, names{"shop", 1}, nil))
		saved, err := takeOver(context.Background(), w.j, names{"shop", 1}.key(0))
		require.NoError(t, err)
		saved.Index, saved.Data = 1, []byte("damaged")
		require.NoError(t, w.j.Save(context.Background(), names{"shop", 1}.key(0), saved))
		closed, open := w.node(1), w.node(1, WithAuthorize(func(actor.Context) error { return nil }))
		for _, n := range []*node{closed, open} {
			n.activate(0)
			reasons := []string{n.mustBe(failed, "damaged").GetReason(), n.ask(&outboxv1.PingShard{}).(*outboxv1.PongShard).GetReason()}
			for _, reason := range reasons {
				if n == open {
					require.Contains(t, reason, "cannot be read")
				} else {
					require.NotContains(t, reason, "cannot be read")
					require.Contains(t, reason, "log", "it says where to look")
				}
			}
		}
	})
}

// An outbox that ends for another reason is started again, after a while that grows.
func TestAnOutboxThatStopsIsStartedAgain(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		n := w.node(1)
		require.NoError(t, checkLayout(context.Background(), w.j, names{"shop", 1}, nil))
		saved, err := takeOver(context.Background(), w.j, n.key(0))
		require.NoError(t, err)
		saved.Index, saved.Data = 1, []byte("damaged")
		require.NoError(t, w.j.Save(context.Background(), n.key(0), saved))
		n.activate(0)
		n.mustBe(failed, "damaged")
		pass(10 * time.Minute)
		n.mustBe(failed, "still")
		require.EqualValues(t, 1, w.epoch(), "it never takes over what it cannot read")
		saved.Index++
		snapshot := stored.Snapshot{}
		head, err := w.j.Head(context.Background())
		require.NoError(t, err)
		snapshot.Identity = head.Identity
		saved.Data, saved.Keep = snapshot.Encode(time.Now())
		require.NoError(t, w.j.Save(context.Background(), n.key(0), saved))
		pass(3 * time.Minute)
		n.mustBe(running, "mended")
	})
}

// At a first start, members activate shards twice before they know of one another, and the offsets are empty.
func TestAFreshShardDoesNotWaitForAnOwnerWhoHasSavedNothing(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		first, second := w.node(1), w.node(1)
		first.activate(0)
		second.activate(0)
		pass(6 * time.Second) // until it looks
		first.mustBe(standBy, "fenced")
		second.stop(second.pid)
		pass(4 * time.Second)
		first.mustBe(running, "nobody has saved anything")
	})
}

// Whatever panics within the shard's actor, its outbox is released, and another begins.
func TestAShardThatIsRestartedBeginsAnew(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		n := w.node(1, WithAuthorize(func(c actor.Context) error {
			if _, ok := c.Message().(*outboxv1.Skip); ok {
				panic("a mistake of the application")
			}
			return nil
		}))
		n.activate(0)
		w.write()
		pass(2 * time.Second)
		n.system.Root.RequestWithCustomSender(n.pid, &outboxv1.Skip{}, n.pid)
		pass(time.Second)
		n.system.Root.Send(n.pid, &cluster.ClusterInit{Identity: cluster.NewClusterIdentity(n.identity(0), n.kind())}) // as the cluster does
		w.write()
		pass(2 * time.Second)
		n.mustBe(running, "restarted")
		require.Equal(t, 2, w.published())
		require.EqualValues(t, 2, w.epoch())
		require.NoError(t, n.Leave(t.Context(), time.Second))
		n.mustBe(leaving, "left")
	})
}

// countReads counts what an outbox asks the journal.
type countReads struct {
	*memory.Journal
	mu    sync.Mutex
	calls map[string]int
}

func (j *countReads) count(op string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.calls[op]++
}

// taken returns what was counted since the last time.
func (j *countReads) taken() map[string]int {
	j.mu.Lock()
	defer j.mu.Unlock()
	calls := j.calls
	j.calls = make(map[string]int)
	return calls
}

func (j *countReads) Events(ctx context.Context, after query.Offset, f query.Filter, l query.Limits) (query.Page, error) {
	j.count("Events")
	return j.Journal.Events(ctx, after, f, l)
}

func (j *countReads) Head(ctx context.Context) (query.Head, error) {
	j.count("Head")
	return j.Journal.Head(ctx)
}

func (j *countReads) EventsByPersistenceID(ctx context.Context, id string, from int64, l query.Limits) ([]query.Event, bool, error) {
	j.count("EventsByPersistenceID")
	return j.Journal.EventsByPersistenceID(ctx, id, from, l)
}

func (j *countReads) Load(ctx context.Context, key string) (query.Saved, error) {
	j.count("Load")
	return j.Journal.Load(ctx, key)
}

func (j *countReads) Save(ctx context.Context, key string, s query.Saved) error {
	j.count("Save")
	return j.Journal.Save(ctx, key, s)
}

// docs/cluster.md has these numbers.
func TestWhatAnIdleShardAsksOfTheJournal(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		j := &countReads{Journal: w.j, calls: make(map[string]int)}
		n := w.node(1)
		n.journal, n.snapshots = j, j
		n.activate(0)
		w.write()
		pass(2 * time.Minute) // until what it had to do is done
		j.taken()
		pass(100 * time.Second)
		calls := j.taken()
		require.InDelta(t, 100, calls["Events"], 2, "a journal that notifies is looked at once a second")
		for _, op := range []string{"Load", "Head", "EventsByPersistenceID"} {
			require.InDelta(t, 20, calls[op], 2, "%s: is it still the owner, is it still the journal", op)
		}
		require.Zero(t, calls["Save"])
	})
}
