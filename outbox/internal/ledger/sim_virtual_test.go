package ledger

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"time"
)

// virtual is what every simulation runs in: a time of its own, one source of choices, a queue of what is going to happen,
// and a transcript.
type virtual struct {
	seed   uint64
	rng    *rand.Rand
	now    time.Duration
	agenda agenda
	order  uint64

	logging    bool
	transcript strings.Builder
}

// newVirtual begins a run; kind tells simulations apart that have the same seed.
func newVirtual(seed, kind uint64, logging bool) *virtual {
	return &virtual{seed: seed, rng: rand.New(rand.NewPCG(seed, kind)), logging: logging}
}

// violation is the panic by which a run ends early.
type violation struct{ err error }

func (v *virtual) failf(format string, args ...any) {
	panic(violation{fmt.Errorf("at %v: "+format, append([]any{v.now}, args...)...)})
}

// guard returns the violation by which a run ends, if it does, or its panic.
func (v *virtual) guard(run func()) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case violation:
			err = p.err
			v.logf("VIOLATION: %v", err)
		default:
			err = fmt.Errorf("at %v: panic: %v", v.now, p)
			v.logf("%v\n%s", err, debug.Stack())
		}
	}()
	run()
	return nil
}

func (v *virtual) logf(format string, args ...any) {
	if v.logging {
		fmt.Fprintf(&v.transcript, "%9.3f ", v.now.Seconds())
		fmt.Fprintf(&v.transcript, format, args...)
		v.transcript.WriteByte('\n')
	}
}

// clock is the moment on the ledgers' clock.
func (v *virtual) clock() time.Time { return at(v.now) }

// chance is true with the probability p.
func (v *virtual) chance(p float64) bool { return p > 0 && v.rng.Float64() < p }

// between draws a number from low to high, both included.
func (v *virtual) between(low, high int) int { return low + v.rng.IntN(high-low+1) }

// span draws a duration.
func (v *virtual) span(low, high time.Duration) time.Duration {
	return low + time.Duration(v.rng.Int64N(int64(high-low)+1))
}

// after has something happen later.
func (v *virtual) after(d time.Duration, do func()) {
	v.order++
	heap.Push(&v.agenda, appointment{at: v.now + d, order: v.order, do: do})
}

// advance lets happen what is next; false if nothing is.
func (v *virtual) advance() bool {
	if len(v.agenda) == 0 {
		return false
	}
	next := heap.Pop(&v.agenda).(appointment)
	v.now = next.at
	next.do()
	return true
}

// runFor lets time pass.
func (v *virtual) runFor(d time.Duration) {
	until := v.now + d
	for len(v.agenda) > 0 && v.agenda[0].at <= until {
		v.advance()
	}
	v.now = until
}

// agenda is what is going to happen, soonest first.
type agenda []appointment

type appointment struct {
	at    time.Duration
	order uint64
	do    func()
}

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, k int) bool {
	return a[i].at < a[k].at || (a[i].at == a[k].at && a[i].order < a[k].order)
}
func (a agenda) Swap(i, k int) { a[i], a[k] = a[k], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(appointment)) }
func (a *agenda) Pop() any {
	old := *a
	last := old[len(old)-1]
	old[len(old)-1] = appointment{}
	*a = old[:len(old)-1]
	return last
}
