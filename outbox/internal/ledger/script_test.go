package ledger

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
)

// TestScripts plays the stories in testdata. Each block of a story is one thing that happens, a line of dashes, and what
// the ledger has to say about it:
//
//	published 1 ok 0:retry=refused
//	----
//	notice: held a/1: refused
//
// What happens is an [Input], in the words of its type (script_input_test.go has all of them), or one of:
//
//	config max-held=2 …   begins a story: how this ledger differs from scriptConfig
//	recovered             starts it from what the store holds, with publishers on all lanes
//	wait 1s               lets time pass, with a tick whenever the ledger wants one
//	stored 3              save 3 has reached the store, though nobody has heard of it
//	restart               kills the process; the next one has yet to recover
//	status                says how the ledger is
//
// An event is a/1@7: the first one of a, at offset 7 of the journal. Reads, batches and saves have the ledger's numbers.
// "nothing" says that there is nothing to be done. What the ledger does while time passes bears the time since the
// story's beginning, as in +1.5s.
//
// CONTRIBUTING.md says how to have the answers written anew.
func TestScripts(t *testing.T) {
	stories, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, stories)
	for _, story := range stories {
		t.Run(strings.TrimSuffix(filepath.Base(story), ".txt"), func(t *testing.T) {
			datadriven.RunTest(t, story, new(script).play)
		})
	}
}

// script is the world of one story, as far as the ledger can tell that there is one.
type script struct {
	cfg    Config
	ledger *Ledger
	now    time.Duration
	told   strings.Builder // what the ledger said to the block that is being played

	store    Recovered // what the next life will find
	asked    map[uint64]Effect
	sent     map[batchKey]bool // of all lives: answers may come late
	saves    map[int64]Snapshot
	commands []string // a command's token is its position
}

type batchKey struct{ generation, batch uint64 }

// scriptConfig is what stories do not say by themselves. Jitter is the smallest, so that half of the backoff is waited: a
// second, two, four, up to ten. Once the feed has been read, it is read again when the story wakes it: polls would tell
// nothing.
func scriptConfig() Config {
	cfg := testConfig()
	cfg.Lanes = 1
	cfg.PollInterval, cfg.IdlePollInterval = time.Hour, time.Hour
	cfg.BackoffMin, cfg.BackoffMax = 2*time.Second, 20*time.Second
	cfg.Jitter = func() float64 { return 0 }
	return cfg
}

// play plays one block.
func (s *script) play(t *testing.T, block *datadriven.TestData) string {
	ln := &line{t: t, block: block, rest: block.CmdArgs}
	if block.Input != "" {
		ln.fail("a block begins with one line: is a line of dashes missing before %q?", block.Input)
	}
	switch {
	case block.Cmd == "config":
		*s = script{cfg: ln.config(), sent: make(map[batchKey]bool)}
		s.begin()
	case s.ledger == nil:
		ln.fail("a story begins with config")
	case block.Cmd == "restart":
		s.cfg.Generation++
		s.begin()
	case block.Cmd == "stored":
		s.keep(s.save(ln))
	case block.Cmd == "wait":
		s.wait(ln.duration(ln.word()))
	case block.Cmd == "status":
		s.told.WriteString(describeStatus(s.ledger.Status(10)))
	default:
		s.happen(s.input(ln))
	}
	ln.end()
	defer s.told.Reset()
	if s.told.Len() == 0 {
		return "nothing"
	}
	return s.told.String()
}

// begin begins a life that knows nothing of the one before.
func (s *script) begin() {
	s.ledger = New(s.cfg)
	s.asked, s.saves = make(map[uint64]Effect), make(map[int64]Snapshot)
}

// happen gives the ledger an input and tells what it said.
func (s *script) happen(in Input) {
	switch in := in.(type) {
	case Recovered:
		s.store = in
		for lane := range s.cfg.Lanes {
			s.step(LaneUp{Lane: lane}, "")
		}
	case Saved:
		if in.Result == SaveOK {
			s.keep(in.Index)
		}
	}
	s.step(in, "")
}

// wait lets time pass, with a tick whenever the ledger wants one.
func (s *script) wait(d time.Duration) {
	for end := s.now + d; s.now < end; {
		s.now = end
		if next := s.ledger.NextTick(); !next.IsZero() && next.Before(at(end)) {
			s.now = next.Sub(at(0))
		}
		s.step(Tick{}, describeTime(at(s.now))+" ")
	}
}

func (s *script) step(in Input, when string) {
	for _, e := range s.ledger.Step(at(s.now), in) {
		switch e := e.(type) {
		case ReadFeed:
			s.asked[e.Read] = e
		case ReadStream:
			s.asked[e.Read] = e
		case Dispatch:
			s.sent[batchKey{e.Generation, e.Batch}] = true
		case Save:
			s.saves[e.Index] = e.Snapshot
		}
		fmt.Fprintf(&s.told, "%s%s\n", when, s.tell(e))
	}
}

// save is the number of a save that the ledger has asked for.
func (s *script) save(ln *line) int64 {
	index := ln.number(ln.word())
	if _, ok := s.saves[index]; !ok {
		ln.fail("save %d was never asked for: this life has asked for %v", index, slices.Sorted(maps.Keys(s.saves)))
	}
	return index
}

// keep has the store take a save, as stores do: unless it has a newer one.
func (s *script) keep(index int64) {
	if index > s.store.Index {
		s.store = Recovered{Snapshot: s.saves[index], Index: index}
	}
}

// command gives a command its token, by which its reply is told.
func (s *script) command(ln *line) (token uint64) {
	s.commands = append(s.commands, ln.block.FullCmd())
	return uint64(len(s.commands) - 1)
}
