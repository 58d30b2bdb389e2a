package ledger

// One subject: everything that the simulation demands of a ledger, so that whoever asks whether a promise is checked reads
// one file.

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// checkEffect checks an effect before it is carried out, and notes it.
func (lf *life) checkEffect(effect Effect) {
	lf.countDestination(effect)
	switch e := effect.(type) {
	case ReadFeed:
		lf.checkReadFeed(e)
	case ReadStream:
		lf.checkReadStream(e)
	case Dispatch:
		lf.checkDispatch(e)
	case Save:
		if lf.saving != nil {
			lf.sim.failf("L%d: save %d while save %d is unanswered", lf.no, e.Index, lf.saving.index)
		}
		lf.checkSave(e)
	case Reply:
		lf.checkReply(e)
	case Stop:
		for token := range lf.commands {
			lf.sim.failf("L%d stops without an answer to command %d", lf.no, token)
		}
	}
}

func (lf *life) checkReadFeed(e ReadFeed) {
	s := lf.sim
	switch {
	case lf.draining:
		s.failf("L%d reads while it drains", lf.no)
	case lf.halted():
		s.failf("L%d reads although it must not", lf.no)
	case len(lf.reading) > 0:
		s.failf("L%d reads the feed twice at a time", lf.no)
	case e.Limits.Events < 1 || e.Limits.Events > s.cfg.Page.Events || e.Limits.Bytes < 1 || e.Limits.Bytes > s.cfg.Page.Bytes:
		s.failf("L%d: limits %+v of a read", lf.no, e.Limits)
	}
	lf.reading[e.Read] = true
	lf.readUntil[e.Read] = s.now + s.cfg.ReadTimeout
}

func (lf *life) checkReadStream(e ReadStream) {
	s := lf.sim
	redrive := lf.ledger.redrive.read == e.Read
	for _, id := range lf.streamIDs {
		if id == e.PersistenceID && !redrive {
			s.failf("L%d reads %s twice at a time", lf.no, id)
		}
	}
	switch {
	case lf.draining:
		s.failf("L%d reads while it drains", lf.no)
	case lf.halted():
		s.failf("L%d reads %s although it must not", lf.no, e.PersistenceID)
	case redrive:
		if !lf.redrives[eventKey{e.PersistenceID, e.From}] {
			s.failf("L%d reads %s/%d, which nobody wants to have sent once more", lf.no, e.PersistenceID, e.From)
		}
		lf.readUntil[e.Read] = s.now + s.cfg.ReadTimeout
		return
	case len(lf.streamIDs) >= s.cfg.CatchUps:
		s.failf("L%d: more than %d reads by id at a time", lf.no, s.cfg.CatchUps)
	case e.Limits != s.cfg.CatchUp || e.From < 1:
		s.failf("L%d: a read by id from %d with limits %+v", lf.no, e.From, e.Limits)
	}
	lf.streamIDs[e.Read] = e.PersistenceID
	lf.readUntil[e.Read] = s.now + s.cfg.ReadTimeout
}

func (lf *life) checkDispatch(e Dispatch) {
	s := lf.sim
	bytes := 0
	for _, ev := range e.Events {
		bytes += ev.Size()
	}
	inLane := 0
	for _, b := range lf.batches {
		if b.lane == e.Lane {
			inLane++
		}
	}
	switch {
	case lf.draining:
		s.failf("L%d dispatches while it drains", lf.no)
	case lf.halted():
		s.failf("L%d dispatches although it must not", lf.no)
	case !lf.lanes[e.Lane]:
		s.failf("L%d dispatches to lane %d, which is down", lf.no, e.Lane)
	case e.Generation != lf.generation || e.Batch <= lf.lastBatch:
		s.failf("L%d: batch %d after %d, of generation %#x", lf.no, e.Batch, lf.lastBatch, e.Generation)
	case len(e.Events) == 0 || len(e.Events) > s.cfg.Batch.Events || (bytes > s.cfg.Batch.Bytes && len(e.Events) > 1):
		s.failf("L%d: a batch of %d events and %d bytes", lf.no, len(e.Events), bytes)
	case inLane > 2*s.cfg.LaneBatches:
		s.failf("L%d: %d batches are unanswered in lane %d", lf.no, inLane, e.Lane)
	}
	lf.lastBatch = e.Batch
	for i, ev := range e.Events {
		lf.checkSent(s.journal.event(ev.PersistenceID, ev.SequenceNumber), e, i)
	}
	if len(lf.unsaved) > s.cfg.MaxUnsaved {
		s.failf("L%d: %d events are unsaved, at most %d may be", lf.no, len(lf.unsaved), s.cfg.MaxUnsaved)
	}
}

