package ledger

import (
	"fmt"
	"slices"
	"time"
)

// simPhase is a part of a run.
type simPhase uint8

const (
	// turmoil: everything that the seed has in store may happen.
	turmoil simPhase = iota
	// calm: nothing fails any more but a few stubborn ids. All others must get through.
	calm
	// healed: nothing fails. Everything must get through and come to rest.
	healed
)

// How long, in virtual time, a ledger may take to get things done once nothing is in its way. It is generous: what it
// finds is a ledger that hangs.
const (
	patience     = 2 * time.Minute
	maxEventSize = 2048
)

func (s *simulation) run() {
	f := &s.faults
	for range f.events {
		s.after(s.moment(), s.write)
	}
	s.startProcess()
	for range f.restarts {
		s.after(s.span(0, f.length), func() { s.someProcess(func(p *process) { p.restart() }) })
	}
	for range f.kills {
		s.after(s.span(0, f.length), func() {
			s.someProcess(func(p *process) { s.stats[statKill]++; p.end() })
		})
	}
	for range f.stops {
		s.after(s.span(0, f.length), func() { s.someProcess(func(p *process) { p.stop() }) })
	}
	for range f.takeovers {
		s.after(s.span(0, f.length), func() { s.stats[statTakeover]++; s.startProcess() })
	}
	for range f.drains {
		s.after(s.span(0, f.length), s.drain)
	}
	for range f.commands {
		s.after(s.span(0, f.length), s.command)
	}
	for range f.operations {
		s.after(s.span(0, f.length), s.operate)
	}
	for range f.laneDowns {
		s.after(s.span(0, f.length), func() {
			if lf := s.someLife(); lf != nil {
				lf.crashLane(s.rng.IntN(s.cfg.Lanes))
			}
		})
	}
	for range f.trims {
		s.after(s.span(0, f.length), s.trim)
	}
	s.runFor(f.length)

	s.enter(calm)
	s.attend()
	for range s.between(0, 20) {
		s.after(s.span(0, 3*time.Second), s.write)
	}
	s.runFor(3 * time.Second)
	s.runUntil("all ids but the stubborn ones, and those of a dead destination, get through", func() *simEvent {
		return s.firstUnresolved(func(e *simEvent) bool { return !slices.Contains(f.stubborn, e.PersistenceID) && !s.isDead(e) })
	})

	s.enter(healed)
	s.runUntil("everything gets through", func() *simEvent {
		return s.firstUnresolved(func(*simEvent) bool { return true })
	})
	s.checkRest()

	for _, p := range slices.Clone(s.processes) {
		p.end()
	}
	s.logf("one more process, which has nothing to do")
	before := s.stats[statDuplicates]
	s.startProcess()
	s.checkRest()
	if len(s.owner().dispatched) > 0 || s.stats[statDuplicates] != before {
		s.failf("after everything was saved, a restart sends %d events", len(s.owner().dispatched))
	}
	for _, e := range s.journal.events {
		s.stats[statEvents]++
		s.stats[statPublished] += count(e.delivered > 0)
	}
}

func (s *simulation) enter(p simPhase) {
	s.phase = p
	s.logf("---- %s", map[simPhase]string{calm: "calm", healed: "healed"}[p])
}

// moment is when an event is written: often many at once.
func (s *simulation) moment() time.Duration {
	switch s.rng.IntN(4) {
	case 0:
		return 0
	case 1:
		return s.faults.length / time.Duration(s.between(1, 4))
	}
	return s.span(0, s.faults.length)
}

// write has some actor persist one or a few events.
func (s *simulation) write() {
	f := &s.faults
	id := s.rng.IntN(f.ids)
	if s.chance(f.hot) {
		id = s.rng.IntN(min(2, f.ids))
	}
	gap := 0
	if s.chance(f.gaps) {
		gap = s.between(1, 5)
	}
	var tags []string
	if s.chance(0.6) {
		tags = []string{"wanted"}
	}
	e := s.journal.append(idName(id), gap, s.between(0, 1000), tags, s.clock())
	e.poison = s.phase == turmoil && s.chance(f.poison)
	s.logf("%s is written at %d, selected: %t, poison: %t", e.ID(), e.Offset, e.matches, e.poison)
	if s.chance(0.1) {
		s.journal.burn(s.between(1, 3))
	}
	if s.chance(0.3) {
		for _, p := range slices.Clone(s.processes) {
			if p.life != nil && !p.life.over && p.life.recovered {
				p.life.step(Wake{})
			}
		}
	}
}

