package adopt_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/persistence"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/adopt"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
)

// seedEnv repeats the run of one seed.
const seedEnv = "ADOPT_TEST_SEED"

// Over the framework's own provider, and over ones that misbehave in every way, with processes that crash: what the provider
// has in the end was published, all of it, nothing else, and each id in its order.
func TestNothingIsLostAndOrderIsKept(t *testing.T) {
	inMemory := func() persistence.Provider { return newFramework() }
	inTable := func() persistence.Provider { return newTable() }
	for name, world := range map[string]struct {
		provider func() persistence.Provider
		mood     func(*moody)
	}{
		"the framework's provider":    {inMemory, func(*moody) {}},
		"a table":                     {inTable, func(*moody) {}},
		"writes are swallowed":        {inMemory, func(p *moody) { p.swallow = 0.1 }},
		"rows are swallowed":          {inTable, func(p *moody) { p.swallow, p.heard = 0.05, true }},
		"calls panic":                 {inTable, func(p *moody) { p.panics = 0.1 }},
		"calls hang":                  {inMemory, func(p *moody) { p.hang = 0.01 }},
		"the newest event is late":    {inTable, func(p *moody) { p.late = 0.3 }},
		"snapshots are not rewritten": {inMemory, func(p *moody) { p.refuse = true }},
		"everything at once": {inTable, func(p *moody) {
			p.swallow, p.panics, p.hang, p.late, p.refuse, p.heard = 0.02, 0.05, 0.005, 0.1, true, true
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seeds := []uint64{1, 2, rand.Uint64()}
			if given := os.Getenv(seedEnv); given != "" {
				seed, err := strconv.ParseUint(given, 10, 64)
				require.NoError(t, err)
				seeds = []uint64{seed}
			}
			for _, seed := range seeds {
				t.Run(fmt.Sprint(seed), func(t *testing.T) {
					provider := newMoody(world.provider(), seed)
					world.mood(provider)
					w := newWorld(t, provider, seed)
					t.Cleanup(func() {
						if t.Failed() {
							t.Logf("repeat with %s=%d; what went wrong: %v %v", seedEnv, seed, provider.counts, w.count())
						}
					})
					for round := range 20 {
						w.write()
						if round%5 == 4 {
							w.crash(t)
						}
						if round%3 == 2 {
							provider.free(false)
						}
					}
					provider.free(true)
					w.settle(t)
					w.check(t)
				})
			}
		})
	}
}

const (
	entities   = 8
	maxUnsaved = 64
)

// world is a process, which can crash, with entities, an outbox, and a provider that outlives it.
type world struct {
	provider *moody
	random   *rand.Rand
	journal  *adopt.Journal
	system   *actor.ActorSystem
	outbox   *actor.PID
	client   *outbox.Client
	entities []*actor.PID
	sent     int
	crashes  int

	mu        sync.Mutex
	sink      *rand.Rand // some deliveries fail, so that ids are held
	published map[string][]delivery
}

type delivery struct {
	seq  int64
	text string
}

func newWorld(t *testing.T, p *moody, seed uint64) *world {
	t.Helper()
	w := &world{
		provider: p, random: rand.New(rand.NewPCG(seed, 2)), sink: rand.New(rand.NewPCG(seed, 3)), published: make(map[string][]delivery),
		system: testkit.NewActorSystem(t),
	}
	w.begin(t)
	t.Cleanup(func() {
		p.free(true)
		w.end(t)
	})
	return w
}

