package outboxtest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/outboxtest"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// seedEnv repeats the run of one seed.
const seedEnv = "OUTBOXTEST_SEED"

// Whatever goes wrong, and however much at once: nothing is lost, each id comes in its order, and all is out and saved
// once nothing goes wrong any more.
func TestAnOutboxSurvivesFaultsOfEveryKind(t *testing.T) {
	seeds := []uint64{1, 2, 3, 4, rand.Uint64(), rand.Uint64()}
	if given := os.Getenv(seedEnv); given != "" {
		seed, err := strconv.ParseUint(given, 10, 64)
		require.NoError(t, err)
		seeds = []uint64{seed}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			c := newChaos(t, seed)
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("repeat with %s=%d\n%v", seedEnv, seed, c.faults)
				}
			})
			for round := range 40 {
				c.injectSome()
				c.appendSome(t)
				c.run(t)
				if round%10 == 9 {
					c.restart(t)
				}
				if round%4 == 3 {
					c.faults.Clear()
				}
			}
			c.faults.Clear()
			c.flush(t)
			c.check(t)
		})
	}
}

// chaos is an outbox, what it runs on, and what goes wrong.
type chaos struct {
	random  *rand.Rand
	faults  *outboxtest.Faults
	memory  *memory.Journal
	journal outboxtest.Journal
	props   *actor.Props
	system  *actor.ActorSystem
	pid     *actor.PID
	client  *outbox.Client

	last map[string]int64 // appended, by persistence id

	mu  sync.Mutex
	got map[string][]int64 // delivered, by persistence id, in the order of arrival
}

func newChaos(t *testing.T, seed uint64) *chaos {
	t.Helper()
	c := &chaos{
		random: rand.New(rand.NewPCG(seed, 0)),
		faults: outboxtest.NewFaults(seed),
		memory: newMemory(t),
		system: testkit.NewActorSystem(t),
		last:   make(map[string]int64),
		got:    make(map[string][]int64),
	}
	c.journal = c.faults.Journal(c.memory)
	sink := c.faults.Publisher(publisher.Func(func(_ context.Context, e publisher.Event) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.got[e.PersistenceID] = append(c.got[e.PersistenceID], e.SequenceNumber)
		return nil
	}))
	var err error
	c.props, err = outbox.Props("chaos", c.journal, publisher.Props(sink),
		outbox.WithPollInterval(time.Millisecond), outbox.WithBackoff(time.Millisecond, 5*time.Millisecond),
		outbox.WithPublishTimeout(50*time.Millisecond), outbox.WithHoldAfter(10*time.Millisecond),
		outbox.WithLanes(2), outbox.WithBatch(8, 1<<20), outbox.WithMaxUnsaved(64))
	require.NoError(t, err)
	c.spawn()
	t.Cleanup(func() {
		c.faults.Clear()
		require.NoError(t, c.system.Root.StopFuture(c.pid).Wait())
	})
	return c
}

func (c *chaos) spawn() {
	c.pid = c.system.Root.Spawn(c.props)
	c.client = outbox.NewClient(c.system.Root, c.pid)
}

// injectSome adds one to three faults of any kind to any of the operations that an outbox lives on.
func (c *chaos) injectSome() {
	operations := []outboxtest.Operation{
		outboxtest.ReadFeed, outboxtest.ReadByID, outboxtest.Head, outboxtest.Notify,
		outboxtest.Acquire, outboxtest.Load, outboxtest.Save, outboxtest.Append,
		outboxtest.Publish, outboxtest.Publish, outboxtest.Publish, outboxtest.Publish,
	}
	for range 1 + c.random.IntN(3) {
		op := operations[c.random.IntN(len(operations))]
		fault := outboxtest.Fault{After: c.random.IntN(3), Times: 1 + c.random.IntN(5)}
		if c.random.IntN(3) == 0 {
			fault.Probability = 0.5
		}
		errDown := errors.New("down")
		switch kind := c.random.IntN(5); {
		case kind == 0:
			fault.Delay = time.Duration(c.random.IntN(5)+1) * time.Millisecond
		case kind == 1 && op != outboxtest.Append: // nobody would let go of it
			fault.Hang = true
		case kind == 2 && op != outboxtest.Notify:
			fault.Panic, fault.Unheard = errDown, c.random.IntN(2) == 0
		default:
			fault.Err, fault.Unheard = errDown, c.random.IntN(2) == 0
		}
		if op == outboxtest.Publish {
			c.narrow(&fault)
		}
		c.faults.Inject(op, fault)
	}
}

// narrow limits a fault to some of a batch, or has it say more than that something is wrong.
func (c *chaos) narrow(fault *outboxtest.Fault) {
	switch c.random.IntN(4) {
	case 0:
		fault.PersistenceID = c.anyID()
	case 1:
		fault.Event = 1 + c.random.IntN(4)
	}
	if fault.Err != nil && !fault.Unheard {
		switch c.random.IntN(4) {
		case 0:
			fault.Err = publisher.RetryAfter(fault.Err, time.Millisecond)
		case 1:
			fault.Err, fault.Times = publisher.Permanent(fault.Err), 1
		}
	}
}

func (c *chaos) anyID() string { return fmt.Sprintf("id-%d", c.random.IntN(6)) }

// appendSome appends as a persistent actor would: the same event again, until it is told that it is there.
func (c *chaos) appendSome(t *testing.T) {
	t.Helper()
	for range 1 + c.random.IntN(20) {
		id := c.anyID()
		c.last[id]++
		e := event(id, c.last[id])
		for tries := 0; ; tries++ {
			require.Less(t, tries, 50)
			if c.append(e) == nil {
				break
			}
		}
	}
}

func (c *chaos) append(e query.Event) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = v.(error)
		}
	}()
	return c.journal.AppendEvent(context.Background(), e)
}

// run lets the outbox work until it has published all that there is, or for a moment.
func (c *chaos) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := c.client.Flush(ctx); err != nil {
		require.NotErrorIs(t, err, outbox.ErrStopped, "it never gives up")
	}
}

func (c *chaos) restart(t *testing.T) {
	t.Helper()
	require.NoError(t, c.system.Root.StopFuture(c.pid).Wait())
	c.spawn()
}

func (c *chaos) flush(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, c.client.Flush(ctx))
}

func (c *chaos) check(t *testing.T) {
	t.Helper()
	status, err := c.client.Status(t.Context())
	require.NoError(t, err)
	require.Zero(t, status.GetUnsaved())
	require.EqualValues(t, len(status.GetParked()), status.GetParkedCount())
	parked := make(map[string]bool)
	for _, p := range status.GetParked() {
		parked[fmt.Sprintf("%s/%d", p.GetEvent().GetPersistenceId(), p.GetEvent().GetSequenceNumber())] = true
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	for id, last := range c.last {
		firsts, seen := []int64{}, make(map[int64]bool)
		for _, seq := range c.got[id] {
			if !seen[seq] {
				seen[seq] = true
				firsts = append(firsts, seq)
			}
		}
		want := []int64{}
		for seq := int64(1); seq <= last; seq++ {
			if !parked[fmt.Sprintf("%s/%d", id, seq)] || seen[seq] { // parked after a delivery that went unheard
				want = append(want, seq)
			}
		}
		require.Equal(t, want, firsts, "%s, each event where it came first", id)
	}
	require.Positive(t, c.faults.Struck(outboxtest.Publish))
}
