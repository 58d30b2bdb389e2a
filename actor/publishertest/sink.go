package publishertest

import (
	"bytes"
	"context"
	"maps"
	"sync"
	"time"
)

// Delivery is an event as it reached the sink. Fields that the publisher does not carry are empty.
type Delivery struct {
	// ID is what publisher.Event.ID has returned, in whatever way it was carried.
	ID          string
	Type        string
	ContentType string
	Data        []byte
	Metadata    map[string]string
}

// Answer is what the far end says about a delivery.
type Answer int

const (
	// Accept says that the sink has the event.
	Accept Answer = iota + 1
	// Reject says that the sink will never take the event.
	Reject
	// Busy says that the sink does not take the event now.
	Busy
	// Silence says nothing: the connection breaks, or no acknowledgement comes. Whether the sink has the event cannot be
	// told from it.
	Silence
)

// Sink is the far end of a publisher under test. It belongs to one case. It is safe for concurrent use.
type Sink struct {
	over chan struct{} // closed when the case is over
	gate chan struct{} // lets one delivery go on that is held

	mu       sync.Mutex
	changed  chan struct{} // closed at each change, and replaced
	plans    map[string]plan
	log      []attempt
	byID     map[string][]int // positions in log
	inFlight int
	most     int // that inFlight has been
}

// plan is what happens to the next delivery of an event.
type plan int

const (
	accept plan = iota
	reject      // each time
	busy        // once, as are those below
	lose        // takes the event and is silent
	hang        // is silent once the publisher gives up
	hold        // accepts when the gate lets it
)

func (p plan) String() string {
	return [...]string{"was accepted", "was rejected", "met a busy sink", "was taken, but the answer lost", "hung", "was held"}[p]
}

// attempt is one delivery that reached the sink.
type attempt struct {
	Delivery
	plan  plan
	taken bool // the sink has it
}

func newSink() *Sink {
	return &Sink{
		over:    make(chan struct{}),
		gate:    make(chan struct{}),
		changed: make(chan struct{}),
		plans:   map[string]plan{},
		byID:    map[string][]int{},
	}
}

// Take is called for every event that arrives, in its order of arrival, and says what to answer. It copies what it is
// given. It may block for as long as the case wants the sink to hang, at most until ctx ends, which should be when the
// publisher has gone: the context of an HTTP request, for example. A harness in which arrival and acknowledgement are
// apart, as with a broker's subscriber, ignores what Take returns and states that its sink cannot give such answers.
func (s *Sink) Take(ctx context.Context, d Delivery) Answer {
	d.Data, d.Metadata = bytes.Clone(d.Data), maps.Clone(d.Metadata)
	p, at := s.arrive(d)
	defer s.leave()
	switch p {
	case reject:
		return Reject
	case busy:
		return Busy
	case lose:
		return Silence
	case hang:
		select {
		case <-ctx.Done():
		case <-s.over:
		}
		return Silence
	case hold:
		select {
		case <-s.gate:
		case <-s.over:
		case <-ctx.Done():
			return Silence
		}
		s.take(at)
	}
	return Accept
}

func (s *Sink) arrive(d Delivery) (p plan, at int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p = s.plans[d.ID]
	if p != reject {
		delete(s.plans, d.ID)
	}
	s.byID[d.ID] = append(s.byID[d.ID], len(s.log))
	s.log = append(s.log, attempt{Delivery: d, plan: p, taken: p == accept || p == lose})
	s.inFlight++
	s.most = max(s.most, s.inFlight)
	s.announce()
	return p, len(s.log) - 1
}

func (s *Sink) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight--
	s.announce()
}

func (s *Sink) take(at int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log[at].taken = true
	s.announce()
}

// announce is called with mu held.
func (s *Sink) announce() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// plan says what happens to the next delivery of an event, by its ID.
func (s *Sink) plan(id string, p plan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plans[id] = p
}

// attempts returns what has reached the sink, without the first skip of it.
func (s *Sink) attempts(skip int) []attempt {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]attempt(nil), s.log[skip:]...)
}

// arrived returns the number of deliveries that have reached the sink.
func (s *Sink) arrived() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.log)
}

// taken returns the deliveries of an event that the sink has.
func (s *Sink) taken(id string) []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Delivery
	for _, at := range s.byID[id] {
		if s.log[at].taken {
			all = append(all, s.log[at].Delivery)
		}
	}
	return all
}

// has reports whether a delivery of the event has reached the sink, whatever became of it.
func (s *Sink) has(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.byID[id]) > 0
}

// load returns how many deliveries are at the sink now, and the most that have been at the same time.
func (s *Sink) load() (now, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inFlight, s.most
}

// await waits until the condition holds, and reports whether it does.
func (s *Sink) await(atMost time.Duration, condition func() bool) bool {
	timeout := time.NewTimer(atMost)
	defer timeout.Stop()
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if condition() {
			return true
		}
		select {
		case <-changed:
		case <-timeout.C:
			return condition()
		}
	}
}
