package publisher

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"
)

// RateLimit lets at most perSecond events through each second, on average, and at most burst at once. It counts
// events, not calls, over all batches, and waits for as long as ctx lets it. Batches take turns, first come, first
// served. One that is larger than burst goes on in parts of that size; an id that fails in one has no part in those
// after. What ctx leaves no time for is not sent, and the answer says so: [ErrNotTried].
//
// A batch of n events takes up to n/perSecond seconds, so keep the outbox's batches well below perSecond times its
// publish timeout.
//
// One RateLimit may be put in front of several publishers, which then share the limit. A perSecond that is not
// positive, a burst below 1, and a burst that would take more than a year to refill are mistakes in the program, and
// panic.
func RateLimit(perSecond float64, burst int) Middleware {
	const year = 365 * 24 * 60 * 60
	switch {
	case !(perSecond > 0) || math.IsInf(perSecond, 1):
		panic(fmt.Sprintf("publisher.RateLimit: %v events per second: it must be a positive number", perSecond))
	case burst < 1:
		panic(fmt.Sprintf("publisher.RateLimit: the burst is %d, it must be at least 1", burst))
	case float64(burst)/perSecond > year:
		panic(fmt.Sprintf("publisher.RateLimit: a burst of %d events at %v per second takes more than a year to refill",
			burst, perSecond))
	}
	l := &limiter{turn: make(chan struct{}, 1), bucket: bucket{perSecond: perSecond, burst: burst}}
	return around(func(ctx context.Context, p Publisher, events []Event) error {
		limited := limitedPart{p, l}
		if len(events) <= burst {
			return limited.Publish(ctx, events)
		}
		return (&BatchError{deliverParts(ctx, limited, events, parts(len(events), burst))}).OrNil()
	})
}

// parts cuts the positions 0 to n-1 into parts of the given size; the last may be smaller.
func parts(n, size int) [][]int {
	positions := make([]int, n)
	for i := range positions {
		positions[i] = i
	}
	return slices.Collect(slices.Chunk(positions, size))
}

// limitedPart publishes what is not larger than a burst.
type limitedPart struct {
	inner   Publisher
	limiter *limiter
}

func (p limitedPart) Publish(ctx context.Context, events []Event) error {
	if err := p.limiter.wait(ctx, len(events)); err != nil {
		return &BatchError{repeat(notTried(0, err), len(events))}
	}
	return p.inner.Publish(ctx, events)
}

// limiter has callers wait for the bucket one after another. Nothing is taken before it is there, so whoever gives up
// waiting has nothing to give back.
type limiter struct {
	turn   chan struct{} // held by whoever waits for the bucket; the runtime queues senders in their order
	bucket bucket
}

func (l *limiter) wait(ctx context.Context, n int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-l.turn }()
	for {
		wait := l.bucket.take(time.Now(), n)
		if wait <= 0 {
			return nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// bucket holds up to burst events' worth, and refills at perSecond. It has no clock.
type bucket struct {
	perSecond float64
	burst     int
	full      time.Time // when it is, or was, full
}

// take takes n, at most burst, and returns 0; or it takes nothing and returns how long to wait before n are there.
func (b *bucket) take(now time.Time, n int) time.Duration {
	// It holds n as soon as the rest, burst - n, is all that is missing from full.
	there := b.full.Add(-time.Duration(b.nanoseconds(b.burst - n)))
	if wait := there.Sub(now); wait > 0 {
		return wait
	}
	if b.full.Before(now) {
		b.full = now
	}
	b.full = b.full.Add(time.Duration(math.Ceil(b.nanoseconds(n))))
	return 0
}

// nanoseconds returns the time in which n events flow in.
func (b *bucket) nanoseconds(n int) float64 { return float64(n) / b.perSecond * float64(time.Second) }
