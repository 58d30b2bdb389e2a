package testkit

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// DefaultTimeout is how long this package waits for something where it is told 0. A wait that succeeds is shorter;
// it is so long because a busy machine should not fail a test.
const DefaultTimeout = 5 * time.Second

// pollInterval is how often AwaitCondition looks.
const pollInterval = 2 * time.Millisecond

// AwaitCondition evaluates condition until it is true, and returns nil; or until the timeout has passed or ctx has
// ended, and returns an error. A timeout of 0 means [DefaultTimeout]. A message replaces the error's text.
//
// condition is called from the caller's goroutine, at least once, every few milliseconds.
func AwaitCondition(ctx context.Context, condition func() bool, timeout time.Duration, message ...string) error {
	timeout = orDefault(timeout)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for !condition() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			switch {
			case len(message) > 0:
				return errors.New(message[0])
			case errors.Is(ctx.Err(), context.Canceled):
				return fmt.Errorf("waiting for a condition: %w", ctx.Err())
			default:
				return fmt.Errorf("the condition was not met within %v", timeout)
			}
		}
	}
	return nil
}

func orDefault(timeout time.Duration) time.Duration {
	if timeout <= 0 {
		return DefaultTimeout
	}
	return timeout
}
