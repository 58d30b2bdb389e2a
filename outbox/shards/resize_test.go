package shards

// One subject: a change of the number of shards, that dies and is repeated at each of its steps; the world it happens in is
// for it alone.

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/ledger"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/stored"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

const maxUnsaved = 16

// shop is a journal, a sink that some ids fail at, and whoever publishes the one to the other.
type shop struct {
	t      *testing.T
	rng    *rand.Rand
	j      *faulty
	system *actor.ActorSystem

	mu      sync.Mutex
	written map[string]int64
	poison  map[string]bool    // events that are never taken
	sick    map[string]bool    // ids of which nothing is taken now
	got     map[string][]int64 // what was taken, in order, by id
	lives   int                // outboxes run
}

func newShop(t *testing.T, seed uint64) *shop {
	t.Helper()
	w := &shop{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), j: &faulty{Journal: memory.New()}, system: testkit.NewActorSystem(t),
		written: make(map[string]int64), poison: make(map[string]bool), sick: make(map[string]bool), got: make(map[string][]int64),
	}
	t.Cleanup(func() { require.NoError(t, w.j.Close()) })
	return w
}

func (w *shop) publish(_ context.Context, e publisher.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.poison[e.ID()]:
		return publisher.Permanent(errors.New("poison"))
	case w.sick[e.PersistenceID]:
		return errors.New("sick")
	}
	w.got[e.PersistenceID] = append(w.got[e.PersistenceID], e.SequenceNumber)
	return nil
}

// write appends events of ids chosen at random; a few of them are poison.
func (w *shop) write(events int) {
	w.t.Helper()
	for range events {
		id := fmt.Sprintf("order-%d", w.rng.IntN(24))
		w.mu.Lock()
		w.written[id]++
		e := query.Event{PersistenceID: id, SequenceNumber: w.written[id], Type: "google.protobuf.StringValue", ContentType: "application/protobuf"}
		if w.rng.IntN(20) == 0 {
			w.poison[e.ID()] = true
		}
		w.mu.Unlock()
		data, err := proto.Marshal(wrapperspb.String(e.ID()))
		require.NoError(w.t, err)
		e.Data = data
		_, _ = crand.Read(e.UID[:])
		require.NoError(w.t, w.j.AppendEvent(context.Background(), e))
	}
}

func (w *shop) fallIll(ids ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sick = make(map[string]bool)
	for _, id := range ids {
		w.sick[id] = true
	}
}

func (w *shop) options() []Option {
	return []Option{WithOutboxOptions(outbox.WithPollInterval(time.Millisecond), outbox.WithLanes(1), outbox.WithMaxUnsaved(maxUnsaved), outbox.WithMaxHeld(8), outbox.WithHoldAfter(20*time.Millisecond),
		outbox.WithBackoff(time.Millisecond, 5*time.Millisecond))}
}

func (w *shop) props() *actor.Props { return publisher.Props(publisher.Func(w.publish)) }

// run starts the outboxes of a layout, as members do; stop is nil if it was refused.
func (w *shop) run(shards int) (clients []*outbox.Client, stop func()) {
	w.t.Helper()
	s, err := New("shop", max(1, shards), w.j, w.props(), w.options()...)
	require.NoError(w.t, err)
	s.shards = shards
	var pids []*actor.PID
	for number := range s.count() {
		var store query.SnapshotStore = &fence{SnapshotStore: w.j, names: s.names, key: s.key(number), creating: s.creating}
		if s.plain() {
			store = w.j
		}
		props, err := s.props(number, w.j, store)
		require.NoError(w.t, err)
		pid := w.system.Root.Spawn(props)
		pids = append(pids, pid)
		clients = append(clients, outbox.NewClient(w.system.Root, pid))
		w.mu.Lock()
		w.lives++
		w.mu.Unlock()
	}
	return clients, func() {
		for _, pid := range pids {
			require.NoError(w.t, w.system.Root.StopFuture(pid).Wait())
		}
	}
}

