package takeover_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/internal/takeover"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
)

// pace is that of the traffic to a journal: events per second, however long it takes to append, and the time between two appends, if
// they take no longer. A SQLite file is all members', who wait for it in no order.
type pace struct {
	rate float64
	beat time.Duration
}

func paceOf(place string) pace {
	if inPostgres(place) {
		return pace{600, 20 * time.Millisecond}
	}
	return pace{200, 60 * time.Millisecond}
}

// traffic appends events to the journal until it is stopped.
type traffic struct {
	storage takeover.Storage
	pace    pace
	stop    context.CancelFunc
	done    chan struct{}

	mu      sync.Mutex
	written map[event]bool
	err     error
}

const (
	ids  = 200
	most = 256 // in one append
)

func newTraffic(storage takeover.Storage, pace pace, random *rand.Rand) *traffic {
	ctx, cancel := context.WithCancel(context.Background())
	tr := &traffic{storage: storage, pace: pace, stop: cancel, done: make(chan struct{}), written: map[event]bool{}}
	go tr.run(ctx, random)
	return tr
}

func (tr *traffic) run(ctx context.Context, random *rand.Rand) {
	defer close(tr.done)
	tick := time.NewTicker(tr.pace.beat)
	defer tick.Stop()
	began := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		due := int(time.Since(began).Seconds()*tr.pace.rate) - tr.count()
		records := make([]journal.Record, max(0, min(due, most)))
		for i := range records {
			records[i] = journal.Record{
				PersistenceID: fmt.Sprintf("id-%d", random.IntN(ids)), Type: "test.Happened", ContentType: "text/plain", Data: []byte("x"),
			}
		}
		if len(records) == 0 {
			continue
		}
		appended, err := tr.storage.Append(context.Background(), records...)
		tr.mu.Lock()
		if err != nil {
			tr.err = err
			tr.mu.Unlock()
			return
		}
		for _, a := range appended {
			tr.written[event{a.PersistenceID, a.SequenceNumber}] = true
		}
		tr.mu.Unlock()
	}
}

// end stops it, and returns what it has written.
func (tr *traffic) end(t *testing.T) map[event]bool {
	t.Helper()
	tr.stop()
	<-tr.done
	require.NoError(t, tr.err)
	return tr.written
}

// so is what it has written so far.
func (tr *traffic) so() map[event]bool {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return maps.Clone(tr.written)
}

// count is how many events it has written.
func (tr *traffic) count() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return len(tr.written)
}
