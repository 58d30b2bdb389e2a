package ledger

import (
	"slices"
	"time"
)

// deadDestination takes nothing until everything is healed.
const deadDestination = "dead"

// destinationFaults are a seed's destinations, if its publisher names any, and what happens to them.
type destinationFaults struct {
	names []string // those of the ids that do not go to the dead one; "" is one that is not named
	// wandering: the events of one id go to several.
	wandering bool
	dead      []string // ids that go to deadDestination
	down      []destinationDown
	// untold: the answer to a batch does not name any. onlyFailures: it names those of failures alone.
	untold, onlyFailures float64
}

type destinationDown struct {
	name string
	span
}

func (s *simulation) drawDestinations(f *faults) destinationFaults {
	if s.chance(0.4) {
		return destinationFaults{} // most publishers have one
	}
	d := destinationFaults{
		names:     []string{"north", "south", "west", ""}[:s.between(1, 4)],
		wandering: s.chance(0.3), untold: s.maybe(0.3), onlyFailures: s.maybe(0.5),
	}
	if s.chance(0.7) {
		for range min(f.ids, s.cfg.MaxHeld-1) - len(f.stubborn) { // one more would stop the reading, by design
			if id := idName(s.rng.IntN(f.ids)); !slices.Contains(d.dead, id) && !slices.Contains(f.stubborn, id) {
				d.dead = append(d.dead, id)
			}
		}
	}
	for range s.few(4) {
		from := s.span(0, f.length)
		d.down = append(d.down, destinationDown{d.names[s.rng.IntN(len(d.names))], span{from, from + s.span(time.Second, 10*time.Second)}})
	}
	return d
}

// destinationOf is where an event goes.
func (s *simulation) destinationOf(e *simEvent) string {
	d := &s.faults.destinations
	switch {
	case len(d.names) == 0:
		return ""
	case slices.Contains(d.dead, e.PersistenceID):
		return deadDestination
	}
	n := int(e.Slice)
	if d.wandering {
		n += int(e.SequenceNumber) / 2
	}
	return d.names[n%len(d.names)]
}

// isDead reports whether the event goes where nothing is taken.
func (s *simulation) isDead(e *simEvent) bool {
	return s.phase != healed && s.destinationOf(e) == deadDestination
}

func (d *destinationFaults) isDown(name string, now time.Duration) bool {
	return slices.ContainsFunc(d.down, func(down destinationDown) bool { return down.name == name && down.contains(now) })
}

// name has an answer say where the events were to go, in one of the ways that the protocol allows.
func (b *simBatch) name(in *Published) {
	s := b.life.sim
	d := &s.faults.destinations
	switch {
	case len(d.names) == 0, s.phase == turmoil && s.chance(d.untold):
	case s.chance(d.onlyFailures):
		for i := range in.Results {
			if r := &in.Results[i]; r.Outcome != OK {
				r.Destination = s.destinationOf(b.events[r.Index])
			}
		}
	default:
		for _, e := range b.events {
			in.Destinations = append(in.Destinations, s.destinationOf(e))
		}
	}
}

// checkGivenUp checks that the failures of an event of a dead destination were not held against it: nothing was ever
// delivered there. That does not go for what a ledger was told without a name.
func (lf *life) checkGivenUp(e *simEvent) {
	s := lf.sim
	if s.destinationOf(e) == deadDestination && !e.refused && e.unnamed < s.cfg.MaxAttempts {
		s.failf("L%d gives up on %s although nothing at all gets through where it goes", lf.no, e.ID())
	}
}

// checkDestinations checks the lists of those who wait, and notes states that the effects do not show.
func (lf *life) checkDestinations() {
	s, l := lf.sim, lf.ledger
	waiting, out := 0, 0
	for name, d := range l.destinations {
		waiting += len(d.waiting)
		out += count(d.out)
		if d.name != name || len(d.waiting) == 0 || slices.Contains(l.out, d) != d.out || (d.probe != nil && !d.out) {
			s.failf("L%d: destination %q is inconsistent: %+v", lf.no, name, d)
		}
	}
	for _, st := range l.streams {
		if st.dest != nil {
			waiting--
			if !slices.Contains(st.dest.waiting, st) || (st.waits() && !st.failing && st.sent == 0) {
				s.failf("L%d: %s has failed at %q, but does not wait there", lf.no, st.id, st.dest.name)
			}
		}
		s.stats[statDestinationTriedAside] += count(st.waits() && st.attempts == 0)
		if st.waits() && st.active && !st.probes() && st.reading == 0 && st.sent == 0 {
			s.failf("L%d: %s waits for %q and takes a place of those that catch up", lf.no, st.id, st.dest.name)
		}
	}
	if waiting != 0 || out != len(l.out) {
		s.failf("L%d: %d more ids wait than there are, and %d destinations of %d are out", lf.no, waiting, out, len(l.out))
	}
	s.stats[statDestinationsOut] += count(out > 1)
	s.stats[statDestinationOutInOutage] += count(out > 0 && l.outage.on)
	s.stats[statDestinationHeldFull] += count(out > 0 && len(l.held) == s.cfg.MaxHeld)
}

// countDestination notes what an effect has to do with a destination that is out.
func (lf *life) countDestination(effect Effect) {
	s, l := lf.sim, lf.ledger
	id := ""
	switch e := effect.(type) {
	case Dispatch:
		id = e.Events[0].PersistenceID
	case ReadStream:
		id = e.PersistenceID
	}
	st := l.streams[id]
	if st == nil || !st.waits() {
		return
	}
	if _, sent := effect.(Dispatch); sent {
		s.stats[statDestinationProbed]++
	} else {
		s.stats[statDestinationProbeRead]++
	}
}
