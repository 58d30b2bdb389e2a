package ledger

import (
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// The simulation runs ledgers against models of everything around them: a journal, a snapshot store, publishers, a
// sink, and processes that crash and take over from each other. Time is virtual, every choice comes from a seed, and
// the same seed gives the same run to the letter.
//
//	sim_test.go            entry
//	sim_seeds_test.go      many seeds, or one
//	sim_virtual_test.go    virtual time, and the queue of what is going to happen
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
//	sim_handover_*_test.go another simulation, of several owners at once: see sim_handover_test.go
//	mutation_test.go       bugs put into the ledger on purpose, which all this must find

// statisticsFrom is the number of seeds from which on every fault must have happened.
const statisticsFrom = 5000

func TestSimulation(t *testing.T) {
	var (
		total statistics
		mu    sync.Mutex
	)
	count := overSeeds(t, func(seed uint64, logging bool) (string, error) {
		s, err := simulate(seed, logging)
		mu.Lock()
		defer mu.Unlock()
		total.add(&s.stats)
		return s.transcript.String(), err
	})
	if count == 0 || t.Failed() {
		return
	}
	t.Log(total.String())
	if count >= statisticsFrom {
		require.Empty(t, total.missing(), "these never happened: the simulation no longer exercises them")
	}
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
	*virtual
	cfg    Config
	faults faults
	stats  statistics

	journal   *simJournal
	store     *simStore
	sink      *simSink
	processes []*process // those that run
	allLives  []*life
	tokens    uint64

	phase simPhase
}

// simulate runs a seed to its end, or to the first thing that must not be.
func simulate(seed uint64, logging bool) (s *simulation, err error) {
	s = &simulation{virtual: newVirtual(seed, 0x6f7574626f78, logging)}
	return s, s.guard(s.start)
}

func (s *simulation) start() {
	s.cfg = s.drawConfig()
	s.faults = s.drawFaults()
	s.journal = newSimJournal(s.cfg.Filter)
	s.store = &simStore{sim: s, view: viewOf(Snapshot{})}
	s.store.present = s.store.view
	s.sink = &simSink{sim: s}
	s.logf("%+v", s.faults)
	s.run()
}

var errInjected = errors.New("injected")
