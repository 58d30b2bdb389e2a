package adopt

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

const (
	firstLookAgain = 10 * time.Millisecond
	lastLookAgain  = time.Second
)

// dirt says that an actor has persisted something under an id, and that no read has shown it yet.
type dirt struct {
	through int64 // sequence number, as the actor has counted
	since   time.Time
	due     time.Time
	looks   int
	marks   int
}

// mark is called after an actor has persisted an event.
func (f *Feed) mark(id string, seq int64, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.dirty[id]
	if d == nil {
		d = &dirt{since: now}
		f.dirty[id] = d
	}
	d.through, d.due, d.looks = max(d.through, seq), now, 0
	d.marks++
}

// look looks at one id, and gives offsets to what it finds.
func (f *Feed) look(ctx context.Context, id string) (found bool) {
	switch {
	case reserved(id):
		return false // ours, where the application lists all that there is
	case query.ValidateID(id) != nil:
		f.j.problems.found(id, fmt.Errorf("%w: %w", ErrNotPublishable, query.ValidateID(id)))
		return false
	case f.j.locks.stuck(id):
		f.putOff(id) // it is known to be a problem
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, f.j.callTimeout)
	defer cancel()
	found, err := f.confirm(ctx, id)
	if err != nil && !errors.Is(err, query.ErrClosed) {
		f.j.problems.found(id, err)
		f.putOff(id)
	}
	return found
}

// confirm reads what has come to an id, and gives offsets to it.
func (f *Feed) confirm(ctx context.Context, id string) (found bool, err error) {
	var answer bool
	err = f.j.call(ctx, id, func() error {
		f.mu.Lock()
		x := f.index
		var k known
		if s := x.streams[id]; s != nil {
			k = known{s.last, s.check}
		}
		marks := 0
		if d := f.dirty[id]; d != nil {
			marks = d.marks
		}
		f.mu.Unlock()

		n := f.j.look(id, k)

		f.mu.Lock()
		defer f.mu.Unlock()
		if f.index != x {
			return n.err // it has begun anew meanwhile
		}
		if len(n.events) > 0 {
			answer = true
			s := x.stream(id)
			x.discover(s, n.through, checkOf(&n.events[len(n.events)-1]))
			f.bytes += s.recent.keep(n.events, recentBytes-f.bytes)
		}
		if s := x.streams[id]; s != nil && n.aligned {
			s.aligned = max(s.aligned, k.last)
		}
		f.shown(id, marks, n.err)
		return n.err
	})
	if err != nil {
		return false, err
	}
	return answer, nil
}

// shown compares what a look has shown with what actors have persisted. The caller has the lock.
func (f *Feed) shown(id string, marks int, err error) {
	if err != nil {
		return
	}
	var last int64
	s := f.index.streams[id]
	if s != nil {
		last = s.last
	}
	if s != nil && s.missed > 0 && last >= s.missed {
		s.missed, s.lag = 0, 0
	}
	d := f.dirty[id]
	switch {
	case d == nil:
	case last >= d.through-f.lag(s):
		delete(f.dirty, id)
	case d.marks != marks:
		d.due = time.Now() // written to since the look began
	case time.Since(d.since) >= f.j.confirmWithin:
		delete(f.dirty, id)
		s = f.index.stream(id)
		s.missed, s.lag = d.through, d.through-last
		f.j.problems.found(id, fmt.Errorf("%w: event %d of %q was persisted %v ago, and the provider shows %d",
			ErrNotFound, d.through, id, time.Since(d.since).Round(time.Millisecond), last))
	default:
		d.putOff()
	}
	if s == nil || s.missed == 0 {
		f.j.problems.solved(id)
	}
}

func (f *Feed) lag(s *stream) int64 {
	if s == nil {
		return 0
	}
	return s.lag
}

func (f *Feed) putOff(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if d := f.dirty[id]; d != nil {
		d.putOff()
	}
}

func (d *dirt) putOff() {
	d.due = time.Now().Add(min(firstLookAgain<<min(d.looks, 10), lastLookAgain))
	d.looks++
}