func (s *simulation) someProcess(do func(*process)) {
	if len(s.processes) > 0 {
		do(s.processes[s.rng.IntN(len(s.processes))])
	}
}

// trim has the journal remove what the stored snapshot no longer needs. It waits for a snapshot of the present life: a
// late one of a life before may say more than the present one knows, which then would miss what it has yet to send.
func (s *simulation) trim() {
	if lf := s.owner(); lf != nil && lf == s.store.by {
		n := s.journal.trim(s.store.view)
		s.stats[statTrimmed] += n
		s.logf("the journal removes %d events at or below %d", n, s.store.view.Watermark)
	}
}

// runUntil lets time pass until there is no event that is in the way.
func (s *simulation) runUntil(what string, inTheWay func() *simEvent) {
	for end := s.now + patience; ; {
		e := inTheWay()
		if e == nil {
			return
		}
		if s.now > end {
			s.failf("%v should be long enough until %s, but %s at %d has not: %s", patience, what, e.ID(), e.Offset, s.describeOwner(e))
		}
		s.runFor(200 * time.Millisecond)
	}
}

// firstUnresolved is the first event of the feed that is neither acknowledged nor parked in the store.
func (s *simulation) firstUnresolved(relevant func(*simEvent) bool) *simEvent {
	for _, e := range s.journal.events {
		if e.matches && !e.done() && !e.trimmed && !s.store.view.isParked(e) && relevant(e) {
			return e
		}
	}
	return nil
}

// checkRest waits until the owner has saved everything, and sees that it then does nothing but look at the journal now
// and then.
func (s *simulation) checkRest() {
	s.runUntil("everything is saved", func() *simEvent {
		owner := s.owner()
		for _, e := range s.journal.events {
			if e.matches && (!s.store.view.records(e) || owner == nil) {
				return e
			}
		}
		if owner == nil || !owner.ledger.clean() || len(owner.batches) > 0 || len(owner.ledger.held) > 0 || s.store.view.Watermark < s.journal.head {
			return s.journal.events[len(s.journal.events)-1]
		}
		return nil
	})
	for _, e := range s.journal.events {
		if e.matches && e.delivered == 0 && !e.skipped && !s.store.view.isParked(e) {
			s.failf("%s is lost", e.ID())
		}
	}
	s.runFor(s.cfg.IdlePollInterval + s.cfg.ReadTimeout)
	lf := s.owner()
	if lf == nil || s.owner() != lf || !lf.ledger.clean() {
		s.failf("the owner does not come to rest: %s", s.describeOwner(nil))
	}
	lf.checkNothingLeft()
	read, batch, index := lf.ledger.readID, lf.ledger.batchID, lf.ledger.saves.index
	const looks = 10
	s.runFor(looks * s.cfg.IdlePollInterval)
	l := lf.ledger
	if l.batchID != batch || l.saves.index != index || !l.clean() {
		s.failf("L%d: there is nothing to do, but it sends or saves", lf.no)
	}
	if n := l.readID - read; n > looks+1 || n < looks/4 {
		s.failf("L%d reads %d times in %d idle intervals", lf.no, n, looks)
	}
	if next := l.NextTick(); l.feed.reading == 0 && next.Before(l.feed.due) {
		s.failf("L%d is idle, but wants a tick %v before its next look", lf.no, l.feed.due.Sub(next))
	}
	lf.checkNothingLeft()
}

// describeOwner says what the owner makes of an event.
func (s *simulation) describeOwner(e *simEvent) string {
	lf := s.owner()
	if lf == nil {
		return fmt.Sprintf("there is no owner among %d processes", len(s.processes))
	}
	l := lf.ledger
	text := fmt.Sprintf("L%d: position %d, watermark %d, window %d, unsaved %d of %d, recordable %d, held %d, ahead %d of %d, failing %d, parked %d of %d, outage %t",
		lf.no, l.feed.position, l.window.watermark, l.window.len(), l.unsaved, s.cfg.MaxUnsaved, l.recordable,
		len(l.held), len(l.ahead), s.cfg.MaxHeld, len(l.failing), len(l.parked.events), s.cfg.MaxParked, l.outage.on)
	if e != nil {
		if st := l.streams[e.PersistenceID]; st != nil {
			text += fmt.Sprintf("; its stream: next %d, queue %d, sent %d, dispatched %d, held %t, verified %t, through %d, failing %t, ready %t, alone %t, parking %t, wanted %t, active %t, reading %d",
				st.next, len(st.queue), st.sent, st.dispatched, st.held, st.verified, st.through, st.failing, st.ready, st.alone, st.parking, st.wanted, st.active, st.reading)
		}
	}
	return text
}
