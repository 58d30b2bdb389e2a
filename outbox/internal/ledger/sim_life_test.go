package ledger

// One subject: a life of a simulated ledger, which carries out each effect and answers it. What it checks is in
// sim_check_test.go.

import (
	"cmp"
	"slices"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// life is one ledger, what carries out its effects, and what the simulation itself knows about it: kept apart from the
// ledger's own state, which it is compared with.
type life struct {
	sim        *simulation
	process    *process
	no         int
	epoch      int64
	generation uint64
	ledger     *Ledger
	recovered  bool
	over       bool // crashed, or stopped
	draining   bool

	tickNo uint64 // of the timer that is set
	tickAt time.Duration
	timer  bool

	lanes     []bool // up
	batches   []*simBatch
	lastBatch uint64
	reading   map[uint64]bool   // unanswered reads of the feed, 0 or 1
	streamIDs map[uint64]string // unanswered reads by id
	readUntil map[uint64]time.Duration

	saving    *simSave // unanswered
	lastIndex int64
	known     *view // the last snapshot that is known to be saved
	// dispatched at least once by this life; unsaved are those of them that known does not record.
	dispatched, unsaved map[*simEvent]bool
	watermark           query.Offset
	owed                []*simEvent // at or below the watermark, neither acknowledged nor parked: their ids must be held
	era                 int         // the store's, as far as this life is concerned
	base                bool        // it begins somewhere that is not known to be saved
	outbids             bool        // a save of the life before may still be on its way
	commands            map[uint64]*simCommand
	skips, redrives     map[eventKey]bool // that operators have asked for
	rewinds             map[query.Offset]bool
	wasAhead            int
	heldAtStart         int
	steps               int
	input               Input // of the present step
	model               *model
}

// simSave is a snapshot on its way to the store.
type simSave struct {
	index    int64
	view     *view
	deadline time.Duration
}

// step gives the ledger an input, checks what comes of it and carries it out.
func (lf *life) step(in Input) {
	s := lf.sim
	if page, ok := in.(FeedPage); ok {
		in = lf.hide(page)
	}
	if s.logging {
		s.logf("L%d <- %s", lf.no, describe(in))
	}
	lf.expect(in)
	lf.input = in
	effects := slices.Clone(lf.ledger.Step(s.clock(), in))
	if lf.over {
		if len(effects) > 0 {
			s.failf("L%d: a stopped ledger asks for %s", lf.no, describe(effects[0]))
		}
		return
	}
	for _, e := range effects {
		if s.logging {
			s.logf("L%d    -> %s", lf.no, describe(e))
		}
		if lf.over {
			s.failf("L%d: after its stop the ledger asks for %s", lf.no, describe(e))
		}
		lf.checkEffect(e)
		lf.perform(e)
	}
	if saved, ok := in.(Saved); ok && saved.Result == SaveFenced && !lf.over {
		s.failf("L%d goes on although its save was fenced", lf.no)
	}
	lf.checkState()
	lf.model.follow(s.clock(), in, effects)
	lf.arm()
}

// obsolete reports whether the feed was rewound under the hands of a life that is no longer the owner. What it still
// does says nothing about the present era.
func (lf *life) obsolete() bool { return lf.era != lf.sim.store.era }

// owe notes the events that the watermark has passed although nothing has become of them.
func (lf *life) owe() {
	lf.owed = nil
	for _, e := range lf.sim.journal.events[:lf.sim.journal.after(lf.watermark)] {
		if e.matches && !e.done() && !lf.known.isParked(e) {
			lf.owed = append(lf.owed, e)
		}
	}
}

// expect follows the input as the ledger should.
func (lf *life) expect(in Input) {
	s := lf.sim
	switch in := in.(type) {
	case Recovered:
		lf.recovered = true
	case Tick:
		lf.giveUpBatches(func(b *simBatch) bool { return s.now >= b.deadline })
		if lf.saving != nil && s.now >= lf.saving.deadline {
			lf.saving = nil
		}
		for read, until := range lf.readUntil {
			if s.now >= until {
				lf.answered(read)
			}
		}
	case FeedPage:
		lf.answered(in.Read)
	case FeedFailed:
		lf.answered(in.Read)
	case StreamPage:
		lf.answered(in.Read)
	case StreamFailed:
		lf.answered(in.Read)
	case LaneDown:
		lf.giveUpBatches(func(b *simBatch) bool { return b.lane == in.Lane })
	case Published:
		if in.Generation != lf.generation {
			s.stats[statAnswerOld]++
			return
		}
		n := slices.IndexFunc(lf.batches, func(b *simBatch) bool { return b.id == in.Batch })
		if n < 0 {
			s.stats[statAnswerLate]++
			return
		}
		lf.batches[n].acknowledge(in)
		lf.batches = slices.Delete(lf.batches, n, n+1)
	case Saved:
		if in.Result == SaveFenced {
			s.stats[statFencedBySave]++
		}
		if lf.saving == nil || lf.saving.index != in.Index {
			return
		}
		if in.Result == SaveOK {
			rewound := lf.saving.view.Rewinds > lf.known.Rewinds
			lf.adopt(lf.saving.view)
			for e := range lf.unsaved {
				if rewound || lf.known.records(e) {
					delete(lf.unsaved, e)
				}
			}
			if lf.base, lf.outbids = false, false; rewound {
				clear(lf.dispatched)
				clear(lf.reading) // what was asked for before is no longer waited for
				clear(lf.streamIDs)
				clear(lf.readUntil)
				lf.watermark = lf.known.Watermark
				lf.owe()
			}
		}
		lf.saving = nil
	}
}

// giveUpBatches forgets the batches whose outcome stays unknown.
func (lf *life) giveUpBatches(lost func(*simBatch) bool) {
	lf.batches = slices.DeleteFunc(lf.batches, func(b *simBatch) bool {
		if !lost(b) {
			return false
		}
		for _, e := range b.events {
			e.failures++
			e.unnamed++
		}
		return true
	})
}

func (lf *life) answered(read uint64) {
	delete(lf.reading, read)
	delete(lf.streamIDs, read)
	delete(lf.readUntil, read)
}

// acknowledge marks what the answer says was delivered: per id up to the first event that it does not say so of.
func (b *simBatch) acknowledge(in Published) {
	outcomes := make([]Outcome, len(b.events))
	for i := range outcomes {
		outcomes[i] = in.Outcome
	}
	names := make([]string, len(b.events))
	copy(names, in.Destinations)
	for _, r := range in.Results {
		outcomes[r.Index] = r.Outcome
		names[r.Index] = cmp.Or(r.Destination, names[r.Index])
	}
	var failed []string
	for i, e := range b.events {
		switch {
		case slices.Contains(failed, e.PersistenceID):
		case outcomes[i] != OK:
			failed = append(failed, e.PersistenceID)
			e.failures++
			e.unnamed += count(names[i] == "")
		case b.era != b.life.sim.store.era: // it was in another era
		default:
			if e.delivered == 0 {
				b.life.sim.failf("the simulation is wrong: %s is acknowledged, but the sink has not got it", e.ID())
			}
			e.acked, e.ackedBy, e.everAcked = true, b.life, true
		}
	}
}

// arm sets the timer for the next tick; one that is set for an earlier time is left alone, as the actor does.
func (lf *life) arm() {
	s := lf.sim
	next := lf.ledger.NextTick()
	if lf.over || next.IsZero() {
		return
	}
	in := max(0, next.Sub(s.clock()))
	if lf.timer && lf.tickAt <= s.now+in {
		return
	}
	lf.tickNo++
	lf.timer, lf.tickAt = true, s.now+in
	no := lf.tickNo
	s.after(in, func() {
		if no == lf.tickNo && !lf.over {
			lf.timer = false
			lf.step(Tick{})
		}
	})
}

// later gives the ledger an input in a while, unless it has ended by then; the outbox sorts out what an earlier life
// asked for. A stopped ledger gets it all the same, and must not care.
func (lf *life) later(d time.Duration, in Input) {
	lf.sim.after(d, func() {
		if lf.process.life == lf {
			lf.step(in)
		}
	})
}

// perform carries out an effect.
func (lf *life) perform(effect Effect) {
	switch e := effect.(type) {
	case ReadFeed:
		lf.readFeed(e)
	case ReadStream:
		lf.readStream(e)
	case Dispatch:
		lf.dispatch(e)
	case Save:
		lf.save(e)
	case Notice:
		lf.notice(e)
	case Stop:
		lf.stop(e)
	}
}

// answerRead answers a read, well or badly. answer makes the good answer, at the moment when the journal reads.
func (lf *life) answerRead(answer func() Input, failure Input, failed int) {
	s := lf.sim
	f := &s.faults
	latency := s.span(0, 20*time.Millisecond)
	if s.phase == turmoil {
		switch {
		case s.chance(f.readLost):
			s.stats[statReadLate]++
			return
		case s.chance(f.readFails):
			s.stats[failed]++
			lf.later(latency, failure)
			return
		case s.chance(f.readSlow):
			s.stats[statReadLate]++
			latency = s.span(s.cfg.ReadTimeout/2, 2*s.cfg.ReadTimeout)
		}
	}
	twice := s.phase == turmoil && s.chance(f.readTwice)
	back := s.span(0, latency) // after the journal has looked
	s.after(latency-back, func() {
		in := answer()
		lf.later(back, in)
		if twice {
			s.stats[statReadTwice]++
			lf.later(back+s.span(0, time.Second), in)
		}
	})
}

func (lf *life) readFeed(e ReadFeed) {
	s := lf.sim
	lf.answerRead(func() Input {
		limits := e.Limits
		short := s.chance(s.faults.pageShort) && limits.Events > 1
		if short {
			s.stats[statPageShort]++
			limits.Events = s.between(1, limits.Events-1)
		}
		page := s.journal.read(e.After, limits)
		if n := len(page.Events); short && n > 0 {
			page.Next = page.Events[n-1].Offset // complete no further than it must be
			page.More = s.chance(0.5)
		}
		return FeedPage{Read: e.Read, Page: page}
	}, FeedFailed{Read: e.Read, Err: errInjected}, statReadFailed)
}

func (lf *life) readStream(e ReadStream) {
	s := lf.sim
	lf.answerRead(func() Input {
		events, more := s.journal.readByID(e.PersistenceID, e.From, e.Limits)
		return StreamPage{Read: e.Read, Events: events, More: more}
	}, StreamFailed{Read: e.Read, Err: errInjected}, statStreamReadFailed)
}

func (lf *life) dispatch(e Dispatch) {
	s := lf.sim
	b := &simBatch{life: lf, id: e.Batch, lane: e.Lane, deadline: s.now + s.cfg.PublishTimeout, era: lf.era}
	b.redrive = lf.isRedrive(e)
	for _, ev := range e.Events {
		b.events = append(b.events, s.journal.event(ev.PersistenceID, ev.SequenceNumber))
	}
	lf.batches = append(lf.batches, b)
	lf.publish(b)
}

func (lf *life) save(e Save) {
	s := lf.sim
	f := &s.faults
	v := viewOf(e.Snapshot)
	lf.saving = &simSave{index: e.Index, view: v, deadline: s.now + s.cfg.SaveTimeout}
	latency := s.span(0, 20*time.Millisecond)
	heard := true
	if s.phase == turmoil {
		switch {
		case s.chance(f.saveFails):
			s.stats[statSaveFailed]++
			lf.later(latency, Saved{Index: e.Index, Result: SaveFailed, Err: errInjected})
			return
		case s.chance(f.saveLost):
			s.stats[statSaveLost]++
			return
		case s.chance(f.saveUnheard):
			s.stats[statSaveUnheard]++
			heard = false
			if s.chance(0.5) {
				lf.later(latency, Saved{Index: e.Index, Result: SaveFailed, Err: errInjected})
			}
		case s.chance(f.saveLate):
			s.stats[statSaveLate]++
			latency = s.span(s.cfg.SaveTimeout/2, 3*s.cfg.SaveTimeout)
		}
	}
	twice := s.phase == turmoil && s.chance(f.saveTwice)
	s.after(latency, func() { // it lands although the process may have ended
		result := s.store.save(lf, e.Index, v)
		s.logf("L%d: save %d reaches the store: %v", lf.no, e.Index, result)
		if result == SaveFailed {
			s.stats[statSaveStale]++
		}
		if !heard {
			return
		}
		answer := Saved{Index: e.Index, Result: result}
		back := s.span(0, 10*time.Millisecond)
		lf.later(back, answer)
		if twice {
			s.stats[statSaveTwice]++
			lf.later(back+s.span(0, 2*time.Second), answer)
		}
	})
}

func (lf *life) notice(e Notice) {
	s := lf.sim
	switch e.Kind {
	case NoticeHeld:
		s.stats[statHeld]++
		lf.countReason(lf.ledger.streams[e.PersistenceID])
	case NoticeRejoined:
		s.stats[statRejoined]++
	case NoticeParked:
		s.stats[statParked]++
		lf.checkGivenUp(s.journal.event(e.PersistenceID, e.SequenceNumber))
	case NoticeSkipped:
		lf.checkSkipped(s.journal.event(e.PersistenceID, e.SequenceNumber))
	case NoticeStuck:
		s.stats[statStuck]++
		lf.checkGivenUp(s.journal.event(e.PersistenceID, e.SequenceNumber))
		if ev := s.journal.event(e.PersistenceID, e.SequenceNumber); s.cfg.OnPoison != Hold || !ev.givenUp(&s.cfg) {
			s.failf("L%d has %s wait for an operator without a reason", lf.no, ev.ID())
		}
	case NoticeRedriven:
		s.stats[statRedriven]++
	case NoticeGap:
		s.stats[statGap]++
		if !s.cfg.contiguous() {
			s.failf("L%d sees a gap in a feed that has them: %s/%d", lf.no, e.PersistenceID, e.SequenceNumber)
		}
	case NoticePaused:
		s.stats[statPaused]++
	case NoticeOutageBegan:
		s.stats[statOutage] += count(e.Destination == "")
		s.stats[statDestinationOut] += count(e.Destination != "")
	case NoticeOutageEnded:
		s.stats[statOutageEnded] += count(e.Destination == "")
		s.stats[statDestinationBack] += count(e.Destination != "")
	case NoticeMissing:
		s.stats[statMissing]++
		if ev := s.journal.event(e.PersistenceID, e.SequenceNumber); !ev.trimmed {
			s.failf("L%d: %s counts as missing, but the journal has it", lf.no, ev.ID())
		}
	}
}
