package crash_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/internal/crash"
)

// history is one journal file, from the attempts to make it to the publishing of its last event.
type history struct {
	file  string
	world *world
	lives []*life
	// stored and receipts are what is in the file and what was received, in the end.
	stored   map[event]string
	receipts []receipt
}

// openings is how often at most a file's making is interrupted; the life after that finishes it.
const openings = 5

// newHistory makes a file and lives with it: some kills hit its making, the others moments from the deck.
func newHistory(t *testing.T, random *rand.Rand, moments *deck, kills int) *history {
	h := &history{file: filepath.Join(t.TempDir(), "crash.db"), world: newWorld(t)}
	takes := rehearse(t)
	for n := range min(openings, kills) {
		l := h.live(t, random, opening(takes*time.Duration(n+1)/openings)) // the first so early that it hits
		if !l.hit() {
			break // it was late, and may have been at work
		}
		if l.left == fileMade && n+1 < openings {
			h.unmake(t)
			takes /= 2
		}
	}
	for len(h.lives) < kills {
		if l := h.live(t, random, moments.deal()); !l.hit() {
			moments.again(l.moment)
		}
	}
	h.finish(t)
	return h
}

// unmake removes a file that nothing was written to, so that it is made once more.
func (h *history) unmake(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(h.file + "*")
	require.NoError(t, err)
	for _, file := range files {
		require.NoError(t, os.Remove(file))
	}
}

// rehearse returns how long it takes a worker to make a file, here and now.
func rehearse(t *testing.T) time.Duration {
	t.Helper()
	url, _ := newWorld(t).url(0, 0)
	w := startWorker(t, crash.Job{Journal: filepath.Join(t.TempDir(), "rehearsal.db"), URL: url, MaxUnsaved: 16, Finish: true})
	w.comesTo(t, crash.Opening, 1, "")
	began := time.Now()
	w.comesTo(t, crash.Opened, 1, "")
	defer w.finish(t)
	return time.Since(began)
}

// live runs a worker until its moment, and kills it.
func (h *history) live(t *testing.T, random *rand.Rand, m moment) *life {
	t.Helper()
	l := draw(random, m, h.file, len(h.lives))
	var first <-chan struct{}
	l.job.URL, first = h.world.url(l.job.Life, l.slow)
	w := startWorker(t, l.job)
	l.await(t, w, first)
	l.acks, l.steps = w.kill(t)
	h.lives = append(h.lives, l)
	switch m.place {
	case crash.Opening:
		l.left = fileState(t, h.file)
	case crash.SaveBegins, crash.Saved, crash.DrainBegins:
		l.left = checkSaved(t, l)
	}
	return l
}

// finish publishes what is left. Once that is done, there is nothing to send again.
func (h *history) finish(t *testing.T) {
	t.Helper()
	last := func(life int) {
		url, _ := h.world.url(life, 0)
		startWorker(t, crash.Job{Journal: h.file, URL: url, Life: life, MaxUnsaved: 1024, Finish: true}).finish(t)
	}
	last(len(h.lives))
	h.receipts = h.world.all()
	last(len(h.lives) + 1)
	require.Len(t, h.world.all(), len(h.receipts), "after a drain nothing is sent again")
	require.Empty(t, h.world.strange)
	h.stored = readJournal(t, h.file)
}

// check checks what the outbox promises, over all lives.
func (h *history) check(t *testing.T) {
	t.Helper()
	checkStored(t, h.stored, h.lives)
	checkReceived(t, h.stored, h.receipts)
	checkRepeated(t, h.lives, h.receipts)
}
