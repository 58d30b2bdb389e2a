package ledger

import (
	"container/heap"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The simulation runs ledgers against models of everything around them: a journal, a snapshot store, publishers, a
// sink, and processes that crash and take over from each other. Time is virtual, every choice comes from a seed, and
// the same seed gives the same run to the letter.
//
//	sim_test.go            entry, seeds, the queue of what is going to happen
//	sim_world_test.go      journal, snapshot store and sink
//	sim_publisher_test.go  publishers: how a batch is delivered and answered
//	sim_life_test.go       one ledger, and the carrying out of its effects
//	sim_gap_test.go        events that the feed leaves out
//	sim_destination_test.go  the destinations of a sink that has several
//	sim_process_test.go    processes: crash, restart, takeover
//	sim_command_test.go    commands of clients and operators
//	sim_faults_test.go     which faults a seed has, and how often
//	sim_check_test.go      what must be true after every step
//	sim_phases_test.go     the course of a run, and what must be true at its end
//	model_test.go          a second, plain ledger, which must agree with the first after every step
//	mutation_test.go       bugs put into the ledger on purpose, which all this must find

// Environment: OUTBOX_SIM_SEEDS is the number of seeds, OUTBOX_SIM_FROM the first one; OUTBOX_SIM_SEED runs one seed and
// prints its transcript.
const (
	seedsVariable = "OUTBOX_SIM_SEEDS"
	fromVariable  = "OUTBOX_SIM_FROM"
	seedVariable  = "OUTBOX_SIM_SEED"
	defaultSeeds  = 1000
	// randomSeeds are run besides the fixed ones, so that every run looks somewhere new.
	randomSeeds = 20
	// statisticsFrom is the number of seeds from which on every fault must have happened.
	statisticsFrom = 5000
)

func TestSimulation(t *testing.T) {
	if one := os.Getenv(seedVariable); one != "" {
		seed, err := strconv.ParseUint(one, 10, 64)
		require.NoError(t, err)
		s, err := simulate(seed, true)
		t.Logf("transcript of seed %d:\n%s", seed, s.transcript.String())
		require.NoError(t, err)
		return
	}
	count, from := number(t, seedsVariable, defaultSeeds), number(t, fromVariable, 1)
	first := rand.Uint64() >> 32 // short enough to be typed
	t.Logf("seeds %d to %d and %d to %d", from, from+count-1, first, first+randomSeeds-1)

	var (
		total  statistics
		mu     sync.Mutex
		next   atomic.Int64
		failed atomic.Bool
		wg     sync.WaitGroup
	)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for !failed.Load() {
				n := next.Add(1)
				if n > int64(count)+randomSeeds {
					return
				}
				seed := uint64(from) + uint64(n) - 1
				if n > int64(count) {
					seed = first + uint64(n-int64(count)-1)
				}
				s, err := simulate(seed, false)
				if err != nil {
					if !failed.Swap(true) {
						reportSeed(t, seed, n, err)
					}
					return
				}
				mu.Lock()
				total.add(&s.stats)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	t.Log(total.String())
	if count >= statisticsFrom {
		require.Empty(t, total.missing(), "these never happened: the simulation no longer exercises them")
	}
}

// number reads a number from the environment.
func number(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, variable)
	return n
}

// reportSeed runs a seed that has failed, the n-th of this test, again, this time with a transcript.
func reportSeed(t *testing.T, seed uint64, n int64, err error) {
	s, again := simulate(seed, true)
	lines := strings.Split(strings.TrimSuffix(s.transcript.String(), "\n"), "\n")
	tail := lines[max(0, len(lines)-60):]
	t.Errorf("seed %d, the %d. of this run: %v\n(a second run: %v)\nthe last of %d lines:\n%s\n\nrun it alone: %s=%d go test -run 'TestSimulation$' -v ./outbox/internal/ledger",
		seed, n, err, again, len(lines), strings.Join(tail, "\n"), seedVariable, seed)
}

func TestTheSameSeedGivesTheSameRun(t *testing.T) {
	for seed := uint64(1); seed <= 10; seed++ {
		a, errA := simulate(seed, true)
		b, errB := simulate(seed, true)
		require.Equal(t, errA, errB)
		require.NotZero(t, a.transcript.Len())
		require.Equal(t, a.transcript.String(), b.transcript.String(), "seed %d", seed)
	}
}

// simulation is one run.
type simulation struct {
	seed   uint64
	rng    *rand.Rand
	cfg    Config
	faults faults
	stats  statistics

	now    time.Duration
	agenda agenda
	order  uint64

	journal   *simJournal
	store     *simStore
	sink      *simSink
	processes []*process // those that run
	allLives  []*life
	tokens    uint64

	phase      simPhase
	logging    bool
	transcript strings.Builder
}

// violation is the panic by which a run ends early.
type violation struct{ err error }

func (s *simulation) failf(format string, args ...any) {
	panic(violation{fmt.Errorf("at %v: "+format, append([]any{s.now}, args...)...)})
}

func (s *simulation) logf(format string, args ...any) {
	if s.logging {
		fmt.Fprintf(&s.transcript, "%9.3f ", s.now.Seconds())
		fmt.Fprintf(&s.transcript, format, args...)
		s.transcript.WriteByte('\n')
	}
}

// simulate runs a seed to its end, or to the first thing that must not be.
func simulate(seed uint64, logging bool) (s *simulation, err error) {
	s = &simulation{seed: seed, rng: rand.New(rand.NewPCG(seed, 0x6f7574626f78)), logging: logging}
	defer func() {
		switch v := recover().(type) {
		case nil:
		case violation:
			err = v.err
			s.logf("VIOLATION: %v", err)
		default:
			err = fmt.Errorf("at %v: panic: %v", s.now, v)
			s.logf("%v\n%s", err, debug.Stack())
		}
	}()
	s.cfg = s.drawConfig()
	s.faults = s.drawFaults()
	s.journal = newSimJournal(s.cfg.Filter)
	s.store = &simStore{sim: s, view: viewOf(Snapshot{})}
	s.store.present = s.store.view
	s.sink = &simSink{sim: s}
	s.logf("%+v", s.faults)
	s.run()
	return s, nil
}

// at is the moment on the ledgers' clock.
func (s *simulation) clock() time.Time { return at(s.now) }

// chance is true with the probability p.
func (s *simulation) chance(p float64) bool { return p > 0 && s.rng.Float64() < p }

// between draws a number from low to high, both included.
func (s *simulation) between(low, high int) int { return low + s.rng.IntN(high-low+1) }

// span draws a duration.
func (s *simulation) span(low, high time.Duration) time.Duration {
	return low + time.Duration(s.rng.Int64N(int64(high-low)+1))
}

// after has something happen later.
func (s *simulation) after(d time.Duration, do func()) {
	s.order++
	heap.Push(&s.agenda, appointment{at: s.now + d, order: s.order, do: do})
}

// advance lets happen what is next; false if nothing is.
func (s *simulation) advance() bool {
	if len(s.agenda) == 0 {
		return false
	}
	next := heap.Pop(&s.agenda).(appointment)
	s.now = next.at
	next.do()
	return true
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

var errInjected = errors.New("injected")