// checkSent checks one event of a batch.
func (lf *life) checkSent(e *simEvent, d Dispatch, i int) {
	s := lf.sim
	for _, b := range lf.batches {
		for _, other := range b.events {
			if other.PersistenceID == e.PersistenceID {
				s.failf("L%d sends %s while %s is unanswered in batch %d", lf.no, e.ID(), other.ID(), b.id)
			}
		}
	}
	if int(e.Slice)%s.cfg.Lanes != d.Lane {
		s.failf("L%d sends %s to lane %d, which is not its lane", lf.no, e.ID(), d.Lane)
	}
	if lf.isRedrive(d) {
		if e.ackedBy == lf || !lf.known.records(e) {
			s.failf("L%d sends %s once more, which is not parked, or not known to be", lf.no, e.ID())
		}
		return // in no order with the others
	}
	if lf.obsolete() {
		return
	}
	switch {
	case !e.matches:
		s.failf("L%d sends %s, which the filter leaves out", lf.no, e.ID())
	case e.ackedBy == lf:
		s.failf("L%d sends %s again, although it was told that it is delivered", lf.no, e.ID())
	case lf.known.records(e):
		s.failf("L%d sends %s, which the saved snapshot records", lf.no, e.ID())
	}
	for _, earlier := range s.journal.byID[e.PersistenceID][:e.SequenceNumber-1] {
		before := slices.ContainsFunc(d.Events[:i], func(ev *query.Event) bool {
			return ev.PersistenceID == earlier.PersistenceID && ev.SequenceNumber == earlier.SequenceNumber
		})
		if earlier.matches && !earlier.done() && !before && !s.store.view.isParked(earlier) {
			s.failf("order: L%d sends %s before %s is acknowledged or parked in the store", lf.no, e.ID(), earlier.ID())
		}
	}
	if lf.dispatched[e] {
		return
	}
	if e.acked {
		s.stats[statDuplicates]++
		// One who was replaced, and has yet to notice, repeats what the new owner does, within his own budget.
		if lf.epoch == s.store.epoch && !s.wasUnsaved(e) {
			s.failf("L%d sends %s, which was acknowledged and within nobody's budget", lf.no, e.ID())
		}
	}
	lf.dispatched[e], lf.unsaved[e] = true, true
}

// halted reports whether the life may neither read nor send: it begins somewhere that is not saved yet, or is rewound.
// An operator's pause counts from the step in which it was taken.
func (lf *life) halted() bool {
	return lf.base || lf.outbids || lf.ledger.paused || lf.ledger.rewind.on
}

// isRedrive reports whether the batch is one that an operator wants to have sent once more.
func (lf *life) isRedrive(d Dispatch) bool {
	if len(d.Events) != 1 {
		return false
	}
	key := eventKey{d.Events[0].PersistenceID, d.Events[0].SequenceNumber}
	p, parked := lf.ledger.parked.get(key)
	return parked && p.Resolution == Unresolved && lf.redrives[key]
}

// givenUp reports whether an outbox had reason to give up on the event.
func (e *simEvent) givenUp(cfg *Config) bool {
	return e.refused || (cfg.MaxAttempts > 0 && e.failures >= cfg.MaxAttempts)
}

// checkSkipped notes that a ledger lets go of an event, if there is a reason.
func (lf *life) checkSkipped(e *simEvent) {
	s := lf.sim
	switch {
	case lf.skips[eventKey{e.PersistenceID, e.SequenceNumber}]:
	case s.cfg.OnPoison == SkipOver && e.givenUp(&s.cfg):
		s.stats[statSkippedByRule]++
		lf.checkGivenUp(e)
	default:
		s.failf("L%d skips %s without a reason", lf.no, e.ID())
	}
	if !lf.obsolete() {
		e.skipped = true
	}
}

