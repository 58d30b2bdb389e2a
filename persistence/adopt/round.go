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
)

var errHangs = errors.New("the provider hangs")

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
