package adopt

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

const (
	// lookers is how many looks there are at a time.
	lookers = 16
	// patience is how long a reader of the feed waits for a round of looks. What comes later is told to those who have
	// subscribed: one id whose reads are slow must not make all others wait.
	patience = 100 * time.Millisecond
	// roundTime is how long a round begins looks: what is left is for the next one, beside what has become due meanwhile.
	roundTime = time.Second
	// maxRuns, and two for each id, bound what is known and not yet read.
	maxRuns = 1 << 18

	firstLookAgain = 10 * time.Millisecond
	lastLookAgain  = time.Second
)

var errHangs = errors.New("the provider hangs")

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

// discover looks for events, and waits for what is found, but not for long.
func (f *Feed) discover(ctx context.Context) error {
	if err := f.j.usable(ctx); err != nil {
		return err
	}
	ended := f.startRound(ctx)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-ended:
		return nil
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// discoverAll looks at every id to which an actor has written before the call; and, if nothing of this feed was ever saved,
// at all ids: the outbox may be about to begin at the end.
func (f *Feed) discoverAll(ctx context.Context) error {
	if err := f.j.usable(ctx); err != nil {
		return err
	}
	f.mu.Lock()
	behind := len(f.index.runs) > maxRuns+2*len(f.index.streams)
	earlier := f.round // it may have looked before the last event was written
	f.mu.Unlock()
	if behind {
		return errors.New("too much is known that was not read yet: the outbox is paused, or has to catch up first")
	}
	if err := await(ctx, earlier); err != nil {
		return err
	}
	for {
		if err := await(ctx, f.startRound(ctx)); err != nil {
			return err
		}
		f.mu.Lock()
		done, err := f.saved.index > 0 || f.sweep.complete, f.sweep.err
		slow := slices.Collect(maps.Values(f.looking))
		f.mu.Unlock()
		for _, ended := range slow {
			if err := await(ctx, ended); err != nil {
				return err
			}
		}
		if done || err != nil {
			return err
		}
	}
}

func await(ctx context.Context, ended <-chan struct{}) error {
	if ended == nil {
		return nil
	}
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("look for events: %w", ctx.Err())
	}
}

// startRound begins a round of looks, if none is under way. It ends whatever becomes of the caller.
func (f *Feed) startRound(ctx context.Context) (ended <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.round != nil {
		return f.round
	}
	done := make(chan struct{})
	f.round = done
	ctx = context.WithoutCancel(ctx)
	go func() {
		more := f.looks(ctx) && f.swept()
		f.mu.Lock()
		f.round = nil
		f.mu.Unlock()
		close(done)
		if more {
			f.j.subscribers.notify()
		}
	}()
	return done
}

// looks has all ids that are due looked at. It reports false if it could not.
func (f *Feed) looks(ctx context.Context) (ok bool) {
	if f.j.locks.tooManyStuck() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.sweep.err = errHangs // more calls would only hang too
		return false
	}
	began := time.Now()
	ids := f.due(began)
	dirty := len(ids)
	listing, cancel := context.WithTimeout(ctx, f.j.callTimeout)
	defer cancel()
	taken, err := f.take(listing, began)
	if err != nil {
		f.j.problems.found("", err)
	} else {
		f.j.problems.solved("")
	}
	ids = append(ids, taken...)

	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		next int
	)
	one := func() (id string, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		if next == len(ids) || time.Since(began) >= roundTime {
			return "", false
		}
		next++
		return ids[next-1], true
	}
	for range min(lookers, len(ids)) {
		wg.Go(func() {
			for id, ok := one(); ok; id, ok = one() {
				f.lookOrLeave(ctx, id)
			}
		})
	}
	wg.Wait()
	f.untake(len(ids) - max(next, dirty))
	return err == nil
}

// lookOrLeave looks at an id. It leaves a look that takes long to itself.
func (f *Feed) lookOrLeave(ctx context.Context, id string) {
	f.mu.Lock()
	if f.looking[id] != nil {
		f.mu.Unlock()
		return
	}
	ended := make(chan struct{})
	f.looking[id] = ended
	f.mu.Unlock()

	var left atomic.Bool
	go func() {
		found := f.look(ctx, id)
		f.mu.Lock()
		delete(f.looking, id)
		f.mu.Unlock()
		close(ended)
		if found && left.Load() {
			f.j.subscribers.notify()
		}
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
		left.Store(true)
		select {
		case <-ended: // at this very moment
			f.j.subscribers.notify()
		default:
		}
	}
}

// due returns the ids to which actors have written, and that are to be looked at now.
func (f *Feed) due(now time.Time) (ids []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, d := range f.dirty {
		if !now.Before(d.due) && f.looking[id] == nil {
			ids = append(ids, id)
		}
	}
	return ids
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