// wasUnsaved reports whether some life has the event among those that its crash may repeat.
func (s *simulation) wasUnsaved(e *simEvent) bool {
	return slices.ContainsFunc(s.allLives, func(lf *life) bool { return lf.unsaved[e] })
}

// checkSave checks that a snapshot is true, small, and forgets nothing that was recorded before.
func (lf *life) checkSave(e Save) {
	s := lf.sim
	v := viewOf(e.Snapshot)
	rewinds := v.Rewinds > lf.known.Rewinds
	open := 0
	for _, p := range v.Parked {
		open += count(p.Resolution == Unresolved)
	}
	switch {
	case e.Index <= lf.lastIndex:
		s.failf("L%d: save %d after save %d", lf.no, e.Index, lf.lastIndex)
	case len(v.Held) != lf.ledger.heldCount() && v.Rewinds == lf.ledger.rewinds || len(v.held) != len(v.Held):
		s.failf("L%d: %d held entries for %d ids", lf.no, len(v.Held), len(v.held))
	case open > s.cfg.MaxParked || len(v.parked) != len(v.Parked) || len(v.Parked) > s.cfg.MaxParked+s.cfg.Window.Events:
		s.failf("L%d: %d parked entries for %d events, %d unresolved, at most %d", lf.no, len(v.Parked), len(v.parked), open, s.cfg.MaxParked)
	case v.Watermark > s.journal.head || v.Watermark < lf.known.Watermark && !rewinds:
		s.failf("L%d: watermark %d after %d, the journal ends at %d", lf.no, v.Watermark, lf.known.Watermark, s.journal.head)
	case rewinds && (v.Rewinds != lf.known.Rewinds+1 || !lf.rewinds[v.Watermark] || len(lf.batches) > 0):
		s.failf("L%d: save %d rewinds to %d, %d times, with %d batches unanswered", lf.no, e.Index, v.Watermark, v.Rewinds, len(lf.batches))
	}
	lf.lastIndex, lf.process.lastIndex = e.Index, e.Index
	if lf.obsolete() {
		return
	}
	if a := v.Anchor; a != (Pointer{}) {
		if ev := s.journal.event(a.PersistenceID, a.SequenceNumber); ev.Offset != a.Offset || ev.UID != a.UID || a.Offset > v.Watermark {
			s.failf("L%d: anchor %v at watermark %d", lf.no, a, v.Watermark)
		}
	}
	for _, ev := range s.journal.events {
		switch {
		case !ev.matches:
		case v.isParked(ev):
			if !ev.givenUp(&s.cfg) && !ev.skipped {
				s.failf("L%d: save %d has %s as parked, but it was never refused for good", lf.no, e.Index, ev.ID())
			}
		case v.isSettled(ev):
			if !ev.done() && !lf.base {
				s.failf("L%d: save %d records %s at offset %d, which was never acknowledged", lf.no, e.Index, ev.ID(), ev.Offset)
			}
		case lf.known.records(ev) && !(rewinds && ev.Offset > v.Watermark):
			s.failf("L%d: save %d no longer records %s", lf.no, e.Index, ev.ID())
		}
	}
}

// checkReply checks that what a command is told is true.
func (lf *life) checkReply(e Reply) {
	s := lf.sim
	c := lf.commands[e.Token]
	if c == nil {
		s.failf("L%d answers command %d, which is not waiting", lf.no, e.Token)
	}
	delete(lf.commands, e.Token)
	if c.kind > commandDrain {
		lf.checkOperated(c, e)
		return
	}
	var (
		parked  *ParkedError
		skipped *SkippedError
	)
	switch {
	case errors.As(e.Err, &skipped):
		s.stats[statAwaitedSkipped]++
		if c.kind != commandAwait || !c.event.skipped && !lf.obsolete() {
			s.failf("L%d answers %v, but nobody has skipped it", lf.no, e.Err)
		}
	case errors.As(e.Err, &parked):
		s.stats[statAwaitedParked]++
		if c.kind != commandAwait || !c.event.givenUp(&s.cfg) {
			s.failf("L%d answers %v, but nobody has refused it for good", lf.no, e.Err)
		}
	case c.kind == commandDrain:
		lf.checkDrained(e.Err)
	case e.Err != nil:
	case c.kind == commandAwait:
		s.stats[statAwaited]++
		before := lf.base && c.event.Offset <= lf.watermark // where it begins: none of its business
		if c.event.matches && !c.event.done() && !lf.obsolete() && !before {
			s.failf("L%d says that %s is published, but it was never acknowledged", lf.no, c.event.ID())
		}
	case c.kind == commandFlush:
		s.stats[statFlushed]++
		for _, ev := range s.journal.events[:s.journal.after(c.upTo)] {
			if ev.matches && !ev.trimmed && !lf.obsolete() && (!s.store.present.records(ev) || !(ev.done() || s.store.present.isParked(ev))) {
				s.failf("L%d says that everything up to offset %d is resolved and saved, but not so %s", lf.no, c.upTo, ev.ID())
			}
		}
	}
}

