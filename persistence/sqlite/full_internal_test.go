package sqlite

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
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
		require.NoError(t, j.Append(t.Context(), large(seq)))
	}
	makeRoom := fill(t, j)
	for range 3 {
		err := j.Append(t.Context(), large(4))
		require.ErrorContains(t, err, "full")
		require.ErrorContains(t, err, path)
		require.False(t, journal.IsFinal(err), "time, or an operator, can heal it: %v", err)
	}
	last, err := j.LastSequenceNumber(t.Context(), "a")
	require.NoError(t, err)
	require.EqualValues(t, 3, last)

	makeRoom()
	require.NoError(t, j.Append(t.Context(), large(4)))
	page, err := j.Events(t.Context(), 0, query.Filter{}, query.Limits{Events: 10})
	require.NoError(t, err)
	require.Len(t, page.Events, 4)
}

func TestAnOutboxOutlivesAFullDisk(t *testing.T) {
	j, err := Open(t.Context(), filepath.Join(t.TempDir(), "journal.db"))
	require.NoError(t, err)
	defer j.Close()
	var (
		mu  sync.Mutex
		got []int64
	)
	sink := publisher.Func(func(_ context.Context, e publisher.Event) error {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, e.SequenceNumber)
		return nil
	})
	props, err := outbox.Props("test", j, publisher.Props(sink), outbox.WithPollInterval(5*time.Millisecond), outbox.WithBackoff(time.Millisecond, 20*time.Millisecond))
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
	require.NoError(t, flush(30*time.Second))

	require.NoError(t, j.Append(t.Context(), large(1)))
	makeRoom := fill(t, j)
	require.Error(t, j.Append(t.Context(), large(2)))
	_ = flush(100 * time.Millisecond) // whether its few bytes still fit is for SQLite to know
	makeRoom()
	require.NoError(t, j.Append(t.Context(), large(2)))
	require.NoError(t, flush(30*time.Second), "it goes on by itself")
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, []int64{1, 2}, got)
}
