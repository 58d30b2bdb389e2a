package memory

import (
	"context"
	"fmt"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// OffsetAt implements query.TimeFinder. It looks at every event before the first of that time, because a clock that
// was set back leaves the times unsorted.
func (j *Journal) OffsetAt(ctx context.Context, t time.Time) (query.Offset, error) {
	op := fmt.Sprintf("find the offset at %v", t)
	var (
		events []query.Event
		head   query.Offset
	)
	if err := j.read(ctx, func() error { events, head = j.events, j.head(); return nil }); err != nil {
		return 0, wrap(op, err)
	}
	for i := range events {
		if i%ctxEvery == ctxEvery-1 && ctx.Err() != nil {
			return 0, wrap(op, ctx.Err())
		}
		if !events[i].Time.Before(t) {
			return events[i].Offset - 1, nil
		}
	}
	return head, nil
}
