package query

import (
	"context"
	"time"
)

// TimeFinder is a journal that can find a time in its feed.
type TimeFinder interface {
	// OffsetAt returns the greatest offset at or below which no event has a Time of t or later: that just before
	// the first such event, the head's if there is none. A reader that starts after it misses no event of t or
	// later, and may see some earlier ones where clocks were set back.
	//
	// It may take as long as reading the whole journal: it is meant to be asked once, before a reader's first start.
	OffsetAt(ctx context.Context, t time.Time) (Offset, error)
}
