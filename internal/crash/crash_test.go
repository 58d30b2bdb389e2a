package crash_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/internal/pgserver"
)

const (
	// perJournal is how many kills a journal lives through, those while it was made included.
	perJournal = 25
	// enough kills are those among which each moment must have been hit, plenty those among which one must have hit
	// the middle of the making of a journal.
	enough, plenty = 24, 60
)

// kill at will: nothing is lost, nothing is out of order, and no crash repeats more than MaxUnsaved events.
func TestKilledAtAnyMoment(t *testing.T) {
	kills, random := number(t, "OUTBOX_CRASH_KILLS", 24), seeded(t)
	lives := run(t, random, nil, make([]outage, kills), newSQLiteFile)
	if kills >= plenty {
		requireLeft(t, lives, fileUnfinished)
	}
}

// the same, and the server is stopped in the middle: it makes no difference to what is promised.
func TestKilledAtAnyMomentOverPostgreSQL(t *testing.T) {
	kills, stops, random := number(t, "OUTBOX_CRASH_KILLS", 15), number(t, "OUTBOX_CRASH_STOPS", 2), seeded(t)
	outages := planOutages(t, random, kills, stops)
	server := pgserver.New(t)
	lives := run(t, random, server, outages, func(t *testing.T) database { return newPostgresDatabase(t, server) })
	stopped, struck, appends := 0, 0, 0
	for _, l := range lives {
		if l.outage.stops() {
			stopped++
		}
		for _, u := range l.struck {
			struck++
			appends += u.appends
		}
	}
	require.Equal(t, stops, stopped)
	t.Logf("%d times struck, with %d appends under way", struck, appends)
	require.Positive(t, appends, "no outage has struck in an append")
	if kills >= plenty {
		requireLeft(t, lives, schemaMissing)
	}
}

// run lives and dies as often as there are outages, most of which are none.
func run(t *testing.T, random *rand.Rand, server *pgserver.Server, outages []outage, newDatabase func(*testing.T) database) (lives []*life) {
	t.Helper()
	cards := &deck{random: random}
	var histories []*history
	for left := outages; len(left) > 0; left = left[min(len(left), perJournal):] {
		h := &history{database: newDatabase(t), server: server, world: newWorld(t)}
		now := left[:min(len(left), perJournal)]
		h.begin(t, random, rehearse(t, newDatabase(t)), now)
		h.goOn(t, random, cards, now)
		h.check(t)
		histories = append(histories, h)
		lives = append(lives, h.lives...)
	}
	report(t, histories)

	hits, published, written := map[string]int{}, 0, 0
	for _, l := range lives {
		if l.hit() {
			hits[l.name]++
		}
		published += l.received
		written += len(l.acks)
	}
	require.Positive(t, written, "no worker has written before it was killed")
	require.Positive(t, published, "no worker has published before it was killed")
	if len(outages) >= enough {
		for _, m := range append(moments, opening(0)) {
			require.Positive(t, hits[m.name], "no kill has hit a worker %s", m.name)
		}
	}
	return lives
}

func requireLeft(t *testing.T, lives []*life, state string) {
	t.Helper()
	for _, l := range lives {
		if l.left == state {
			return
		}
	}
	require.Fail(t, "no kill has left "+state)
}

// seeded is what everything is drawn from.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := number(t, "OUTBOX_CRASH_SEED", int(time.Now().UnixNano()))
	t.Logf("OUTBOX_CRASH_SEED=%d", seed)
	return rand.New(rand.NewPCG(uint64(seed), 0))
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
