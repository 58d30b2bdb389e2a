package adopt

import (
	"context"
	"time"
)

// sweepRound is how many ids one round of looks takes from the sweep, at most.
const sweepRound = 512

// sweep is the slow look at all ids, for events that nobody has told of.
type sweep struct {
	ids   []string
	next  int       // of ids
	began time.Time // when the ids were listed
	// complete: one sweep has ended, so that what was there before the feed began is known.
	complete bool
	err      error // of the last attempt to list the ids
}

// take returns the ids that are due. Where a sweep begins, list is called, without the lock.
func (f *Feed) take(ctx context.Context, now time.Time) ([]string, error) {
	f.mu.Lock()
	s, x := &f.sweep, f.index
	due := s.began.IsZero() || (s.next == len(s.ids) && now.Sub(s.began) >= f.j.sweepInterval)
	f.mu.Unlock()
	if due {
		ids, err := f.j.list(ctx)
		f.mu.Lock()
		s.err = err
		f.mu.Unlock()
		if err != nil {
			return nil, err
		}
		f.mu.Lock()
		if f.index == x {
			s.ids, s.next, s.began = ids, 0, now
		}
		f.mu.Unlock()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	// Spread over the interval, but for the first one.
	through := len(s.ids)
	if s.complete {
		through = int(float64(len(s.ids)) * min(1, float64(now.Sub(s.began))/float64(f.j.sweepInterval)))
	}
	from := s.next
	s.next = max(from, min(through, from+sweepRound))
	return s.ids[from:s.next], nil
}

// untake gives back the last n ids that were taken.
func (f *Feed) untake(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sweep.next = max(0, f.sweep.next-n)
}

// swept notes that the looks at what was taken have ended. It reports whether the first sweep is under way, which is not
// spread over time.
func (f *Feed) swept() (more bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := &f.sweep
	if s.began.IsZero() {
		return false
	}
	if s.next == len(s.ids) {
		s.complete = true
	}
	return !s.complete
}