func (lf *life) checkDrained(err error) {
	s := lf.sim
	if errors.Is(err, ErrDrainDeadline) {
		s.stats[statDrainDeadline]++
	}
	if err != nil {
		return
	}
	s.stats[statDrained]++
	if len(lf.batches) > 0 && lf.recovered {
		s.failf("L%d is drained, but batch %d is unanswered", lf.no, lf.batches[0].id)
	}
	if l := lf.ledger; lf.recovered && (!l.clean() || lf.known.Watermark != l.window.watermark) {
		s.failf("L%d is drained, but has something to save", lf.no)
	}
	for e := range lf.unsaved {
		if e.ackedBy == lf && len(lf.ledger.held) < s.cfg.MaxHeld {
			s.failf("L%d is drained, but has not recorded that %s is settled", lf.no, e.ID())
		}
	}
}

// checkState compares the ledger's state with what the simulation knows.
func (lf *life) checkState() {
	s, l := lf.sim, lf.ledger
	if !lf.recovered {
		return
	}
	if w := l.window.watermark; w != lf.watermark {
		if w < lf.watermark || w > l.feed.position {
			s.failf("L%d: the watermark goes from %d to %d, the feed was read up to %d", lf.no, lf.watermark, w, l.feed.position)
		}
		for _, e := range s.journal.events[s.journal.after(lf.watermark):s.journal.after(w)] {
			if e.matches {
				lf.owed = append(lf.owed, e)
			}
		}
		lf.watermark = w
	}
	lf.owed = slices.DeleteFunc(lf.owed, func(e *simEvent) bool { return e.done() || l.parked.has(&e.Event) })
	for _, e := range lf.owed {
		if lf.obsolete() {
			break
		}
		if st := l.streams[e.PersistenceID]; st == nil || !st.held {
			s.failf("L%d: watermark %d has passed %s at %d, which is neither resolved nor held", lf.no, lf.watermark, e.ID(), e.Offset)
		}
	}
	switch {
	case l.unsaved < len(lf.unsaved):
		s.failf("L%d counts %d unsaved events, there are %d", lf.no, l.unsaved, len(lf.unsaved))
	case l.recordable < 0 || l.recordable > l.unsaved:
		s.failf("L%d: %d recordable of %d unsaved", lf.no, l.recordable, l.unsaved)
	case len(l.held) > max(s.cfg.MaxHeld, lf.heldAtStart) || len(l.ahead) > s.cfg.MaxHeld+s.cfg.Window.Events:
		s.failf("L%d: %d held and %d ahead", lf.no, len(l.held), len(l.ahead))
	case l.window.len() > s.cfg.Window.Events:
		s.failf("L%d: %d events in the window", lf.no, l.window.len())
	case l.window.bytes < 0 || (l.window.len() > 1 && l.window.bytes > s.cfg.Window.Bytes+maxEventSize):
		s.failf("L%d: %d bytes in the window", lf.no, l.window.bytes)
	}
	lf.countStates()
	lf.checkDestinations()
	if lf.steps++; lf.steps%16 == 0 {
		lf.checkMemory()
	}
}

