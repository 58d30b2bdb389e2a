package crash_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/internal/crash"
)

// life is one worker process, from its start to its kill.
type life struct {
	maxUnsaved int
	slow       time.Duration
	moment     string
	acks       int
	// received counts the events that this life was the first or a later one to deliver.
	received int
	// again counts those of them that a later life delivered once more.
	again int
}

// kill at will: nothing is lost, nothing is out of order, and no crash repeats more than MaxUnsaved events.
func TestKilledAtRandomMoments(t *testing.T) {
	kills, seed := number(t, "OUTBOX_CRASH_KILLS", 20), number(t, "OUTBOX_CRASH_SEED", int(time.Now().UnixNano()))
	t.Logf("OUTBOX_CRASH_SEED=%d", seed)
	random := rand.New(rand.NewPCG(uint64(seed), 0))

	w := newWorld(t)
	file := filepath.Join(t.TempDir(), "crash.db")
	var (
		acks  []crash.Ack
		lives []life
	)
	for n := range kills {
		// A small MaxUnsaved is where the bound bites, and saves are many; a slow world has more in the air.
		l := life{
			maxUnsaved: pick(random, 16, 64, 256),
			slow:       pick(random, 0, 20*time.Millisecond, 80*time.Millisecond),
		}
		url, first := w.url(n, l.slow)
		p := startWorker(t, crash.Job{Journal: file, URL: url, Life: n, MaxUnsaved: l.maxUnsaved})
		l.moment = await(random, first)
		written := p.kill(t)
		l.acks = len(written)
		acks = append(acks, written...)
		lives = append(lives, l)
	}

	finish := func(life int) {
		url, _ := w.url(life, 0)
		startWorker(t, crash.Job{Journal: file, URL: url, Life: life, MaxUnsaved: 1024, Finish: true}).finish(t)
	}
	finish(kills)
	receipts := w.all()
	finish(kills + 1)
	require.Len(t, w.all(), len(receipts), "after a drain nothing is sent again")
	require.Empty(t, w.strange)

	require.NotEmpty(t, acks, "no worker has ever written")

	stored := readJournal(t, file)
	checkStored(t, stored, acks)
	checkReceived(t, stored, receipts)
	checkRepeated(t, lives, receipts)
	lived := 0
	for _, l := range lives {
		if l.received > 0 {
			lived++
		}
	}
	require.Positive(t, lived, "no worker has published before it was killed")
	report(t, lives, len(stored), len(receipts))
}

// await waits for a random moment to kill at: early, to hit the start and the recovery; soon after the first
// receipt, to hit the first saves; or at any time.
func await(random *rand.Rand, first <-chan struct{}) string {
	began := time.Now()
	pause := func(least, most time.Duration) { time.Sleep(least + time.Duration(random.Int64N(int64(most-least)))) }
	switch random.IntN(3) {
	case 0:
		pause(0, 80*time.Millisecond)
		return fmt.Sprintf("%v after the start", time.Since(began).Round(time.Millisecond))
	case 1:
		select {
		case <-first:
		case <-time.After(time.Second):
		}
		received := time.Now()
		pause(0, 100*time.Millisecond)
		return fmt.Sprintf("%v after the first receipt", time.Since(received).Round(time.Millisecond))
	default:
		pause(50*time.Millisecond, time.Second)
		return fmt.Sprintf("%v after the start", time.Since(began).Round(time.Millisecond))
	}
}

// checkStored: every acknowledged write is in the journal, as it was acknowledged, and no stream has a gap.
func checkStored(t *testing.T, stored map[event]string, acks []crash.Ack) {
	t.Helper()
	acknowledged := map[event]bool{}
	for _, a := range acks {
		e := event{a.PersistenceID, a.SequenceNumber}
		require.False(t, acknowledged[e], "%v was acknowledged twice", e)
		acknowledged[e] = true
		require.Equal(t, a.Payload, stored[e], "lost: a write that was acknowledged as %v", e)
	}
	writes := map[string]event{}
	for e, payload := range stored {
		other, twice := writes[payload]
		require.False(t, twice, "write %q was stored twice, as %v and %v", payload, other, e)
		writes[payload] = e
		_, follows := stored[event{e.id, e.seq - 1}]
		require.True(t, follows || e.seq == 1, "%v is stored, the event before it is not", e)
	}
}

// checkReceived: everything in the journal was received, nothing else, and first receipts are in order.
func checkReceived(t *testing.T, stored map[event]string, receipts []receipt) {
	t.Helper()
	last := map[string]int64{}
	for i, r := range receipts {
		require.Equal(t, stored[r.event], r.payload, "receipt %d: what was received as %v is not what is stored", i, r.event)
		if r.seq > last[r.id] {
			require.Equal(t, last[r.id]+1, r.seq, "receipt %d: out of order: %v", i, r.event)
			last[r.id] = r.seq
		}
	}
	for e := range stored {
		require.LessOrEqual(t, e.seq, last[e.id], "lost: %v is stored and was never received", e)
	}
}

// checkRepeated: of the events that one life delivered, at most MaxUnsaved were delivered again by later ones. It
// does not matter whether the killed worker had heard that they were received.
func checkRepeated(t *testing.T, lives []life, receipts []receipt) {
	t.Helper()
	latest := map[event]int{} // the life that delivered it last
	for _, r := range receipts {
		before, repeated := latest[r.event]
		// A request may be handled after its sender's end, and then seems to come from the past.
		if latest[r.event] = max(before, r.life); repeated && before == r.life {
			continue // a repetition within a life is not the crash's
		}
		if r.life < len(lives) {
			lives[r.life].received++
		}
		if repeated {
			lives[min(before, r.life)].again++
		}
	}
	for n, l := range lives {
		require.LessOrEqual(t, l.again, l.maxUnsaved, "crash %d, %s, repeated too many events", n, l.moment)
	}
}

// report prints the distribution.
func report(t *testing.T, lives []life, stored, received int) {
	var (
		b     strings.Builder
		again []int
	)
	fmt.Fprintf(&b, "%5s  %-28s%8s%10s%7s%12s%8s\n", "crash", "killed", "writes", "received", "again", "MaxUnsaved", "slow")
	for n, l := range lives {
		fmt.Fprintf(&b, "%5d  %-28s%8d%10d%7d%12d%8v\n", n, l.moment, l.acks, l.received, l.again, l.maxUnsaved, l.slow)
		again = append(again, l.again)
	}
	slices.Sort(again)
	t.Logf("\n%s%d events, %d receipts; received again after a crash: median %d, greatest %d",
		&b, stored, received, again[len(again)/2], again[len(again)-1])
}

func pick[T any](random *rand.Rand, from ...T) T { return from[random.IntN(len(from))] }

// number reads a number from the environment.
func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, name)
	require.Positive(t, n, name)
	return n
}
