package publisher

import (
	"context"
	"log/slog"
	"time"
)

// Log writes one line for each batch: at the level Warn if an event failed, at Debug if all were published. It says
// how many events there were, how many failed, and how; of the failure that comes first in the batch the event's id,
// the outcome and the error; and the time that it took. What an event holds, its data, tags and metadata, is never
// written, unless the publisher's error repeats it; ids and errors are cut at 1 KiB.
//
// A panic passes and is not logged: the supervisor of the publisher actor is told of it. A nil logger is a mistake in
// the program, and panics.
func Log(logger *slog.Logger) Middleware {
	if logger == nil {
		panic("publisher.Log: the logger is nil: pass slog.Default(), for example")
	}
	return around(func(ctx context.Context, p Publisher, events []Event) error {
		start := time.Now()
		err := p.Publish(ctx, events)
		logBatch(ctx, logger, events, err, time.Since(start))
		return err
	})
}

func logBatch(ctx context.Context, logger *slog.Logger, events []Event, err error, took time.Duration) {
	level := slog.LevelDebug
	failures := failuresOf(err, len(events))
	if len(failures) > 0 {
		level = slog.LevelWarn
	}
	if !logger.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{slog.Int("events", len(events)), slog.Duration("duration", took)}
	if len(events) > 0 {
		attrs = append(attrs, slog.String("outbox", events[0].Outbox))
	}
	if len(failures) == 0 {
		logger.LogAttrs(ctx, level, "published a batch", attrs...)
		return
	}
	first := failures[0]
	count := map[Outcome]int{}
	for _, f := range failures {
		count[f.Outcome]++
	}
	attrs = append(attrs,
		slog.Int("failed", len(failures)),
		slog.Int("permanent", count[OutcomePermanent]),
		slog.Int("retry", count[OutcomeRetry]),
		slog.Int("unknown", len(failures)-count[OutcomePermanent]-count[OutcomeRetry]),
		slog.String("first_event", wireText(events[first.Index].ID(), maxReason)),
		slog.String("outcome", first.Outcome.String()),
		slog.String("error", reason(first.Err)),
	)
	logger.LogAttrs(ctx, level, "could not publish all of a batch", attrs...)
}