func (w *world) begin(t *testing.T) {
	t.Helper()
	var err error
	w.journal, err = adopt.Wrap(w.provider, func(context.Context) ([]string, error) { return entityIDs(), nil },
		adopt.WithSweepInterval(50*time.Millisecond), adopt.WithCallTimeout(30*time.Millisecond),
		adopt.WithConfirmWithin(100*time.Millisecond), adopt.WithLogger(slog.New(slog.DiscardHandler)))
	require.NoError(t, err)
	props, err := outbox.Props("shop", w.journal, publisher.Props(publisher.Func(func(_ context.Context, e publisher.Event) error {
		var m wrapperspb.StringValue
		if err := proto.Unmarshal(e.Data, &m); err != nil {
			return err
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.sink.Float64() < 0.1 {
			return errDown
		}
		w.published[e.PersistenceID] = append(w.published[e.PersistenceID], delivery{e.SequenceNumber, m.GetValue()})
		return nil
	})), outbox.WithPollInterval(time.Millisecond), outbox.WithBackoff(time.Millisecond, 20*time.Millisecond),
		outbox.WithMaxUnsaved(maxUnsaved), outbox.WithBatch(8, 1<<20), outbox.WithHoldAfter(5*time.Millisecond))
	require.NoError(t, err)
	w.outbox = w.system.Root.Spawn(props)
	w.client = outbox.NewClient(w.system.Root, w.outbox)

	// Entities are restarted however often their provider fails.
	forever := actor.NewOneForOneStrategy(math.MaxInt, time.Hour, func(any) actor.Directive { return actor.RestartDirective })
	w.entities = nil
	for i, id := range entityIDs() {
		using := persistence.Using(w.journal)
		if i%2 == 1 || w.provider.heard {
			using = journal.Using(w.journal, journal.WithID(func(actor.Context) string { return id }), journal.WithRetryFor(200*time.Millisecond))
		}
		pid, err := w.system.Root.SpawnNamed(actor.PropsFromProducer(func() actor.Actor { return new(entity) },
			actor.WithReceiverMiddleware(using), actor.WithGuardian(forever)), id)
		require.NoError(t, err)
		w.entities = append(w.entities, pid)
	}
}

// end is the end of a process: what was not saved is lost.
func (w *world) end(t *testing.T) {
	t.Helper()
	// From now on nothing can be saved; and nothing of this process may come to the provider when the next one runs.
	require.NoError(t, testkit.AwaitCondition(context.Background(), func() bool { return w.journal.Close() == nil }, 0))
	require.NoError(t, w.system.Root.StopFuture(w.outbox).Wait())
	for _, pid := range w.entities {
		require.NoError(t, w.system.Root.StopFuture(pid).Wait())
	}
}

func (w *world) crash(t *testing.T) {
	t.Helper()
	w.crashes++
	w.provider.free(false) // an actor that hangs in a call cannot stop
	w.mu.Lock()
	hang := w.provider.hang
	w.mu.Unlock()
	w.provider.setHang(0)
	w.provider.free(false)
	w.end(t)
	w.begin(t)
	w.provider.setHang(hang)
}

// write has some entities persist something.
func (w *world) write() {
	for range 20 {
		w.sent++
		w.system.Root.Send(w.entities[w.random.IntN(len(w.entities))], &add{fmt.Sprintf("event %d", w.sent)})
	}
	// What comes next comes while they are at it, or after.
	<-time.After(time.Duration(w.random.IntN(20)) * time.Millisecond)
}

// settle waits until everything that the provider has was published.
func (w *world) settle(t *testing.T) {
	t.Helper()
	// Whoever hangs in a call, or is about to be restarted, has come to an end of that.
	for _, pid := range w.entities {
		_, err := w.system.Root.RequestFuture(pid, &ask{}, 5*time.Second).Result()
		require.NoError(t, err)
	}
	require.NoError(t, testkit.AwaitCondition(t.Context(), func() bool {
		for _, id := range entityIDs() {
			w.mu.Lock()
			n := int64(0)
			for _, d := range w.published[id] {
				n = max(n, d.seq)
			}
			w.mu.Unlock()
			if n < int64(len(w.stored(id))) {
				return false
			}
		}
		return true
	}, 20*time.Second), "published: %v, problems: %v", w.count(), w.journal.Problems())
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(t, w.client.Flush(ctx))
}

func (w *world) count() map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	counts := make(map[string]string)
	for _, id := range entityIDs() {
		counts[id] = fmt.Sprintf("%d of %d", len(w.published[id]), len(w.stored(id)))
	}
	return counts
}

// stored is what the provider has.
func (w *world) stored(id string) (texts []string) {
	w.provider.ProviderState.GetEvents(id, 0, 0, func(e any) { texts = append(texts, e.(*wrapperspb.StringValue).GetValue()) })
	return texts
}

func (w *world) check(t *testing.T) {
	t.Helper()
	total, repeated := 0, 0
	for _, id := range entityIDs() {
		stored := w.stored(id)
		total += len(stored)
		next := int64(1)
		for _, d := range w.published[id] {
			require.LessOrEqual(t, d.seq, next, "%s: event %d comes before event %d", id, d.seq, next)
			require.LessOrEqual(t, d.seq, int64(len(stored)), "%s: event %d was never persisted", id, d.seq)
			require.Equal(t, stored[d.seq-1], d.text, "event %d of %s", d.seq, id)
			if d.seq == next {
				next++
			} else {
				repeated++
			}
		}
		require.Equal(t, int64(len(stored)), next-1, "%s: every event was published", id)
	}
	require.Positive(t, total)
	require.LessOrEqual(t, repeated, w.crashes*maxUnsaved, "a crash repeats what was not saved, and no more")
}

func (p *moody) setHang(probability float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hang = probability
}

func entityIDs() (ids []string) {
	for i := range entities {
		ids = append(ids, fmt.Sprintf("entity-%d", i))
	}
	return ids
}

type add struct{ text string }

type ask struct{}

// entity persists what it is told.
type entity struct {
	persistence.Mixin
}

func (e *entity) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *add:
		if e.Name() == "" {
			panic(errors.New("not recovered"))
		}
		e.PersistReceive(wrapperspb.String(m.text))
	case *ask:
		c.Respond(&ask{})
	}
}
