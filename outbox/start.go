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

// offset returns the offset to begin behind; chosen is false at the beginning, which needs no saving to be found again.
func (s start) offset(ctx context.Context, j query.Journal, head query.Head) (o query.Offset, chosen bool, err error) {
	switch {
	case s.now:
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
