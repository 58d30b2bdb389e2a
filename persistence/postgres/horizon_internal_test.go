package postgres

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// world is a server with one table, as far as the horizon depends on it, and readers of one process. Everything that can
// happen happens in a random order, one step at a time: a statement is taken apart into the moments that matter.
type world struct {
	random *rand.Rand
	naive  naive

	next    int64 // number
	nextTx  int
	txs     []*tx
	visible map[int64]bool
	open    map[int64]bool // numbers that may still become visible

	horizon horizon
	readers []*simReader
}

// tx is a transaction. It takes the lock when it begins, and becomes visible before it gives the lock back.
type tx struct {
	name     string
	numbers  []int64
	ended    bool // visible or gone, and still with the lock
	prepared bool
}

// naive is a mistake. The simulation must find each.
type naive string

const (
	none            naive = ""
	locksFirst      naive = "who is at work is looked at before the greatest number"
	newsForOldRows  naive = "what a statement has seen is used with what was learned after it began"
	latePoll        naive = "a capture is judged by a look that was taken before it"
	forgetsPrepared naive = "prepared transactions are not known again after a restart"
	ignoresGaps     naive = "there is no waiting at gaps"
)

// simReader reads everything in small pages. Each of its steps is one moment.
type simReader struct {
	after int64
	got   []int64
	step  func()
}

func newWorld(seed uint64, n naive) *world {
	w := &world{random: rand.New(rand.NewPCG(seed, 0)), naive: n, visible: map[int64]bool{}, open: map[int64]bool{}}
	for range 1 + w.random.IntN(3) {
		r := &simReader{}
		r.step = func() { w.readPage(r) }
		w.readers = append(w.readers, r)
	}
	return w
}

// act is one moment on the server.
func (w *world) act(finish bool) {
	if !finish && len(w.txs) < 5 && w.random.IntN(3) == 0 {
		w.nextTx++
		w.txs = append(w.txs, &tx{name: fmt.Sprintf("3/%d", w.nextTx)})
		return
	}
	if !finish && w.random.IntN(60) == 0 {
		w.restart()
		return
	}
	if len(w.txs) == 0 {
		return
	}
	at := w.random.IntN(len(w.txs))
	t := w.txs[at]
	switch what := w.random.IntN(6); {
	case t.ended:
		w.txs = slices.Delete(w.txs, at, at+1) // gives the lock back
	case what < 3 && !finish && !t.prepared:
		w.next++
		t.numbers = append(t.numbers, w.next)
		w.open[w.next] = true
	case what == 3 && !finish:
		t.prepared = true
	case what == 4:
		w.end(t, false)
	default:
		w.end(t, true)
	}
}

func (w *world) end(t *tx, visible bool) {
	for _, n := range t.numbers {
		delete(w.open, n)
		if visible {
			w.visible[n] = true
		}
	}
	t.ended = true
}

// restart ends all transactions but the prepared ones, which get another name. Names are given out anew.
func (w *world) restart() {
	w.txs = slices.DeleteFunc(w.txs, func(t *tx) bool {
		if !t.prepared && !t.ended {
			w.end(t, false)
		}
		return !t.prepared || t.ended
	})
	for i, t := range w.txs {
		t.name = fmt.Sprintf("-1/%d", 700+i)
	}
	w.nextTx = 0
}

func (w *world) atWork() (names []string) {
	for _, t := range w.txs {
		if w.naive == forgetsPrepared && strings.HasPrefix(t.name, "-1/") {
			continue
		}
		names = append(names, t.name)
	}
	return names
}

func (w *world) max() (greatest int64) {
	for n := range w.visible {
		greatest = max(greatest, n)
	}
	return greatest
}

