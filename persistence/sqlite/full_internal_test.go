package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// fill lets the file grow no further, and makes room again.
func fill(t *testing.T, j *Journal) (makeRoom func()) {
	t.Helper()
	var pages int
	require.NoError(t, j.writer.QueryRow("PRAGMA max_page_count = 1").Scan(&pages)) // which is never below what it has
	return func() { require.NoError(t, j.writer.QueryRow("PRAGMA max_page_count = 1000000").Scan(&pages)) }
}

func large(seq int64) query.Event {
	e := query.Event{PersistenceID: "a", SequenceNumber: seq, Type: "T", Data: make([]byte, 64<<10)}
	copy(e.UID[:], fmt.Sprintf("a/%d", seq))
	return e
}

func TestAFullDiskTakesNoEventAndLosesNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j, err := Open(t.Context(), path)
	require.NoError(t, err)
	defer j.Close()
	for seq := int64(1); seq <= 3; seq++ {
		require.NoError(t, j.AppendEvent(t.Context(), large(seq)))
	}
	makeRoom := fill(t, j)
	for range 3 {
		err := j.AppendEvent(t.Context(), large(4))
		require.ErrorContains(t, err, "full")
		require.ErrorContains(t, err, path)
		require.False(t, journal.IsFinal(err), "time, or an operator, can heal it: %v", err)
	}
	last, err := j.LastSequenceNumber(t.Context(), "a")
	require.NoError(t, err)
	require.EqualValues(t, 3, last)

	makeRoom()
	require.NoError(t, j.AppendEvent(t.Context(), large(4)))
	page, err := j.Events(t.Context(), 0, query.Filter{}, query.Limits{Events: 10})
	require.NoError(t, err)
	require.Len(t, page.Events, 4)
}

// refusing is a sink that takes the first and the third event of each stream, and refuses the second for good.
type refusing struct {
	// begin is closed when it may begin.
	begin chan struct{}

	mu           sync.Mutex
	got, refused map[string][]int64
}

func (r *refusing) publish(ctx context.Context, e publisher.Event) error {
	select {
	case <-r.begin:
	case <-ctx.Done():
		return ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.SequenceNumber == 2 {
		r.refused[e.PersistenceID] = append(r.refused[e.PersistenceID], 2)
		return publisher.Permanent(errors.New(strings.Repeat("no ", 200)))
	}
	r.got[e.PersistenceID] = append(r.got[e.PersistenceID], e.SequenceNumber)
	return nil
}

// went returns the streams whose third event was published.
func (r *refusing) went() (ids []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, got := range r.got {
		if slices.Contains(got, 3) {
			ids = append(ids, id)
		}
	}
	return ids
}

// counting counts how often an outbox has begun, and what it could not save.
type counting struct {
	*Journal
	begun, failed atomic.Int64
}

func (c *counting) Acquire(ctx context.Context, key string, held, seen int64) (query.Saved, error) {
	c.begun.Add(1)
	return c.Journal.Acquire(ctx, key, held, seen)
}

func (c *counting) Save(ctx context.Context, key string, s query.Saved) error {
	err := c.Journal.Save(ctx, key, s)
	if err != nil {
		c.failed.Add(1)
	}
	return err
}

// parked returns the streams of whose second event the outbox has saved that it is parked.
func parked(t *testing.T, j *Journal) (ids []string) {
	t.Helper()
	saved, err := j.Load(t.Context(), "outbox/test")
	require.NoError(t, err)
	for _, p := range saved.Keep.Parked {
		require.EqualValues(t, 2, p.SequenceNumber)
		ids = append(ids, p.PersistenceID)
	}
	return ids
}

func TestAnOutboxOutlivesAFullDisk(t *testing.T) {
	const patience = 30 * time.Second
	j, err := Open(t.Context(), filepath.Join(t.TempDir(), "journal.db"))
	require.NoError(t, err)
	defer j.Close()
	sink := &refusing{begin: make(chan struct{}), got: map[string][]int64{}, refused: map[string][]int64{}}
	counted := &counting{Journal: j}
	props, err := outbox.Props("test", counted, publisher.Props(publisher.Func(sink.publish)),
		outbox.WithPollInterval(5*time.Millisecond), outbox.WithBackoff(time.Millisecond, 20*time.Millisecond))
	require.NoError(t, err)
	system := testkit.NewActorSystem(t)
	pid := system.Root.Spawn(props)
	defer func() { require.NoError(t, system.Root.StopFuture(pid).Wait()) }()
	client := outbox.NewClient(system.Root, pid)
	flush := func(timeout time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		return client.Flush(ctx)
	}
	status := func() *outboxv1.Status {
		s, err := client.Status(t.Context())
		require.NoError(t, err)
		return s
	}
	require.NoError(t, flush(patience))

	// A snapshot that names so many parked events, each with its reason, does not fit into the page that it has.
	const streams = 32
	published, refused := map[string][]int64{}, map[string][]int64{}
	for n := range streams {
		id := fmt.Sprintf("stream-%d", n)
		for seq := int64(1); seq <= 3; seq++ {
			e := query.Event{PersistenceID: id, SequenceNumber: seq, Type: "T"}
			copy(e.UID[:], fmt.Sprintf("%d/%d", n, seq))
			require.NoError(t, j.AppendEvent(t.Context(), e))
		}
		published[id], refused[id] = []int64{1, 3}, []int64{2}
	}
	makeRoom := fill(t, j)
	require.ErrorContains(t, j.AppendEvent(t.Context(), large(1)), "full")
	close(sink.begin)
	require.NoError(t, testkit.AwaitCondition(t.Context(), func() bool {
		s := status()
		return s.GetParkedCount() == streams && strings.Contains(s.GetReason(), "full")
	}, patience, "the parked events were to be saved, in vain"))
	require.Positive(t, counted.failed.Load())
	require.ErrorIs(t, flush(100*time.Millisecond), context.DeadlineExceeded)
	require.NotZero(t, status().GetUnsaved())
	went := sink.went() // a snapshot that names a few may have fitted
	require.Subset(t, parked(t, j), went, "a stream does not go on before its parked event is saved")
	require.Less(t, len(parked(t, j)), streams)

	makeRoom()
	require.NoError(t, flush(patience), "it goes on by itself")
	require.Equal(t, published, sink.got)
	require.Equal(t, refused, sink.refused)
	require.Len(t, parked(t, j), streams)
	require.EqualValues(t, streams, status().GetParkedCount())
	require.Zero(t, status().GetUnsaved())
	require.EqualValues(t, 1, counted.begun.Load(), "it did not have to begin anew")
}
