package outbox

import "time"

// steadyClock passes as a clock does, but never goes back, whatever happens to the clock that it reads: a deadline must
// not be an hour further away because a machine's clock was set back by one.
type steadyClock struct {
	read      func() time.Time
	last, now time.Time
}

func (s *steadyClock) tell() time.Time {
	t := s.read()
	switch {
	case s.last.IsZero():
		s.now = t
	case t.After(s.last):
		s.now = s.now.Add(t.Sub(s.last))
	}
	s.last = t
	return s.now
}
