package crash_test

import (
	"math/rand/v2"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/internal/crash"
)

// moment is when a worker is killed: some time after it has come to a place.
type moment struct {
	name string
	// place is where the worker comes to first, and times how often at most; "" is its start.
	place crash.Place
	times int
	// waits has the worker wait there, so that the kill hits that very place, whatever else goes on meanwhile.
	waits bool
	// pause is the longest time until the kill.
	pause time.Duration
	// prepare adds to the job; nil: nothing.
	prepare func(*crash.Job, *rand.Rand)
	// begins, and ended or failed, are the places between which the kill is meant to hit; "" where there are none.
	begins, ended, failed crash.Place
}

// received is a place of the world's: the worker's first event has arrived there.
const received crash.Place = "received"

// opening is the first moment in the life of a journal: while it is made, which takes some time.
func opening(takes time.Duration) moment {
	return moment{
		name: "making the journal (its migration)", place: crash.Opening, times: 1, pause: takes,
		begins: crash.Opening, ended: crash.Opened, failed: crash.OpenFailed,
	}
}

var atAnyTime = moment{name: "at any time", place: crash.Opened, times: 1, pause: time.Second}

// moments are all others: those of a worker whose journal was made.
var moments = []moment{
	{name: "at the start", pause: 300 * time.Millisecond},
	atAnyTime,
	{name: "just recovered", place: crash.Acquired, times: 1, pause: 20 * time.Millisecond},
	{name: "first published", place: received, times: 1, pause: 20 * time.Millisecond},
	{
		name: "in an append", place: crash.AppendBegins, times: 40, pause: 2 * time.Millisecond,
		begins: crash.AppendBegins, ended: crash.Appended, failed: crash.AppendFailed,
	},
	{name: "after an append", place: crash.Appended, times: 20, waits: true, pause: 10 * time.Millisecond},
	{
		name: "before a save", place: crash.SaveBegins, times: 2, waits: true, pause: 150 * time.Millisecond,
		prepare: savingOften, begins: crash.SaveBegins, ended: crash.Saved, failed: crash.SaveFailed,
	},
	{
		name: "in a save", place: crash.SaveBegins, times: 2, pause: 10 * time.Millisecond,
		prepare: savingOften, begins: crash.SaveBegins, ended: crash.Saved, failed: crash.SaveFailed,
	},
	{
		name: "after a save", place: crash.Saved, times: 2, waits: true, pause: 150 * time.Millisecond,
		prepare: savingOften,
	},
	{
		name: "in a drain, at rest", place: crash.DrainBegins, times: 1, pause: 40 * time.Millisecond,
		prepare: func(job *crash.Job, random *rand.Rand) { draining(job, random); stuck(job, random); job.Rest = true },
		begins:  crash.DrainBegins, ended: crash.Drained, failed: crash.DrainFailed,
	},
	{
		name: "in a drain, writing", place: crash.DrainBegins, times: 1, pause: 40 * time.Millisecond,
		prepare: func(job *crash.Job, random *rand.Rand) { draining(job, random); stuck(job, random) },
		begins:  crash.DrainBegins, ended: crash.Drained, failed: crash.DrainFailed,
	},
	{
		name: "after a drain", place: crash.Drained, times: 1, pause: 40 * time.Millisecond,
		prepare: func(job *crash.Job, random *rand.Rand) { draining(job, random); job.Rest = pick(random, true, false) },
	},
}

// savingOften: a small budget has to be saved often, and is soon used up while a save waits.
func savingOften(job *crash.Job, random *rand.Rand) { job.MaxUnsaved = pick(random, 16, 64) }

// draining: the sooner a drain comes, the less is saved before it.
func draining(job *crash.Job, random *rand.Rand) { job.DrainAfter = 1 + random.IntN(20) }

// stuck: the drain's save waits, before its commit or after it, and so does the drain.
func stuck(job *crash.Job, random *rand.Rand) {
	job.Last, job.WaitAt, job.Nth = true, pick(random, crash.SaveBegins, crash.Saved), 1
}

// moments are dealt like cards: in random order, and none again before all were hit.
type deck struct {
	random *rand.Rand
	left   []moment
}

func (d *deck) deal() moment {
	if len(d.left) == 0 {
		d.left = append(d.left, moments...)
		d.random.Shuffle(len(d.left), func(i, k int) { d.left[i], d.left[k] = d.left[k], d.left[i] })
	}
	m := d.left[0]
	d.left = d.left[1:]
	return m
}

// again puts a moment back that a kill has missed, below all others. The next kill comes sooner.
func (d *deck) again(m moment) {
	m.pause = max(m.pause/2, 1)
	d.left = append(d.left, m)
}

func pick[T any](random *rand.Rand, from ...T) T { return from[random.IntN(len(from))] }
