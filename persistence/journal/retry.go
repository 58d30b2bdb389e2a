package journal

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	firstBackoff = 10 * time.Millisecond
	maxBackoff   = time.Second
)

// retry calls fn until it succeeds, fails for good, or the time is up. The context bounds one attempt, so that a
// connection that has died without a word is tried anew while there is time.
func (p *provider) retry(fn func(context.Context) error) error {
	var (
		start    = time.Now()
		deadline = start.Add(p.retryFor)
		backoff  = firstBackoff
	)
	for attempt := 1; ; attempt++ {
		err := p.attempt(deadline, fn)
		if err == nil || IsFinal(err) {
			return err
		}
		// Actors that the same outage has stopped should not all come back at the same moment.
		wait := backoff/2 + rand.N(backoff/2)
		if time.Until(deadline) <= wait {
			return fmt.Errorf("given up after %d attempts in %v: %w", attempt, time.Since(start).Round(time.Millisecond), err)
		}
		<-time.After(wait)
		backoff = min(2*backoff, maxBackoff)
	}
}

func (p *provider) attempt(deadline time.Time, fn func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), min(p.retryFor/3, time.Until(deadline)))
	defer cancel()
	return fn(ctx)
}
