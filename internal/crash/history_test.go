package crash_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/internal/crash"
	"github.com/protoactor-contrib/protoactor-outbox/internal/pgserver"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
)

// history is one journal, from the attempts to make it to the publishing of its last event.
type history struct {
	database database
	server   *pgserver.Server // nil: none
	down     bool             // the server is
	world    *world
	lives    []*life
	// stored and receipts are what is in the journal and what was received, in the end.
	stored   map[event]string
	receipts []receipt
}

// openings is how often at most a journal's making is interrupted; the life after that finishes it.
const openings = 5

// begin makes the journal: some kills hit that.
func (h *history) begin(t *testing.T, random *rand.Rand, takes time.Duration, outages []outage) {
	t.Helper()
	for n := range min(openings, len(outages)) {
		l := h.live(t, random, opening(takes*time.Duration(n+1)/openings), outages[n]) // the first so early that it hits
		if !l.hit() {
			break // it was late, and may have been at work
		}
		if _, made := h.database.state(t); made && n+1 < openings {
			h.database.unmake(t)
			takes /= 2
		}
	}
}

// goOn lives with the journal until it has seen all its kills, at moments from the deck, and publishes what is left.
func (h *history) goOn(t *testing.T, random *rand.Rand, moments *deck, outages []outage) {
	t.Helper()
	for len(h.lives) < len(outages) {
		o := outages[len(h.lives)]
		m, own := o.moment()
		if !own {
			m = moments.deal()
		}
		if l := h.live(t, random, m, o); !l.hit() && !own {
			moments.again(l.moment)
		}
	}
	h.finish(t)
}

// rehearse returns how long it takes a worker to make a journal, here and now.
func rehearse(t *testing.T, database database) time.Duration {
	t.Helper()
	url, _ := newWorld(t).url(0, 0)
	w := startWorker(t, crash.Job{Journal: database.journal(), URL: url, MaxUnsaved: 16, Finish: true})
	w.comesTo(t, crash.Opening, 1, "")
	began := time.Now()
	w.comesTo(t, crash.Opened, 1, "")
	defer w.finish(t)
	return time.Since(began)
}

// live runs a worker until its moment, and kills it.
func (h *history) live(t *testing.T, random *rand.Rand, m moment, o outage) *life {
	t.Helper()
	l := draw(random, m, o, h.database.journal(), len(h.lives))
	l.disturbed = o != "" || h.down
	if l.disturbed {
		l.job.GiveUpAfter = pick(random, giveUpSoon, journal.DefaultRetryFor)
	}
	var first <-chan struct{}
	l.job.URL, first = h.world.url(l.job.Life, l.slow)
	w := startWorker(t, l.job)
	h.serverReturns(random)
	l.await(t, w, first)
	h.end(t, random, l, w)
	h.lives = append(h.lives, l)
	switch {
	case h.down:
	case m.place == crash.Opening:
		l.left, _ = h.database.state(t)
	case m.place == crash.SaveBegins, m.place == crash.Saved, m.place == crash.DrainBegins:
		l.left = checkSaved(t, l, h.database.savedIndex(t))
	}
	return l
}

// end kills the worker, and does to the server what is to be done in this life.
func (h *history) end(t *testing.T, random *rand.Rand, l *life, w *worker) {
	t.Helper()
	switch l.outage {
	case killedWith, killedMaking:
		l.acks, l.steps = h.killAndStop(t, random, l, w)
		return
	case killedDuring:
		l.struck = append(l.struck, w.underway())
		h.server.StopImmediately()
		h.down = true
		l.down = time.Duration(random.Int64N(int64(longestOutage / 2)))
		time.Sleep(l.down)
	case outlived, cut:
		h.outlive(t, random, l, w)
	}
	l.acks, l.steps = w.kill(t)
}

// finish publishes what is left. Once that is done, there is nothing to send again.
func (h *history) finish(t *testing.T) {
	t.Helper()
	if h.down {
		h.server.Start()
		h.down = false
	}
	h.database.settle(t)
	last := func(life int) {
		url, _ := h.world.url(life, 0)
		startWorker(t, crash.Job{Journal: h.database.journal(), URL: url, Life: life, MaxUnsaved: 1024, Finish: true}).finish(t)
	}
	last(len(h.lives))
	h.receipts = h.world.all()
	last(len(h.lives) + 1)
	require.Len(t, h.world.all(), len(h.receipts), "after a drain nothing is sent again")
	require.Empty(t, h.world.strange)
	h.stored = h.database.events(t)
}

// check checks what the outbox promises, over all lives.
func (h *history) check(t *testing.T) {
	t.Helper()
	checkStored(t, h.stored, h.lives)
	checkReceived(t, h.stored, h.receipts)
	checkRepeated(t, h.lives, h.receipts)
	checkUndisturbed(t, h.lives)
}
