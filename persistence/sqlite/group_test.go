package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/sqlite"
)

// crowd is hundreds who append at once, and what each was told.
type crowd struct {
	t *testing.T
	j *sqlite.Journal

	mu       sync.Mutex
	stored   map[query.Pointer][16]byte // uids of events
	recorded map[query.Pointer]string   // data of records
	unknown  int
}

func (c *crowd) note(e query.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stored[query.Pointer{PersistenceID: e.PersistenceID, SequenceNumber: e.SequenceNumber}] = e.UID
}

// actor appends to its own id, and does not wait for the answer now and then; as an actor does, it then appends the same again.
func (c *crowd) actor(random *rand.Rand, id string, events int64) {
	for seq := int64(1); seq <= events; {
		ctx, cancel := c.t.Context(), func() {}
		if random.IntN(3) == 0 {
			ctx, cancel = context.WithTimeout(ctx, time.Duration(random.IntN(3000))*time.Microsecond)
		}
		e := event(id, seq)
		err := c.j.AppendEvent(ctx, e)
		cancel()
		switch {
		case err == nil:
			c.note(e)
			seq++
		case errors.Is(err, context.DeadlineExceeded):
			c.mu.Lock()
			c.unknown++
			c.mu.Unlock()
		default:
			assert.NoError(c.t, err)
			return
		}
	}
}

// rival appends to an id that others append to as well, and often comes too late.
func (c *crowd) rival(name, id string, tries int) {
	for range tries {
		last, err := c.j.LastSequenceNumber(c.t.Context(), id)
		if !assert.NoError(c.t, err) {
			return
		}
		e := event(id, last+1)
		copy(e.UID[:], name)
		if err := c.j.AppendEvent(c.t.Context(), e); err == nil {
			c.note(e)
		} else {
			assert.ErrorIs(c.t, err, journal.ErrSequenceConflict)
		}
	}
}

// recorder appends records, several at a time.
func (c *crowd) recorder(name string, calls int) {
	for n := range calls {
		data := fmt.Sprintf("%s-%d", name, n)
		r := journal.Record{PersistenceID: "records", Type: "T", Data: []byte(data)}
		pointers, err := c.j.Append(c.t.Context(), r, r, r)
		if !assert.NoError(c.t, err) {
			return
		}
		c.mu.Lock()
		for _, p := range pointers {
			c.recorded[p] = data
		}
		c.mu.Unlock()
	}
}

// keeper does what else is written, and must not starve.
func (c *crowd) keeper(id string, saves int64) {
	key := "outbox/" + id
	saved, err := c.j.Acquire(c.t.Context(), key, 0, 0)
	if !assert.NoError(c.t, err) {
		return
	}
	for n := int64(1); n <= saves; n++ {
		assert.NoError(c.t, c.j.Save(c.t.Context(), key, query.Saved{Epoch: saved.Epoch, Index: n}))
		assert.NoError(c.t, c.j.SaveActorSnapshot(c.t.Context(), id, journal.ActorSnapshot{Index: n, Type: "T"}))
	}
}

func TestHundredsAppendAtOnce(t *testing.T) {
	const actors, rivals, recorders, keepers, each = 200, 60, 30, 4, 6
	seed := seedOf(t)
	c := &crowd{
		t: t, j: open(t, filepath.Join(t.TempDir(), "journal.db")),
		stored: map[query.Pointer][16]byte{}, recorded: map[query.Pointer]string{},
	}
	var wg sync.WaitGroup
	for n := range actors {
		wg.Go(func() { c.actor(rand.New(rand.NewPCG(seed, uint64(n))), fmt.Sprintf("actor-%d", n), each) })
	}
	for n := range rivals {
		wg.Go(func() { c.rival(fmt.Sprintf("rival-%d", n), fmt.Sprintf("shared-%d", n%3), each) })
	}
	for n := range recorders {
		wg.Go(func() { c.recorder(fmt.Sprintf("recorder-%d", n), each) })
	}
	for n := range keepers {
		wg.Go(func() { c.keeper(fmt.Sprintf("keeper-%d", n), each) })
	}
	// A reader tails the feed meanwhile, and must miss nothing.
	stop, tailed := make(chan struct{}), make(chan []query.Event)
	go func() { tailed <- tail(t, c.j, stop) }()
	wg.Wait()
	close(stop)
	events := <-tailed

	require.Equal(t, all(t, c.j), events)
	last, data := map[string]int64{}, map[query.Pointer]string{}
	for _, e := range events {
		require.Equal(t, last[e.PersistenceID]+1, e.SequenceNumber, "%s comes in order", e.PersistenceID)
		last[e.PersistenceID]++
		p := query.Pointer{PersistenceID: e.PersistenceID, SequenceNumber: e.SequenceNumber}
		if e.PersistenceID == "records" {
			data[p] = string(e.Data)
			continue
		}
		uid, told := c.stored[p]
		require.True(t, told, "nobody was told that %s is stored", e.ID())
		require.Equal(t, uid, e.UID, "another one was told that %s is stored", e.ID())
		delete(c.stored, p)
	}
	require.Empty(t, c.stored, "somebody was told that these are stored")
	require.Equal(t, c.recorded, data)
	for n := range actors {
		require.EqualValues(t, each, last[fmt.Sprintf("actor-%d", n)])
	}
	t.Logf("%d events; of %d appends the outcome was unknown", len(events), c.unknown)
}

// tail reads the feed until it is stopped, and then to its end.
func tail(t *testing.T, j *sqlite.Journal, stop <-chan struct{}) (events []query.Event) {
	var after query.Offset
	for stopped := false; ; {
		page, err := j.Events(t.Context(), after, query.Filter{}, query.Limits{Events: 100})
		if !assert.NoError(t, err) {
			return nil
		}
		events, after = append(events, page.Events...), page.Next
		if stopped && !page.More {
			return events
		}
		select {
		case <-stop:
			stopped = true
		default:
		}
	}
}

// Without one it would pass for a repetition of another event without one.
func TestAnEventWithoutAUIDIsRefused(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "journal.db"))
	err := j.AppendEvent(t.Context(), query.Event{PersistenceID: "a", SequenceNumber: 1, Type: "T"})
	require.ErrorIs(t, err, journal.ErrNotEncodable)
	require.ErrorContains(t, err, "UID")
	require.ErrorContains(t, err, `event 1 of "a"`)
	require.Empty(t, all(t, j))
}

// What else is written comes in between, however many append.
func TestAppendsDoNotStarveOtherWriters(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "journal.db"))
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for n := range 64 {
		wg.Go(func() {
			for seq := int64(1); ; seq++ {
				select {
				case <-stop:
					return
				default:
					assert.NoError(t, j.AppendEvent(t.Context(), event(fmt.Sprintf("actor-%d", n), seq)))
				}
			}
		})
	}
	for n := int64(1); n <= 20; n++ {
		require.NoError(t, j.SaveActorSnapshot(t.Context(), "a", journal.ActorSnapshot{Index: n, Type: "T"}))
		require.NoError(t, j.HideEvents(t.Context(), "actor-1", n))
	}
	close(stop)
	wg.Wait()
}
