package main

import (
	"context"
	"fmt"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// pageEvents is how many events the floors read at a time: as many as the outbox does.
const pageEvents = 1024

// drainMemory measures the outbox itself: neither the journal nor the publisher takes any time to speak of.
func drainMemory(ctx context.Context, b *bench) error {
	s := shape{ids: 1000, events: b.scaled(1_000_000, 1000), size: 256}
	j, err := s.inMemory(ctx)
	if err != nil {
		return err
	}
	speeds, err := compare(b.rounds(),
		contender{s.events, func(round int) error { return b.world.drain(ctx, fmt.Sprintf("drain-%d", round), j, noop{}) }},
		contender{s.events, func(round int) error { return memoryFloor(ctx, fmt.Sprintf("floor-%d", round), j) }},
	)
	if err != nil {
		return err
	}
	ours, floor := speeds[0], speeds[1]
	b.line("drain-memory", "events", s.events, "ids", s.ids, "bytes", s.size, "per_s", ours.median(),
		"floor_per_s", floor.median(), "ratio", ours.over(floor).median())
	b.claim(atLeast("drain-memory: events/s", "/s", 750_000, 1_500_000), ours.median())
	return nil
}

// memoryFloor publishes everything in pages, and saves an offset after each.
func memoryFloor(ctx context.Context, key string, j *memory.Journal) error {
	saved, err := j.Acquire(ctx, key, 0, 0)
	if err != nil {
		return err
	}
	for more, after := true, query.Offset(0); more; {
		page, err := j.Events(ctx, after, query.Filter{}, query.Limits{Events: pageEvents})
		if err != nil {
			return err
		}
		if err := (noop{}).Publish(ctx, toPublish(page.Events)); err != nil {
			return err
		}
		after, more = page.Next, page.More
		saved.Index++
		saved.Keep.Watermark = after
		if err := j.Save(ctx, key, saved); err != nil {
			return err
		}
	}
	return nil
}

// toPublish makes of events what a publisher takes.
func toPublish(events []query.Event) []publisher.Event {
	batch := make([]publisher.Event, len(events))
	for i := range events {
		batch[i].Event = events[i]
	}
	return batch
}
