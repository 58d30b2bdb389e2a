package crash_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	// perFile is how many kills a journal file lives through, those while it was made included.
	perFile = 25
	// enough kills are those among which each moment must have been hit, plenty those among which one must have hit
	// the middle of the making of a file.
	enough, plenty = 24, 60
)

// kill at will: nothing is lost, nothing is out of order, and no crash repeats more than MaxUnsaved events.
func TestKilledAtAnyMoment(t *testing.T) {
	kills, seed := number(t, "OUTBOX_CRASH_KILLS", 24), number(t, "OUTBOX_CRASH_SEED", int(time.Now().UnixNano()))
	t.Logf("OUTBOX_CRASH_SEED=%d", seed)
	random := rand.New(rand.NewPCG(uint64(seed), 0))

	cards := &deck{random: random}
	var histories []*history
	for left := kills; left > 0; left -= perFile {
		h := newHistory(t, random, cards, min(left, perFile))
		h.check(t)
		histories = append(histories, h)
	}
	report(t, histories)

	hits, left, published, written := map[string]int{}, map[string]int{}, 0, 0
	for _, h := range histories {
		for _, l := range h.lives {
			if l.hit() {
				hits[l.name]++
			}
			left[l.left]++
			published += l.received
			written += len(l.acks)
		}
	}
	require.Positive(t, written, "no worker has written before it was killed")
	require.Positive(t, published, "no worker has published before it was killed")
	if kills >= enough {
		for _, m := range append(moments, opening(0)) {
			require.Positive(t, hits[m.name], "no kill has hit a worker %s", m.name)
		}
	}
	if kills >= plenty {
		require.Positive(t, left[fileUnfinished], "no kill has left %s", fileUnfinished)
	}
}

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
