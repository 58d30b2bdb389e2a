package ledger

import (
	"slices"
	"time"
)

// simBatch is a batch on its way through a publisher. The publisher works for the life that dispatched it, but may go
// on after that life has ended.
type simBatch struct {
	life     *life
	id       uint64
	lane     int
	era      int
	redrive  bool // it carries a parked event
	events   []*simEvent
	deadline time.Duration
	results  []Result // as far as the sink was asked
	blocked  []string // ids of which an event was not delivered: nothing is sent past it
	dead     bool     // the publisher crashed: it delivers no more
	done     int      // so many events were tried
}

// publish lets a lane's publisher work on a batch.
func (lf *life) publish(b *simBatch) {
	s := lf.sim
	f := &s.faults
	calm := s.phase != turmoil
	latency := s.span(0, 30*time.Millisecond)
	if !calm && s.chance(f.answerSlow) {
		latency = s.span(s.cfg.PublishTimeout/2, 2*s.cfg.PublishTimeout)
	}
	// The batch reaches the sink in one or two parts, the second of which may come late.
	half := s.between(0, len(b.events))
	pause := s.span(0, latency)
	s.after(latency-pause, func() { b.deliver(half) })
	s.after(latency, func() {
		b.deliver(len(b.events))
		b.answer()
	})
	if !calm && s.chance(f.laneCrash) {
		s.after(s.span(0, latency), func() { lf.crashLane(b.lane) })
	}
}

// deliver brings the batch's events up to the n-th to the sink.
func (b *simBatch) deliver(n int) {
	if b.dead {
		return
	}
	for ; b.done < n; b.done++ {
		e := b.events[b.done]
		if slices.Contains(b.blocked, e.PersistenceID) {
			b.results = append(b.results, Result{Index: b.done, Outcome: Unknown, Err: "not tried"})
			continue
		}
		r, took := b.life.sim.offer(e)
		r.Index = b.done
		if took && b.era == b.life.sim.store.era {
			b.life.sim.sink.take(e, b.redrive)
		}
		if !took {
			b.blocked = append(b.blocked, e.PersistenceID)
		}
		b.results = append(b.results, r)
	}
}

// offer asks the sink to take an event: what the publisher learns, and whether the sink has it.
func (s *simulation) offer(e *simEvent) (r Result, took bool) {
	f := &s.faults
	if s.isDead(e) {
		s.stats[statDestinationDead]++
		return s.refusal(), false
	}
	if s.phase != healed && slices.Contains(f.stubborn, e.PersistenceID) {
		s.stats[statStubborn]++
		return s.refusal(), false
	}
	if s.phase != turmoil {
		return Result{Outcome: OK}, true
	}
	for _, o := range f.outages {
		if o.contains(s.now) {
			return s.refusal(), false
		}
	}
	switch {
	case f.destinations.isDown(s.destinationOf(e), s.now):
		return s.refusal(), false
	case s.now < f.sickUntil && slices.Contains(f.sick, e.PersistenceID):
		return s.refusal(), false
	case e.poison || s.chance(f.poison*f.flake):
		e.refused = true
		return Result{Outcome: Permanent, Err: "poison"}, false
	case s.chance(f.flake):
		if s.chance(0.3) {
			s.stats[statFlakeDelivered]++
			return Result{Outcome: Unknown, Err: "connection reset"}, true
		}
		return s.refusal(), false
	}
	return Result{Outcome: OK}, true
}

func (s *simulation) refusal() Result {
	if s.chance(0.3) {
		return Result{Outcome: Unknown, Err: "no answer from the sink"}
	}
	r := Result{Outcome: Retry, Err: "busy"}
	if s.chance(0.2) {
		s.stats[statRetryAfter]++
		r.RetryAfter = s.span(0, time.Second)
	}
	return r
}

// answer tells the outbox what became of the batch, in one of the ways that the protocol allows.
func (b *simBatch) answer() {
	s := b.life.sim
	f := &s.faults
	calm := s.phase != turmoil
	if b.dead {
		return
	}
	in := Published{Generation: b.life.generation, Batch: b.id}
	bad := slices.ContainsFunc(b.results, func(r Result) bool { return r.Outcome != OK })
	if bad && slices.ContainsFunc(b.results, func(r Result) bool { return r.Outcome == OK }) {
		s.stats[statMixedBatch]++
	}
	switch {
	case !calm && s.chance(f.answerUnknown):
		s.stats[statAnswerUnknown]++
		in.Err = "unexpected end of stream"
	case bad && s.chance(0.5): // whatever is not named is unknown
		for _, r := range b.results {
			if r.Outcome != Unknown {
				in.Results = append(in.Results, r)
			}
		}
	default: // whatever is not named is delivered
		in.Outcome = OK
		for _, r := range b.results {
			if r.Outcome != OK {
				in.Results = append(in.Results, r)
			}
		}
	}
	b.name(&in)
	if !calm && s.chance(f.answerLost) {
		s.stats[statAnswerLost]++
		return
	}
	b.life.process.published(in)
	if !calm && s.chance(f.answerTwice) {
		s.stats[statAnswerTwice]++
		s.after(s.span(0, time.Second), func() { b.life.process.published(in) })
	}
}

// crashLane ends a publisher. What it has not delivered by then is not delivered, or only later by what is left of it.
func (lf *life) crashLane(lane int) {
	s := lf.sim
	if lf.over || !lf.lanes[lane] {
		return
	}
	s.stats[statLaneDown]++
	lf.lanes[lane] = false
	for _, b := range lf.batches {
		if b.lane == lane && s.chance(0.7) {
			b.dead = true
		}
	}
	lf.step(LaneDown{Lane: lane})
	s.after(s.span(0, 3*time.Second), func() { lf.raiseLane(lane) })
}

func (lf *life) raiseLane(lane int) {
	if lf.over || lf.lanes[lane] {
		return
	}
	lf.lanes[lane] = true
	lf.step(LaneUp{Lane: lane})
}