// flush has the outboxes publish everything that can be.
func (w *shop) flush(clients []*outbox.Client) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for i, c := range clients {
		if err := c.Flush(ctx); err != nil {
			status, statusErr := c.Status(context.Background())
			require.NoError(w.t, err, "shard %d: %v %v", i, status, statusErr)
		}
	}
}

// check looks at what the sink has taken: everything but poison, first in order, and not too often again.
func (w *shop) check() {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	repeats := 0
	for id, last := range w.written {
		var first []int64
		seen := make(map[int64]bool)
		for _, seq := range w.got[id] {
			if !seen[seq] {
				first = append(first, seq)
			} else {
				repeats++
			}
			seen[seq] = true
		}
		var want []int64
		for seq := int64(1); seq <= last; seq++ {
			if !w.poison[fmt.Sprintf("%s/%d", id, seq)] {
				want = append(want, seq)
			}
		}
		require.Equal(w.t, want, first, "%s: what was taken, in the order of the first time", id)
	}
	require.LessOrEqual(w.t, repeats, w.lives*maxUnsaved, "taken again, over %d lives", w.lives)
}

// parked returns the events that are parked, over all shards.
func (w *shop) parked(clients []*outbox.Client) []string {
	w.t.Helper()
	var parked []string
	for _, c := range clients {
		status, err := c.Status(context.Background())
		require.NoError(w.t, err)
		for _, p := range status.GetParked() {
			parked = append(parked, fmt.Sprintf("%s/%d", p.GetEvent().GetPersistenceId(), p.GetEvent().GetSequenceNumber()))
		}
	}
	slices.Sort(parked)
	return parked
}

func (w *shop) resize(from, to int) error {
	w.mu.Lock()
	w.lives += max(1, from)
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return Resize(ctx, w.system.Root, "shop", from, to, w.j, w.props(), w.options()...)
}

// The number of shards changes under everything that may go wrong: ids that fail, poison, members that died without a word,
// a store that fails at any of its calls, before or after their effect, changes that were taken back, events written
// meanwhile.
func TestResizeLosesNothing(t *testing.T) {
	seeds := []uint64{}
	for seed := range uint64(100) {
		seeds = append(seeds, seed)
	}
	if s := os.Getenv("SHARDS_TEST_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
		seeds = []uint64{seed}
	}
	for _, seed := range seeds {
		ok := t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Logf("repeat with SHARDS_TEST_SEED=%d", seed)
			resizeOnce(newShop(t, seed))
		})
		if !ok {
			break
		}
	}
}

func resizeOnce(w *shop) {
	w.t.Helper()
	sizes := []int{0, 1, 2, 3, 5, 8}
	from := sizes[w.rng.IntN(len(sizes))]
	for range 1 + w.rng.IntN(3) {
		to := sizes[w.rng.IntN(len(sizes))]
		if to == from {
			continue
		}
		w.publishSome(from)
		w.write(w.rng.IntN(40))
		if !w.resizeFaultily(from, to) {
			continue // taken back
		}
		for number := range from { // an outbox without shards has no place of its own
			saved, err := w.j.Load(context.Background(), names{"shop", from}.key(number))
			require.NoError(w.t, err)
			require.Zero(w.t, saved.Index, "what is left of the old shards would keep the journal from trimming for ever")
		}
		from = to
	}
	w.fallIll()
	w.write(20)
	clients, stop := w.run(from)
	defer stop()
	w.flush(clients)
	w.check()
	w.mu.Lock()
	poison := slices.Sorted(maps.Keys(w.poison))
	w.mu.Unlock()
	require.Equal(w.t, poison, w.parked(clients), "what can never be published is parked, all of it and once")
}

