package outbox

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// background runs what may block off the actor's mailbox, and ends with the actor's instance.
type background struct {
	cancel  context.CancelFunc
	scope   context.Context //nolint:containedctx // it is the instance's lifetime, ended in Stopping and Restarting
	running sync.WaitGroup
	count   atomic.Int32
}

func newBackground() *background {
	scope, cancel := context.WithCancel(context.Background())
	return &background{scope: scope, cancel: cancel}
}

// run calls fn in a goroutine, with a context that ends after the timeout or with the instance. A panic in fn, which
// is the application's journal, is an error like any other. An error that comes after the end interests nobody.
func (b *background) run(timeout time.Duration, fn func(context.Context) error, failed func(error)) {
	b.loop(func() {
		if err := within(b.scope, timeout, fn); err != nil && b.scope.Err() == nil {
			failed(err)
		}
	})
}

// loop calls fn in a goroutine. It must not panic, and has to return soon when the scope ends.
func (b *background) loop(fn func()) {
	b.count.Add(1)
	b.running.Go(func() {
		defer b.count.Add(-1)
		fn()
	})
}

// within calls fn with a context that ends after the timeout, and returns a panic as an error.
func within(ctx context.Context, timeout time.Duration, fn func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return guarded(ctx, fn)
}

func guarded(ctx context.Context, fn func(context.Context) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return fn(ctx)
}

// end cancels everything and waits for it, but not for long; it returns the number of calls that have not returned.
func (b *background) end(wait time.Duration) int {
	b.cancel()
	done := make(chan struct{})
	go func() {
		b.running.Wait()
		close(done)
	}()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-done:
		return 0
	case <-timer.C:
		return int(b.count.Load())
	}
}
