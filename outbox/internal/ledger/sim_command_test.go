package ledger

import (
	"errors"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// simCommand is a command that waits for its reply.
type simCommand struct {
	kind  commandKind
	event *simEvent
	upTo  query.Offset
	keys  []eventKey // that a redrive is about
}

type commandKind uint8

const (
	commandAwait commandKind = iota
	commandFlush
	commandDrain
	commandSkip
	commandRetry
	commandRedrive
	commandRewind
	commandPause
	commandResume
)

// command gives some life one.
func (s *simulation) command() {
	lf := s.someLife()
	if lf == nil || len(s.journal.events) == 0 {
		return
	}
	s.tokens++
	token := s.tokens
	if e := s.journal.events[s.rng.IntN(len(s.journal.events))]; s.chance(0.6) && e.matches {
		lf.commands[token] = &simCommand{kind: commandAwait, event: e}
		lf.step(AwaitSettled{Token: token, PersistenceID: e.PersistenceID, SequenceNumber: e.SequenceNumber, Offset: e.Offset})
	} else {
		lf.commands[token] = &simCommand{kind: commandFlush, upTo: s.journal.head}
		lf.step(Flush{Token: token, Offset: s.journal.head})
	}
	if s.chance(0.1) {
		s.after(s.span(0, time.Second), func() {
			if lf.over || lf.commands[token] == nil {
				return
			}
			s.stats[statCancelled]++
			delete(lf.commands, token)
			lf.step(Cancel{Token: token})
		})
	}
}

func (s *simulation) drain() {
	lf := s.someLife()
	if lf == nil {
		return
	}
	s.tokens++
	lf.commands[s.tokens] = &simCommand{kind: commandDrain}
	lf.draining = true
	lf.step(Drain{Token: s.tokens, Deadline: at(s.now + s.span(0, 5*time.Second))})
}

// give has a life take a command and remembers it until it is answered.
func (lf *life) give(c simCommand, command func(token uint64) Input) {
	lf.sim.tokens++
	token := lf.sim.tokens
	lf.commands[token] = &c
	lf.step(command(token))
}

// operate has an operator do something to some life, often at the wrong moment.
func (s *simulation) operate() {
	lf := s.someLife()
	if lf == nil || !lf.recovered || len(s.journal.events) == 0 {
		return
	}
	e := s.journal.events[s.rng.IntN(len(s.journal.events))]
	id, seq := e.PersistenceID, e.SequenceNumber
	l := lf.ledger
	switch s.rng.IntN(7) {
	case 0:
		if n := len(l.failing); n > 0 && s.chance(0.5) { // often in the window
			st := l.failing[s.rng.IntN(n)]
			id, seq = st.id, st.front()
		} else if n := len(l.held); n > 0 && s.chance(0.8) {
			st := l.held[s.rng.IntN(n)]
			id, seq = st.id, st.next
		}
		lf.skip(id, seq)
	case 1:
		if n := len(l.parked.events); n > 0 {
			p := l.parked.events[s.rng.IntN(n)]
			id, seq = p.PersistenceID, p.SequenceNumber
		}
		lf.skip(id, seq)
	case 2:
		if s.chance(0.5) {
			id = ""
		}
		lf.give(simCommand{kind: commandRetry}, func(token uint64) Input { return RetryNow{Token: token, PersistenceID: id} })
	case 3:
		lf.redrive(id, seq)
	case 4:
		to := query.Offset(s.rng.Int64N(int64(s.journal.head) + 1))
		if w := l.window.watermark; w > 0 && s.chance(0.8) {
			to = query.Offset(s.rng.Int64N(int64(w)))
		}
		if s.faults.rewinds == 0 {
			return
		}
		s.faults.rewinds--
		lf.rewinds[to] = true
		lf.give(simCommand{kind: commandRewind, upTo: to}, func(token uint64) Input { return Rewind{Token: token, To: to} })
	case 5:
		lf.give(simCommand{kind: commandPause}, func(token uint64) Input { return Pause{Token: token} })
		s.after(s.span(0, 2*time.Second), s.resume)
	default:
		s.resume()
	}
}

func (lf *life) skip(id string, seq int64) {
	lf.skips[eventKey{id, seq}] = true
	e := lf.sim.journal.at(id, seq)
	var offset query.Offset
	if e != nil && !e.trimmed {
		offset = e.Offset
	}
	lf.give(simCommand{kind: commandSkip, event: e}, func(token uint64) Input {
		return Skip{Token: token, PersistenceID: id, SequenceNumber: seq, Offset: offset}
	})
}

// redrive sends one event once more, those of an id, or all.
func (lf *life) redrive(id string, seq int64) {
	s := lf.sim
	switch s.rng.IntN(3) {
	case 0:
		seq = 0
	case 1:
		id, seq = "", 0
	}
	keys := lf.ledger.parked.unresolved(id, seq)
	for _, k := range keys {
		lf.redrives[k] = true
	}
	lf.give(simCommand{kind: commandRedrive, keys: keys}, func(token uint64) Input {
		return Redrive{Token: token, PersistenceID: id, SequenceNumber: seq}
	})
}

func (s *simulation) resume() {
	if lf := s.owner(); lf != nil && !lf.over {
		lf.give(simCommand{kind: commandResume}, func(token uint64) Input { return Resume{Token: token} })
	}
}

// look after what waits for an operator, as long as the run goes on.
func (s *simulation) attend() {
	s.after(300*time.Millisecond, func() {
		if lf := s.owner(); lf != nil && !lf.over {
			if lf.ledger.paused {
				s.resume()
			}
			if !lf.over && len(lf.ledger.stuck()) > 0 {
				lf.give(simCommand{kind: commandRetry}, func(token uint64) Input { return RetryNow{Token: token} })
			}
			if !lf.over && s.phase == calm && lf.ledger.parked.open > 0 && s.chance(0.3) {
				lf.redrive("", 0)
			}
		}
		s.attend()
	})
}

// checkOperated checks what an operator is told.
func (lf *life) checkOperated(c *simCommand, e Reply) {
	s := lf.sim
	if errors.Is(e.Err, ErrConflict) {
		s.stats[statConflict]++
		return
	}
	if e.Err != nil && !errors.Is(e.Err, ErrNotRedriven) {
		return // it stopped
	}
	switch c.kind {
	case commandSkip:
		s.stats[statSkippedByOperator]++
		if !lf.known.records(c.event) {
			s.failf("L%d says that %s is skipped, but the saved snapshot does not", lf.no, c.event.ID())
		}
	case commandRetry:
		s.stats[statRetryNow]++
	case commandRedrive:
		s.stats[statRedrive]++
		if e.Err != nil {
			s.stats[statRedriveFailed]++
		}
		delivered := 0
		for _, k := range c.keys {
			delivered += count(s.journal.event(k.id, k.seq).everAcked)
		}
		if e.Count > delivered || (e.Err == nil && e.Count != len(c.keys) && delivered < len(c.keys) && !lf.someSkipped(c.keys)) {
			s.failf("L%d says that %d of %d parked events were published, there are %d (%v)", lf.no, e.Count, len(c.keys), delivered, e.Err)
		}
	case commandRewind:
		s.stats[statRewound]++
		if lf.known.Rewinds != lf.ledger.rewinds || s.store.view.Rewinds < lf.known.Rewinds && lf.epoch == s.store.epoch {
			s.failf("L%d says that it is rewound, but that is not saved", lf.no)
		}
	case commandPause, commandResume:
		s.stats[statPausedOrResumed]++
	}
}

func (lf *life) someSkipped(keys []eventKey) bool {
	for _, k := range keys {
		if lf.skips[k] || lf.sim.journal.event(k.id, k.seq).skipped { // a rewind since has forgotten the second
			return true
		}
	}
	return false
}