// checkMemory checks that the events in memory are bounded and the lists agree.
func (lf *life) checkMemory() {
	s, l := lf.sim, lf.ledger
	events, held, ahead, failing, active := 0, 0, 0, 0, 0
	for id, st := range l.streams {
		events += len(st.queue)
		held += count(st.held)
		ahead += count(st.ahead)
		failing += count(st.failing)
		active += count(st.active)
		bytes := 0
		for _, en := range st.queue {
			bytes += en.size
		}
		if bytes != st.bytes || st.id != id || st.sent > len(st.queue) {
			s.failf("L%d: stream %s is inconsistent: %+v", lf.no, id, st)
		}
	}
	most := s.cfg.Window.Events + s.cfg.CatchUps*s.cfg.CatchUp.Events + 2*s.cfg.Lanes*s.cfg.LaneBatches*s.cfg.Batch.Events
	if events > most {
		s.failf("L%d: %d events are in memory, at most %d may be", lf.no, events, most)
	}
	if held != len(l.held) || ahead != len(l.ahead) || failing != len(l.failing) || active != l.catchUp.active {
		s.failf("L%d: lists disagree: held %d, %d; ahead %d, %d; failing %d, %d; active %d, %d", lf.no,
			held, len(l.held), ahead, len(l.ahead), failing, len(l.failing), active, l.catchUp.active)
	}
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// countStates notes states that the effects do not show.
func (lf *life) countStates() {
	s, l := lf.sim, lf.ledger
	if n := len(l.ahead); n > lf.wasAhead {
		s.stats[statAhead]++
	}
	lf.wasAhead = len(l.ahead)
	if len(l.held) == s.cfg.MaxHeld {
		s.stats[statHeldFull]++
	}
	if l.unsaved == s.cfg.MaxUnsaved {
		s.stats[statBudgetFull]++
	}
	if l.window.len() == s.cfg.Window.Events {
		s.stats[statWindowFull]++
	}
	if len(l.feed.gaps) > 0 {
		s.stats[statGapWithoutPlace]++
	}
	if l.parked.open == s.cfg.MaxParked && strings.HasPrefix(l.counters.lastErr, "the parked list is full") {
		s.stats[statParkedFull]++
	}
}

// countReason notes why a stream was held, as far as that can be seen from outside.
func (lf *life) countReason(st *stream) {
	if st == nil || st.failing {
		return
	}
	exhausted := lf.ledger.unsaved >= lf.ledger.common()
	switch lf.input.(type) {
	case Tick: // it stood at the front for too long
	case FeedPage:
		if !exhausted {
			lf.sim.stats[statHot]++
		}
	default:
		if exhausted {
			lf.sim.stats[statUnblocked]++
		}
	}
}

// checkNothingLeft checks that a ledger with nothing to do remembers nothing.
func (lf *life) checkNothingLeft() {
	s, l := lf.sim, lf.ledger
	var left []string
	note := func(what string, n int) {
		if n != 0 {
			left = append(left, fmt.Sprintf("%s %d", what, n))
		}
	}
	note("streams", len(l.streams))
	note("failing", len(l.failing))
	note("destinations", len(l.destinations)+len(l.out))
	note("held", len(l.held))
	note("ahead", len(l.ahead))
	note("reads", len(l.catchUp.reads))
	note("wanted", len(l.catchUp.queue))
	note("active", l.catchUp.active)
	note("batches", len(l.batches))
	note("window", l.window.len())
	note("window bytes", l.window.bytes)
	note("unsaved", l.unsaved)
	note("recordable", l.recordable)
	note("confirmations", len(l.saves.waiting))
	note("resolved", len(l.parked.events)-l.parked.open)
	note("redrives", len(l.redrive.jobs))
	note("rewind", count(l.rewind.on))
	note("paused", count(l.paused))
	note("waiters", len(l.waiters))
	note("flushes", len(l.flushes))
	note("commands", len(lf.commands))
	for i := range l.lanes {
		la := &l.lanes[i]
		// A list may still name a stream that needs nothing; it forgets it when it is next looked at.
		for la.again.next(l.now) != nil || la.fresh.next(l.now) != nil {
			note("ready", 1)
			break
		}
		note("fresh out", la.freshOut)
		note("again out", la.againOut)
	}
	if len(left) > 0 {
		s.failf("L%d is at rest, but remembers: %s", lf.no, strings.Join(left, ", "))
	}
}
