package crash_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/internal/crash"
)

// life is one worker process, from its start to its kill.
type life struct {
	moment
	outage outage
	job    crash.Job
	nth    int
	pause  time.Duration
	slow   time.Duration

	acks  []crash.Ack
	steps []crash.Step
	// received counts the events that this life was the first or a later one to deliver.
	received int
	// again counts those of them that a later life delivered once more.
	again int
	// within counts the deliveries of an event that this very life had delivered before.
	within int

	// disturbed: the server was down in this life, or its connections were ended.
	disturbed bool
	// For those with an outage: what was under way when it struck, how long the server was down, and how long the worker
	// took afterwards to write, publish and save again.
	struck []underway
	down   time.Duration
	healed time.Duration

	// left says how the kill has left what it was to hit: the offsets or the journal.
	left string
}

// underway counts what a worker is in the middle of.
type underway struct{ appends, saves int }

func (u underway) String() string { return fmt.Sprintf("%d appends %d saves", u.appends, u.saves) }

// draw plans a life.
func draw(random *rand.Rand, m moment, o outage, journal string, number int) *life {
	l := &life{
		moment: m, outage: o,
		// A small MaxUnsaved is where the bound bites, and saves are many; a slow world has more in the air.
		job:   crash.Job{Journal: journal, Life: number, MaxUnsaved: pick(random, 16, 64, 256)},
		slow:  pick(random, 0, 20*time.Millisecond, 80*time.Millisecond),
		pause: time.Duration(random.Int64N(int64(m.pause))),
	}
	if m.times > 0 {
		l.nth = 1 + random.IntN(m.times)
	}
	if m.waits {
		l.job.WaitAt, l.job.Nth = m.place, l.nth
	}
	if m.prepare != nil {
		m.prepare(&l.job, random)
	}
	return l
}

// await waits for the moment in the worker's life. The world has closed first when it has received something.
func (l *life) await(t *testing.T, w *worker, first <-chan struct{}) {
	t.Helper()
	switch l.place {
	case "":
	case received:
		w.within(t, first, "publish")
	default:
		w.comesTo(t, l.place, l.nth, "")
	}
	if l.job.Last {
		w.comesTo(t, l.job.WaitAt, l.job.Nth, crash.LastWrite)
	}
	time.Sleep(l.pause)
}

// hit reports whether the kill has hit what it was meant for: a moment that has begun and had not ended. Where that is
// not a matter of luck, it has.
func (l *life) hit() bool {
	if l.begins == "" {
		return true
	}
	return unended(l.steps, l.begins, l.ended, l.failed) > 0
}

// unended counts what has begun and has neither ended nor failed.
func unended(steps []crash.Step, begins, ended, failed crash.Place) (n int) {
	for _, s := range steps {
		switch s.Place {
		case begins:
			n++
		case ended, failed:
			n--
		}
	}
	return n
}

// times counts the visits of a place.
func times(steps []crash.Step, place crash.Place) (n int) {
	for _, s := range steps {
		if s.Place == place {
			n++
		}
	}
	return n
}

// mayRepeat is how many of the events that it delivered later lives may deliver again.
func (l *life) mayRepeat() int {
	if times(l.steps, crash.Drained) > 0 {
		return 0 // a drain has saved what it has published, and nothing was published after it
	}
	return l.job.MaxUnsaved
}

// last is the greatest number that was reported for a place, 0 if it never was.
func (l *life) last(place crash.Place) (number int64) {
	for _, s := range l.steps {
		if s.Place == place {
			number = max(number, s.Number)
		}
	}
	return number
}
