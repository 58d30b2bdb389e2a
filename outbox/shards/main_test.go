package shards_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/cluster"
	clustertest "github.com/asynkron/protoactor-go/cluster/clusterproviders/test"
	"github.com/asynkron/protoactor-go/cluster/identitylookup/disthash"
	"github.com/asynkron/protoactor-go/remote"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/shards"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

func TestMain(m *testing.M) {
	const framework = "github.com/asynkron/protoactor-go/cluster"
	goleak.VerifyTestMain(m,
		// Dead letters are counted in a goroutine, for a second.
		goleak.IgnoreAnyFunction("github.com/asynkron/protoactor-go/actor.NewDeadLetter.NewThrottle.func4.1"),
		// The cluster leaves these behind when it is shut down.
		goleak.IgnoreAnyFunction(framework+".(*Gossiper).StartGossiping.NewThrottle.func3.1"),
		goleak.IgnoreAnyFunction(framework+"/clusterproviders/test.(*Provider).startTtlReport.func1"))
}

const patience = 20 * time.Second

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// write appends events first to last of the id, as a persistent actor would.
func write(t *testing.T, j *memory.Journal, id string, first, last int64) {
	t.Helper()
	for seq := first; seq <= last; seq++ {
		data, err := proto.Marshal(wrapperspb.String(fmt.Sprintf("%s/%d", id, seq)))
		require.NoError(t, err)
		e := query.Event{
			PersistenceID: id, SequenceNumber: seq, Type: "google.protobuf.StringValue",
			ContentType: "application/protobuf", Data: data,
		}
		_, err = rand.Read(e.UID[:])
		require.NoError(t, err)
		require.NoError(t, j.AppendEvent(context.Background(), e))
	}
}

// sink records what it was given.
type sink struct {
	mu  sync.Mutex
	got map[string][]int64
}

func (s *sink) publish(_ context.Context, e publisher.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.got == nil {
		s.got = make(map[string][]int64)
	}
	s.got[e.PersistenceID] = append(s.got[e.PersistenceID], e.SequenceNumber)
	return nil
}

func (s *sink) received(id string) []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]int64(nil), s.got[id]...)
}

// member is a cluster of one.
type member struct {
	*shards.Shards
	cluster *cluster.Cluster
	client  *shards.Client
	keeper  *actor.PID
}

func start(t *testing.T, s *shards.Shards) member {
	t.Helper()
	system := actor.NewActorSystem(
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }),
		actor.WithDeadLetterThrottleInterval(time.Millisecond),
	)
	c := cluster.New(system, cluster.Configure("test", clustertest.NewTestProvider(clustertest.NewInMemAgent()), disthash.New(),
		remote.Configure("127.0.0.1", 0), cluster.WithKinds(s.Kind())))
	c.StartMember()
	m := member{Shards: s, cluster: c, client: s.Client(c)}
	m.keeper = system.Root.Spawn(s.Keeper(c))
	t.Cleanup(func() {
		_ = system.Root.StopFuture(m.keeper).Wait()
		c.Shutdown(true)
	})
	return m
}

func quick() shards.Option {
	return shards.WithOutboxOptions(outbox.WithPollInterval(5*time.Millisecond), outbox.WithBackoff(time.Millisecond, 20*time.Millisecond))
}
