package ledger

import (
	"errors"
	"slices"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// process is an outbox actor: it has one life after another, as its supervisor restarts it. Several processes may run
// at once; the store's epoch says who is the owner.
type process struct {
	sim         *simulation
	epoch       int64
	incarnation uint64
	lastIndex   int64 // of the saves that were tried; one may still be on its way
	life        *life // nil while it restarts, and after its end
	dead        bool
}

// startProcess takes over.
func (s *simulation) startProcess() {
	p := &process{sim: s}
	p.epoch, _ = s.store.acquire(0)
	s.processes = append(s.processes, p)
	s.logf("a process takes over: epoch %d", p.epoch)
	p.begin()
	p.look()
}

// begin starts a life from what the store holds.
func (p *process) begin() {
	s := p.sim
	p.incarnation++
	cfg := s.cfg
	cfg.Generation = uint64(p.epoch)<<20 + p.incarnation
	lf := &life{
		sim: s, process: p, no: len(s.allLives) + 1, epoch: p.epoch, generation: cfg.Generation, ledger: New(cfg),
		lanes: make([]bool, cfg.Lanes), reading: make(map[uint64]bool), streamIDs: make(map[uint64]string),
		readUntil: make(map[uint64]time.Duration), lastIndex: max(s.store.index, p.lastIndex),
		dispatched: make(map[*simEvent]bool), unsaved: make(map[*simEvent]bool),
		watermark: s.store.view.Watermark, heldAtStart: len(s.store.view.Held), commands: make(map[uint64]*simCommand),
		skips: make(map[eventKey]bool), redrives: make(map[eventKey]bool), rewinds: make(map[query.Offset]bool),
	}
	lf.model = newModel(lf, cfg)
	snapshot, stored := s.store.view.Snapshot, s.store.index
	lf.outbids = p.lastIndex > stored
	if lf.base = s.faults.base && s.store.index == 0; lf.base {
		s.stats[statBase]++
		snapshot.Watermark = s.journal.head
		lf.watermark = s.journal.head
	}
	if lf.adopt(s.store.view); !lf.base {
		lf.owe()
	}
	p.life = lf
	s.allLives = append(s.allLives, lf)
	s.logf("L%d begins: generation %#x, index %d, watermark %d, held %v, parked %d", lf.no, lf.generation, lf.lastIndex,
		lf.watermark, lf.known.Held, len(lf.known.Parked))
	for i := range lf.lanes {
		s.after(s.span(0, 50*time.Millisecond), func() { lf.raiseLane(i) })
	}
	s.after(s.span(0, 20*time.Millisecond), func() {
		if !lf.over {
			lf.step(Recovered{Snapshot: snapshot, Index: stored, Tried: p.lastIndex, Base: lf.base})
		}
	})
}

// published brings a publisher's answer to the process's present life, whichever it was meant for.
func (p *process) published(in Published) {
	if p.life != nil && p.life.recovered {
		p.life.step(in)
	}
}

// drop forgets the present life, as a crash does.
func (p *process) drop() {
	if lf := p.life; lf != nil {
		p.sim.logf("L%d ends", lf.no)
		lf.over = true
		for _, b := range lf.batches {
			if p.sim.chance(0.5) {
				b.dead = true
			}
		}
	}
	p.life = nil
}

// restart is what the actor's supervisor does after a panic: a new life of the same epoch.
func (p *process) restart() {
	s := p.sim
	if p.dead || p.life == nil {
		return
	}
	s.stats[statRestart]++
	p.drop()
	s.after(s.span(0, 500*time.Millisecond), func() {
		if p.dead {
			return
		}
		if _, ok := s.store.acquire(p.epoch); !ok {
			s.stats[statFencedAtRestart]++
			p.end()
			return
		}
		p.begin()
	})
}

// end removes the process; another takes over if it was the last.
func (p *process) end() {
	s := p.sim
	if p.dead {
		return
	}
	p.dead = true
	p.drop()
	s.processes = slices.DeleteFunc(s.processes, func(other *process) bool { return other == p })
	if len(s.processes) == 0 {
		s.after(s.span(0, 2*time.Second), func() {
			if len(s.processes) == 0 {
				s.startProcess()
			}
		})
	}
}

// stop ends the process as the actor's Stopping does: with a last save, if that succeeds.
func (p *process) stop() {
	s := p.sim
	if p.dead {
		return
	}
	if lf := p.life; lf != nil && lf.recovered {
		last, ok := lf.ledger.Final()
		lf.model.checkFinal(last, ok)
		if ok && s.chance(0.8) {
			s.stats[statFinal]++
			s.logf("L%d: final save %d", lf.no, last.Index)
			lf.checkSave(last)
			s.store.save(lf, last.Index, viewOf(last.Snapshot))
		}
	}
	p.end()
}

// look is the owner's regular look at the store.
func (p *process) look() {
	s := p.sim
	s.after(5*time.Second, func() {
		if p.dead {
			return
		}
		if lf := p.life; lf != nil && lf.recovered && s.store.epoch != p.epoch {
			s.stats[statFencedByLook]++
			lf.step(Fenced{})
			if !lf.over {
				s.failf("L%d goes on although it was told of another owner", lf.no)
			}
		}
		p.look()
	})
}

// stop is the ledger's wish to end.
func (lf *life) stop(e Stop) {
	s := lf.sim
	lf.over = true
	if s.logging {
		s.logf("L%d stops: %v", lf.no, e.Err)
	}
	// For a while it is still given what comes, and must stay silent.
	p := lf.process
	s.after(s.span(0, time.Second), func() {
		if s.phase == turmoil && !errors.Is(e.Err, ErrFenced) {
			p.stop()
		} else {
			p.end()
		}
	})
}

// someLife picks one of those that are under way.
func (s *simulation) someLife() *life {
	var lives []*life
	for _, p := range s.processes {
		if p.life != nil && !p.life.over {
			lives = append(lives, p.life)
		}
	}
	if len(lives) == 0 {
		return nil
	}
	return lives[s.rng.IntN(len(lives))]
}

// owner is the life of the store's epoch, nil while there is none.
func (s *simulation) owner() *life {
	for _, p := range s.processes {
		if p.epoch == s.store.epoch && p.life != nil && p.life.recovered && !p.life.over {
			return p.life
		}
	}
	return nil
}
