package crash_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/internal/crash"
)

// outage is what happens to the journal's server in a worker's life.
type outage string

const (
	// The server is stopped and started again, and the worker goes on.
	outlived outage = "outlived"
	// The server is stopped, the worker is killed, the next one is started, and the server after that.
	killedDuring outage = "during it"
	// The server is stopped at the moment at which the worker is killed.
	killedWith outage = "with it"
	// The same, while the worker makes the journal.
	killedMaking outage = "making"
	// All connections of the worker are ended, several times, and it goes on.
	cut outage = "cut off"
)

const (
	// longestOutage is longer than those applications try to append that soon give up: their actors fail, and are started
	// again. They try for so long that however long it takes, the 10 restarts in 10 s are not used up that Proto.Actor
	// allows for by default.
	longestOutage = 3 * time.Second
	giveUpSoon    = 2 * time.Second
	// A kill and a stop that are to come at once come within apart, in any order.
	apart = 30 * time.Millisecond
)

// stops reports whether the server is stopped.
func (o outage) stops() bool { return o != "" && o != cut }

// moment is when the worker is killed, for those outages that do not leave it to the deck.
func (o outage) moment() (m moment, ok bool) {
	m = moment{place: crash.Opened, times: 1, pause: 500 * time.Millisecond, prepare: readingLittle}
	switch o {
	case outlived:
		m.name, m.place, m.times = "after a stop of the server", crash.AppendBegins, 40
	case killedDuring:
		m.name = "while the server is down"
	case cut:
		m.name = "after connections were ended"
	default:
		return moment{}, false
	}
	return m, true
}

// readingLittle: what an outbox has read before an outage is soon published after it.
func readingLittle(job *crash.Job, _ *rand.Rand) { job.Window = 128 }

// planOutages deals stops of the server and as many cuts over the lives. Those to come while a journal is made go to lives
// that begin one, others to those after its openings.
func planOutages(t *testing.T, random *rand.Rand, kills, stops int) []outage {
	t.Helper()
	var first, later []int
	for life := range kills {
		switch within := life % perJournal; {
		case within == 0:
			first = append(first, life)
		case within >= openings:
			later = append(later, life)
		}
	}
	random.Shuffle(len(first), func(i, k int) { first[i], first[k] = first[k], first[i] })
	random.Shuffle(len(later), func(i, k int) { later[i], later[k] = later[k], later[i] })
	plan := make([]outage, kills)
	put := func(o outage, from *[]int) {
		require.NotEmpty(t, *from, "%d kills are too few for %d stops: OUTBOX_CRASH_KILLS, OUTBOX_CRASH_STOPS", kills, stops)
		plan[(*from)[0]], *from = o, (*from)[1:]
	}
	others := []outage{killedDuring, killedWith, killedMaking}
	for n := range stops {
		put(cut, &later)
		i := n % (len(others) + 1)
		if i == 0 {
			random.Shuffle(len(others), func(i, k int) { others[i], others[k] = others[k], others[i] })
			put(outlived, &later)
			continue
		}
		switch o := others[i-1]; {
		case o != killedMaking:
			put(o, &later)
		case len(first) > 0:
			put(o, &first)
		default:
			put(killedWith, &later)
		}
	}
	return plan
}

// killAndStop kills the worker and stops the server, at about the same time.
func (h *history) killAndStop(t *testing.T, random *rand.Rand, l *life, w *worker) ([]crash.Ack, []crash.Step) {
	t.Helper()
	// A stop takes some time to strike as well.
	kill, stop := time.Duration(random.Int64N(int64(apart))), time.Duration(random.Int64N(int64(apart)))
	l.struck = append(l.struck, w.underway())
	killed := make(chan error, 1)
	time.AfterFunc(kill, func() { killed <- w.cmd.Process.Kill() })
	time.Sleep(stop)
	h.server.StopImmediately()
	require.NoError(t, <-killed, "it has ended before: %s", &w.stderr)
	defer h.server.Start()
	return w.killed(t)
}

// serverReturns starts the server again if it is down, while a worker is waiting for it.
func (h *history) serverReturns(random *rand.Rand) {
	if !h.down {
		return
	}
	time.Sleep(time.Duration(random.Int64N(int64(longestOutage / 2))))
	h.server.Start()
	h.down = false
}

// outlive has the worker live through an outage, and sees that it goes on: it writes, publishes more than it can have read
// before, and saves offsets.
func (h *history) outlive(t *testing.T, random *rand.Rand, l *life, w *worker) {
	t.Helper()
	if l.outage == cut {
		for range 3 {
			l.struck = append(l.struck, w.underway())
			h.database.(postgresDatabase).cut(t)
			time.Sleep(time.Duration(random.Int64N(int64(100 * time.Millisecond))))
		}
	} else {
		l.struck = append(l.struck, w.underway())
		h.server.StopImmediately()
		l.down = time.Duration(random.Int64N(int64(longestOutage)))
		time.Sleep(l.down)
		h.server.Start()
	}
	began := time.Now()
	before := w.times(crash.Saved)
	received := h.world.receives(l.job.Life, l.job.Window+1)
	w.acknowledges(t)
	w.within(t, received, "publish what it has read since")
	w.until(t, "save offsets once more", func() bool { return times(w.steps, crash.Saved) > before })
	l.healed = time.Since(began)
}
