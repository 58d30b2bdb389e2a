package adopt

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// errPanic says that the provider panicked.
var errPanic = errors.New("the provider panicked")

// idLocks keep calls of a provider for one persistence id apart. In the framework one actor calls for one id, so that a
// provider may well rely on it: the framework's own in-memory provider loses events otherwise.
type idLocks struct {
	mu  sync.Mutex
	all map[string]*idLock
}

type idLock struct {
	held  chan struct{}
	users int
	// stuck: whoever waited for the call under way has given up.
	stuck bool
}

// stuck reports whether a call for the id has not returned in time, and still has not.
func (l *idLocks) stuck(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all[id] != nil && l.all[id].stuck
}

// maxStuck is how many calls may hang before the provider itself counts as hanging.
const maxStuck = 64

func (l *idLocks) tooManyStuck() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, k := range l.all {
		if k.stuck {
			n++
		}
	}
	return n >= maxStuck
}

func (l *idLocks) giveUp(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k := l.all[id]; k != nil {
		k.stuck = true
	}
}

// lock waits for the id until ctx ends; release must follow.
func (l *idLocks) lock(ctx context.Context, id string) (release func(), err error) {
	l.mu.Lock()
	if l.all == nil {
		l.all = make(map[string]*idLock)
	}
	k := l.all[id]
	if k == nil {
		k = &idLock{held: make(chan struct{}, 1)}
		l.all[id] = k
	}
	k.users++
	l.mu.Unlock()

	leave := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if k.users--; k.users == 0 {
			delete(l.all, id)
		}
	}
	select {
	case k.held <- struct{}{}:
		return func() {
			l.mu.Lock()
			k.stuck = false
			l.mu.Unlock()
			<-k.held
			leave()
		}, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}

// call runs fn, which calls the provider for an id, in a goroutine of its own, and waits for it until ctx ends. Then fn
// goes on, if it has begun, and what it does may still take effect; the id stays locked until it returns. A panic of fn is
// an error.
func (j *Journal) call(ctx context.Context, id string, fn func() error) error {
	if err := j.usable(ctx); err != nil {
		return err
	}
	release, err := j.locks.lock(ctx, id)
	if err != nil {
		return fmt.Errorf("an earlier call of the provider for %q has not returned: %w", id, err)
	}
	if !j.calls.begin() {
		release()
		return errClosed
	}
	done := make(chan error, 1)
	go func() {
		defer j.calls.end()
		defer release()
		done <- guarded(fn)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		j.locks.giveUp(id)
		return fmt.Errorf("the provider has not answered for %q: %w", id, ctx.Err())
	}
}

// usable returns an error if the journal is closed, or the context has ended.
func (j *Journal) usable(ctx context.Context) error {
	if j.calls.isClosed() {
		return errClosed
	}
	return ctx.Err()
}

// calls are those of the provider that are under way, until the journal is closed.
type calls struct {
	mu     sync.Mutex
	count  int
	closed bool
	none   chan struct{} // set by close, closed when there is none any more
}

func (c *calls) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.count++
	}
	return !c.closed
}

func (c *calls) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count--; c.count == 0 && c.none != nil {
		close(c.none)
	}
}

func (c *calls) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// close returns how many calls have not ended in time.
func (c *calls) close(wait time.Duration) int {
	c.mu.Lock()
	c.closed = true
	if c.count == 0 {
		c.mu.Unlock()
		return 0
	}
	if c.none == nil {
		c.none = make(chan struct{})
	}
	c.mu.Unlock()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-c.none:
	case <-timer.C:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count
}

func guarded(fn func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			if cause, ok := v.(error); ok {
				err = fmt.Errorf("%w: %w", errPanic, cause)
				return
			}
			err = fmt.Errorf("%w: %v\n%s", errPanic, v, debug.Stack())
		}
	}()
	return fn()
}
