package publisher

import (
	"context"
	"fmt"
	"sync"
)

// Concurrent is like [Func], but delivers up to limit events at the same time, over all batches: the events of
// one id one after another, those of different ids concurrently. It suits a sink that takes one event per call
// and answers slowly. fn returns soon after its ctx has ended.
//
// A limit below 1 is a mistake in the program, and panics. Concurrent(limit, nil) is a nil Publisher.
func Concurrent(limit int, fn func(ctx context.Context, e Event) error) Publisher {
	if limit < 1 {
		panic(fmt.Sprintf("publisher.Concurrent: the limit is %d, it must be at least 1", limit))
	}
	if fn == nil {
		return nil
	}
	return &concurrent{fn: fn, slots: make(chan struct{}, limit)}
}

type concurrent struct {
	fn    func(ctx context.Context, e Event) error
	slots chan struct{}
}

func (p *concurrent) Publish(ctx context.Context, events []Event) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	b := &inFlightBatch{fn: p.fn, events: events}
	heads := b.link()
	var running sync.WaitGroup
	for _, head := range heads {
		select {
		case p.slots <- struct{}{}:
		case <-ctx.Done():
			b.skip(head, ctx.Err())
			continue
		}
		running.Go(func() {
			defer func() { <-p.slots }()
			guard(func() { b.deliver(ctx, head) }, func(crash *PanicError) {
				b.crashed(crash)
				cancel()
			})
		})
	}
	running.Wait()
	if b.crash != nil {
		// Here the publisher actor catches it; in the goroutine above it would have ended the process.
		panic(b.crash)
	}
	return b.result.OrNil()
}

// inFlightBatch is a batch whose ids are delivered concurrently.
type inFlightBatch struct {
	fn     func(ctx context.Context, e Event) error
	events []Event
	// next[i] is the position of the next event of the same id as event i; 0 if there is none.
	next []int

	mu     sync.Mutex
	result BatchError
	crash  *PanicError
}

// link chains the events of each id and returns the first of each.
func (b *inFlightBatch) link() (heads []int) {
	b.next = make([]int, len(b.events))
	last := make(map[string]int, len(b.events))
	for i := range b.events {
		id := b.events[i].PersistenceID
		if before, ok := last[id]; ok {
			b.next[before] = i
		} else {
			heads = append(heads, i)
		}
		last[id] = i
	}
	return heads
}

// deliver delivers one id's events, from the given one on, until one fails.
func (b *inFlightBatch) deliver(ctx context.Context, head int) {
	for i := head; ; i = b.next[i] {
		if err := ctx.Err(); err != nil {
			b.skip(i, err)
			return
		}
		if err := b.fn(ctx, b.events[i]); err != nil {
			b.add(failureOf(ctx, i, err))
			if b.next[i] != 0 {
				b.skip(b.next[i], errEarlierFailed)
			}
			return
		}
		if b.next[i] == 0 {
			return
		}
	}
}

// skip records one id's events, from the given one on, as not tried.
func (b *inFlightBatch) skip(from int, why error) {
	for i := from; ; i = b.next[i] {
		b.add(notTried(i, why))
		if b.next[i] == 0 {
			return
		}
	}
}

func (b *inFlightBatch) add(f Failure) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.result.Add(f)
}

func (b *inFlightBatch) crashed(p *PanicError) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.crash == nil {
		b.crash = p
	}
}
