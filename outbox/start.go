package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// start is where an outbox begins that has never run before. Its zero value is the journal's beginning.
type start struct {
	now, byTime bool
	time        time.Time
}

// never is later than the time of any event.
var never = time.Date(300_000, time.January, 1, 0, 0, 0, 0, time.UTC)

// offset returns the offset to begin behind; chosen is false at the beginning, which needs no saving to be found again.
func (s start) offset(ctx context.Context, j query.Journal, head query.Head) (o query.Offset, chosen bool, err error) {
	switch {
	case s.now:
		// Below the head there may be events whose transactions are still open. They are not of the time before.
		if _, ok := j.(query.TimeFinder); ok {
			o, err = offsetAt(ctx, j, never)
			return o, true, err
		}
		return head.Offset, true, nil
	case !s.byTime:
		return 0, false, nil
	}
	o, err = offsetAt(ctx, j, s.time)
	return o, true, err
}

var errNoTimes = errors.New("the journal cannot find a time: it is no query.TimeFinder")

func offsetAt(ctx context.Context, j query.Journal, t time.Time) (query.Offset, error) {
	finder, ok := j.(query.TimeFinder)
	if !ok {
		return 0, errNoTimes
	}
	o, err := finder.OffsetAt(ctx, t)
	if err != nil {
		return 0, fmt.Errorf("find %s in the journal: %w", t.Format(time.RFC3339Nano), err)
	}
	return o, nil
}