// publishSome runs the shards for a while. They may end without being able to save.
func (w *shop) publishSome(shards int) {
	w.t.Helper()
	w.fallIll()
	w.write(1 + w.rng.IntN(40))
	clients, stop := w.run(shards)
	w.flush(clients)
	w.fallIll(fmt.Sprintf("order-%d", w.rng.IntN(24)), fmt.Sprintf("order-%d", w.rng.IntN(24)))
	w.write(w.rng.IntN(60))
	if w.rng.IntN(2) == 0 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(w.rng.IntN(20))*time.Millisecond)
		for _, c := range clients {
			_ = c.Flush(ctx) // as far as it comes
		}
		cancel()
	}
	if w.rng.IntN(2) == 0 {
		w.j.onCall(func(op, _ string) (before, after error) {
			if op == "Save" {
				return errInjected, nil
			}
			return nil, nil
		})
	}
	stop()
	w.j.onCall(nil)
}

// resizeFaultily resizes with a fault at some call, again and again until it succeeds, or takes it back.
func (w *shop) resizeFaultily(from, to int) (done bool) {
	w.t.Helper()
	for attempt := 0; ; attempt++ {
		require.Less(w.t, attempt, 50)
		at, calls, late := w.rng.IntN(12+10*max(from, to)), 0, w.rng.IntN(2) == 0
		if attempt > 5 {
			at = -1
		}
		dead := false
		w.j.onCall(func(_, _ string) (before, after error) {
			calls++
			if calls%7 == 3 {
				w.write(1) // somebody does, meanwhile
			}
			switch {
			case dead || (calls > at && at >= 0 && !late):
				dead = true
				return errInjected, nil
			case calls > at && at >= 0:
				dead = true
				return nil, errInjected
			}
			return nil, nil
		})
		err := w.resizeWithin(from, to, func() bool { w.j.mu.Lock(); defer w.j.mu.Unlock(); return dead })
		w.j.onCall(nil)
		if err == nil {
			return true
		}
		require.GreaterOrEqual(w.t, at, 0, "nothing went wrong, but it failed: %v", err)
		w.write(w.rng.IntN(10))
		if w.rng.IntN(4) == 0 {
			err := Abort(context.Background(), "shop", from, to, w.j, w.props(), w.options()...)
			if errors.Is(err, ErrLayout) { // it was complete, and only its answer lost
				require.NoError(w.t, w.resize(from, to))
				return true
			}
			require.NoError(w.t, err)
			return false
		}
	}
}

// resizeWithin resizes; once the store is dead, the outboxes would try for ever, and the process dies instead.
func (w *shop) resizeWithin(from, to int, dead func() bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	w.mu.Lock()
	w.lives += max(1, from)
	w.mu.Unlock()
	done := make(chan error, 1)
	go func() {
		done <- Resize(ctx, w.system.Root, "shop", from, to, w.j, w.props(), w.options()...)
	}()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-look.C:
			if dead() {
				cancel()
			}
		}
	}
}

func TestAnEmptyOutboxChangesItsNumber(t *testing.T) {
	w := newShop(t, 1)
	for _, change := range [][2]int{{0, 4}, {4, 2}, {2, 0}, {0, 3}} {
		require.NoError(t, w.resize(change[0], change[1]), "from %d to %d", change[0], change[1])
		require.NoError(t, w.resize(change[0], change[1]), "again: it is complete")
	}
	clients, stop := w.run(3)
	defer stop()
	w.write(30)
	w.flush(clients)
	w.check()
}