// snapshot is the first numbers after one that are visible.
func (w *world) snapshot(after int64, limit int) (numbers []int64) {
	for n := after + 1; n <= w.next && len(numbers) < limit; n++ {
		if w.visible[n] {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

func (w *world) readPage(r *simReader) {
	v := w.horizon.view()
	r.step = func() {
		rows := w.snapshot(r.after, 1+w.random.IntN(4))
		r.step = func() {
			if w.naive == newsForOldRows {
				v = w.horizon.view()
			}
			if w.naive == ignoresGaps && len(rows) > 0 {
				v.safe = rows[len(rows)-1]
			}
			run := v.run(r.after)
			for _, n := range rows {
				if run.see(n) {
					r.got = append(r.got, n)
				}
			}
			w.horizon.learn(run)
			r.after = run.through
			if len(rows) > 0 {
				r.after = min(run.through, rows[len(rows)-1])
			}
			if run.missing > 0 || w.random.IntN(5) == 0 {
				w.look(r)
			} else {
				r.step = func() { w.readPage(r) }
			}
		}
	}
}

func (w *world) look(r *simReader) {
	p := w.horizon.probe()
	var early []string
	if w.naive == locksFirst {
		early = w.atWork()
	}
	if w.naive == latePoll {
		p.captured = math.MaxInt64
	}
	r.step = func() {
		upTo := w.max()
		r.step = func() {
			atWork := w.atWork()
			if w.naive == locksFirst {
				atWork = early
			}
			r.step = func() {
				w.horizon.conclude(p, upTo, atWork)
				r.step = func() { w.readPage(r) }
			}
		}
	}
}

// check returns what a reader could miss from now on.
func (w *world) check() error {
	for n := range w.open {
		if n <= w.horizon.safe {
			return fmt.Errorf("%d may still become visible, but all through %d is said to be complete", n, w.horizon.safe)
		}
		for _, r := range w.readers {
			if n <= r.after {
				return fmt.Errorf("%d may still become visible, but a reader has passed %d", n, r.after)
			}
		}
	}
	return nil
}

// simulate runs a world, lets its transactions end, and has its readers come to the end.
func simulate(seed uint64, n naive) error {
	w := newWorld(seed, n)
	for range 200 {
		if w.random.IntN(2) == 0 {
			w.act(false)
		} else {
			w.readers[w.random.IntN(len(w.readers))].step()
		}
		if err := w.check(); err != nil {
			return err
		}
		if len(w.horizon.captures) > maxCaptures {
			return fmt.Errorf("%d captures are remembered", len(w.horizon.captures))
		}
	}
	for len(w.txs) > 0 {
		w.act(true)
	}
	for range 2000 {
		for _, r := range w.readers {
			r.step()
		}
	}
	want := w.snapshot(0, math.MaxInt)
	for _, r := range w.readers {
		if !slices.Equal(want, r.got) {
			return fmt.Errorf("a reader got %v instead of %v", r.got, want)
		}
		if r.after < w.max() {
			return fmt.Errorf("a reader waits at %d although all have ended", r.after)
		}
	}
	return nil
}

func TestReadersMissNothingHoweverTransactionsEnd(t *testing.T) {
	for seed := range uint64(2000) {
		require.NoError(t, simulate(seed, none), "seed %d", seed)
	}
}

// The simulation is worth something if it finds these.
func TestTheSimulationFindsMistakes(t *testing.T) {
	for _, n := range []naive{locksFirst, newsForOldRows, latePoll, forgetsPrepared, ignoresGaps} {
		t.Run(string(n), func(t *testing.T) {
			for seed := range uint64(20_000) {
				if simulate(seed, n) != nil {
					t.Logf("found with seed %d", seed)
					return
				}
			}
			require.FailNow(t, "not found")
		})
	}
}

func TestAHorizonDoesNotBelieveItsReaders(t *testing.T) {
	var h horizon
	r := h.view().run(1_000_000)
	require.True(t, r.see(1_000_001), "the reader is believed in its own matters")
	h.learn(r)
	require.Zero(t, h.safe)
}

func TestAHorizonForgetsWhatItWasToldBeforeAReset(t *testing.T) {
	var h horizon
	h.conclude(h.probe(), 10, nil)
	require.EqualValues(t, 10, h.safe)
	v, p := h.view(), h.probe()
	h.reset()
	require.Zero(t, h.safe)
	require.False(t, h.probed)
	r := v.run(0)
	r.see(11)
	h.learn(r)
	h.conclude(p, 20, nil)
	require.Zero(t, h.safe)
	require.False(t, h.probed)
}

func TestAHorizonRemembersABoundedNumberOfCaptures(t *testing.T) {
	var h horizon
	for i := range int64(10 * maxCaptures) {
		h.conclude(h.probe(), i+1, []string{"long", fmt.Sprint(i)})
	}
	require.Len(t, h.captures, maxCaptures)
	h.conclude(h.probe(), 10*maxCaptures, []string{"another"})
	require.EqualValues(t, 10*maxCaptures, h.safe, "the newest one covers them all")
	require.Empty(t, h.captures)
}

func TestAHorizonIsNotHeldUpByThoseWhoCameLater(t *testing.T) {
	var h horizon
	h.conclude(h.probe(), 5, []string{"early"})
	h.conclude(h.probe(), 9, []string{"early", "late"})
	h.conclude(h.probe(), 9, []string{"late"})
	require.EqualValues(t, 5, h.safe)
	h.conclude(h.probe(), 12, []string{"later"})
	require.EqualValues(t, 9, h.safe)
}

// A prepared transaction that was captured under another name may be any that is prepared after a restart.
func TestAHorizonTakesPreparedTransactionsForThoseItKnew(t *testing.T) {
	var h horizon
	h.conclude(h.probe(), 5, []string{"3/7"})
	h.conclude(h.probe(), 5, []string{"-1/740"})
	require.Zero(t, h.safe)
	h.conclude(h.probe(), 5, []string{"-1/740", "4/1"})
	require.Zero(t, h.safe)
	h.conclude(h.probe(), 5, []string{"4/1"})
	require.EqualValues(t, 5, h.safe)
}
