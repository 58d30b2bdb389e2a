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
	// The offset is one up to which the journal is complete: no event at or below it becomes visible later. Where events may
	// yet be committed below the head, it can be less than the head.
	//
	// It may take as long as reading the whole journal: it is meant to be asked once, before a reader's first start. For a time that
	// is later than that of every event that the journal can store, it does not: that is how a reader finds the journal's end.
	OffsetAt(ctx context.Context, t time.Time) (Offset, error)
}