func TestAChangeIsRefusedWhereItIsNotSafe(t *testing.T) {
	w := newShop(t, 1)
	require.ErrorIs(t, w.resize(2, 3), ErrLayout, "nothing is stored")
	clients, stop := w.run(2)
	w.write(10)
	w.flush(clients)
	require.ErrorIs(t, w.resize(3, 4), ErrLayout, "it has other shards")
	require.NoError(t, clients[1].Pause(context.Background()))
	stop()
	require.ErrorIs(t, w.resize(2, 3), errPaused)
	var wrong *outbox.OptionError
	require.ErrorAs(t, w.resize(2, 2), &wrong)
	require.ErrorAs(t, w.resize(2, 1025), &wrong)
	require.ErrorAs(t, w.resize(-1, 2), &wrong)

	clients, stop = w.run(2)
	require.NoError(t, clients[1].Resume(context.Background()))
	stop()
	w.j.onCall(func(op, key string) (before, after error) {
		if op == "Acquire" && key == (names{"shop", 3}).key(0) {
			return errInjected, nil
		}
		return nil, nil
	})
	require.ErrorIs(t, w.resize(2, 3), errInjected)
	w.j.onCall(nil)
	for _, shards := range []int{2, 3} {
		require.ErrorIs(t, checkLayout(context.Background(), w.j, names{"shop", shards}, nil), ErrLayout, "no member runs while it is changed")
	}
	require.ErrorIs(t, w.resize(2, 4), ErrLayout, "another change is under way")
	abort := func(from, to int) error {
		return Abort(context.Background(), "shop", from, to, w.j, w.props(), w.options()...)
	}
	require.NoError(t, abort(2, 3))
	require.NoError(t, abort(2, 3), "again: there is none")
	require.NoError(t, checkLayout(context.Background(), w.j, names{"shop", 2}, nil))
	require.NoError(t, w.resize(2, 3))
	require.ErrorIs(t, abort(2, 3), ErrLayout, "it is complete")
}

// Of an outbox without shards nothing says that it is being changed. Somebody may run it, and be done, between the change's own run and
// its takeover: what he has settled stays settled.
func TestAChangeGoesByWhatItTakesOver(t *testing.T) {
	w := newShop(t, 1)
	clients, stop := w.run(0)
	w.write(10)
	w.flush(clients)
	stop()
	n, key, taken := names{"shop", 2}, plainKey("shop"), 0
	ctx := context.Background()
	w.j.onCall(func(op, k string) (before, after error) {
		if op != "Acquire" || k != key {
			return nil, nil
		}
		if taken++; taken == 3 { // after the change's begin, and its run
			saved, err := takeOver(ctx, w.j.Journal, key)
			require.NoError(t, err)
			snapshot, err := stored.DecodeSnapshot(saved.Data)
			require.NoError(t, err)
			snapshot.Held = append(snapshot.Held, ledger.HeldStream{PersistenceID: "a", Next: 7})
			saved.Index++
			saved.Data, saved.Keep = snapshot.Encode(time.Now())
			require.NoError(t, w.j.Journal.Save(ctx, key, saved))
		}
		return nil, nil
	})
	require.NoError(t, w.resize(0, 2))
	require.Equal(t, 4, taken, "it sees that somebody has, and takes over from him")
	saved, err := w.j.Load(ctx, n.key(n.of("a")))
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"a": 7}, saved.Keep.Held)
}

// Members that were not stopped are fenced, and run nothing until their number is right.
func TestAChangeFencesMembersThatRun(t *testing.T) {
	w := newShop(t, 1)
	old, stopOld := w.run(2)
	w.write(20)
	w.flush(old)
	ends := make(chan error, 100)
	w.system.EventStream.Subscribe(func(event any) {
		if s, ok := event.(*outbox.Stopped); ok {
			ends <- s.Err
		}
	})
	elsewhere := testkit.NewActorSystem(t) // a name is taken once in an actor system
	w.j.afterHead(func() {                 // which the change publishes up to
		w.write(5)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		for _, c := range old {
			require.ErrorIs(t, c.Flush(ctx), outbox.ErrStopped, "one that runs on could save more than the change knows of")
		}
	})
	require.NoError(t, Resize(testContext(t), elsewhere.Root, "shop", 2, 3, w.j, w.props(), w.options()...))
	w.lives += 2
	w.write(20)
	for range old {
		require.ErrorIs(t, <-ends, outbox.ErrFenced)
	}
	stopOld()
	_, _ = w.run(2)
	for range old {
		require.ErrorIs(t, <-ends, ErrLayout)
	}
	clients, stop := w.run(3)
	defer stop()
	w.flush(clients)
	w.check()
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}
