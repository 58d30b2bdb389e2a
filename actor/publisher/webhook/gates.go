package webhook

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
)

// forgetAfter is how long a destination that nobody uses is remembered as one that did not answer.
const forgetAfter = 10 * time.Minute

// minSweep is the number of destinations below which it is not worth looking for those to forget.
const minSweep = 64

// gates let requests pass: so many in all, so many to one destination, and to one that is down a probe at a time. They
// keep a destination while it is in use or in trouble, and forget the others at once.
type gates struct {
	all    chan struct{} // a place for each request
	probes chan struct{} // those that probes may take of them: many dead destinations must not take all
	each   int           // places of one destination

	mu      sync.Mutex
	byName  map[string]*gate
	sweepAt int // the number of gates at which those to forget are looked for
}

// gate is one destination's. Its fields but the channels are guarded by gates.mu.
type gate struct {
	name    string
	places  chan struct{}
	users   int // requests that wait or have passed
	breaker breaker
	opened  chan struct{} // closed while the breaker is open
	last    error         // why there was no answer
	// withheld places belong to requests that were not answered. The next ones of the destination would do no better
	// than those that are still on their way: let these tell first.
	withheld int
}

func newGates(all, each int) *gates {
	return &gates{
		all: make(chan struct{}, all), probes: make(chan struct{}, max(all/4, 1)), each: each,
		byName: map[string]*gate{}, sweepAt: minSweep,
	}
}

// conclusion is what the end of a request tells about its destination.
type conclusion int

const (
	tellsNothing conclusion = iota
	hasAnswered
	hasNotAnswered
	isNone // the application has no such destination any more: nothing is sent, and nobody has to wait
)

// pass is the right to make one request, from enter until leave.
type pass struct {
	gate     *gate
	probe    bool
	patience time.Duration // of a probe; 0 for any other
	placed   bool          // it has one of its destination's places, or of those for probes
	// opened is the gate's at the time; nil for a probe, which does not mind.
	opened <-chan struct{}
}

// enter waits for a place. It fails at once if the destination is down, also for those who wait when that is noticed.
// After an error there is nothing to leave.
func (g *gates) enter(ctx context.Context, name string) (*pass, error) {
	p, err := g.join(name)
	if err != nil {
		return nil, err
	}
	// A slow destination's requests wait for each other, and not in the way of others. A probe does not wait for those
	// that still hang.
	if p.probe {
		select {
		case g.probes <- struct{}{}:
		default: // enough others are being probed
			err = g.isDown(p.gate)
		}
	} else {
		err = g.take(ctx, p, p.gate.places)
	}
	if err == nil {
		p.placed = true
		err = g.take(ctx, p, g.all)
	}
	if err != nil {
		g.conclude(p, tellsNothing, nil)
		return nil, err
	}
	return p, nil
}

// leave gives the place back. The error says why there was no answer.
func (g *gates) leave(p *pass, c conclusion, err error) {
	<-g.all
	g.conclude(p, c, err)
}

// join counts a request among the users of its gate, unless the breaker holds it back.
func (g *gates) join(name string) (*pass, error) {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	one := g.byName[name]
	if one == nil {
		g.sweep(now)
		one = &gate{name: name, places: make(chan struct{}, g.each), opened: make(chan struct{})}
		g.byName[name] = one
	}
	r := one.breaker.admit(now)
	if !r.pass {
		return nil, one.down(r.wait)
	}
	one.users++
	p := &pass{gate: one, probe: r.probe, patience: r.wait}
	if !p.probe {
		p.opened = one.opened
	}
	return p, nil
}

// take waits for a place.
func (g *gates) take(ctx context.Context, p *pass, places chan struct{}) error {
	select {
	case places <- struct{}{}:
		return nil
	case <-p.opened:
		return g.isDown(p.gate)
	case <-ctx.Done():
		return publisher.Unknown(fmt.Errorf("%w: %w", publisher.ErrNotTried, ctx.Err()))
	}
}

// conclude tells the breaker, gives back the place that is not one of all, and forgets a gate that nobody needs.
func (g *gates) conclude(p *pass, c conclusion, err error) {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	one := p.gate
	was := one.breaker.open()
	switch c {
	case hasAnswered, isNone:
		one.breaker.answered()
		one.last = nil
	case hasNotAnswered:
		one.breaker.unanswered(now, p.probe)
		one.last = err
	default:
		one.breaker.withdrawn(p.probe)
	}
	switch is := one.breaker.open(); {
	case is && !was:
		close(one.opened)
	case was && !is:
		one.opened = make(chan struct{})
	}
	if p.placed && p.probe {
		<-g.probes
	} else if p.placed {
		one.release(c)
	}
	if one.users--; one.users == 0 && one.breaker.misses == 0 {
		delete(g.byName, one.name)
	}
}

// release gives a place back, or withholds it.
func (one *gate) release(c conclusion) {
	others := len(one.places) - one.withheld - 1 // on their way, or about to be
	if c == hasNotAnswered && others > 0 && !one.breaker.open() {
		one.withheld++
		return
	}
	<-one.places
	if c == hasAnswered || others == 0 || one.breaker.open() {
		for ; one.withheld > 0; one.withheld-- {
			<-one.places
		}
	}
}

// sweep forgets destinations that did not answer, and that nobody has used since, for long. It looks at all of them only
// once their number has doubled.
func (g *gates) sweep(now time.Time) {
	if len(g.byName) < g.sweepAt {
		return
	}
	for name, one := range g.byName {
		if one.users == 0 && now.Sub(one.breaker.missed) >= forgetAfter {
			delete(g.byName, name)
		}
	}
	g.sweepAt = max(2*len(g.byName), minSweep)
}

func (g *gates) isDown(one *gate) error {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	return one.down(max(one.breaker.until.Sub(now), probeWait))
}

// down is what a request to a destination that is down fails with. Nothing was sent.
func (one *gate) down(wait time.Duration) error {
	err := fmt.Errorf("destination %q has not answered %d times in a row, and is asked again in %v",
		one.name, one.breaker.misses, wait.Round(time.Millisecond))
	if one.last != nil {
		err = fmt.Errorf("%w: %w", err, one.last)
	}
	return publisher.RetryAfter(err, wait)
}
