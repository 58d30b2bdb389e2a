package ledger

import (
	"fmt"
	"strings"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// describe puts an input or an effect into one line of the transcript.
func describe(v any) string {
	switch v := v.(type) {
	case FeedPage:
		return fmt.Sprintf("FeedPage{%d %s next %d more %t}", v.Read, describeEvents(v.Page.Events), v.Page.Next, v.Page.More)
	case StreamPage:
		return fmt.Sprintf("StreamPage{%d %s more %t}", v.Read, describeEvents(v.Events), v.More)
	case Dispatch:
		var b strings.Builder
		for _, e := range v.Events {
			fmt.Fprintf(&b, " %s@%d", e.ID(), e.Offset)
		}
		return fmt.Sprintf("Dispatch{%d lane %d%s}", v.Batch, v.Lane, b.String())
	case Published:
		var b strings.Builder
		for _, r := range v.Results {
			fmt.Fprintf(&b, " %d:%s", r.Index, outcomeNames[r.Outcome])
			if r.Destination != "" {
				fmt.Fprintf(&b, " at %s", r.Destination)
			}
			if r.RetryAfter > 0 {
				fmt.Fprintf(&b, " after %v", r.RetryAfter)
			}
		}
		return fmt.Sprintf("Published{%#x/%d %s,%s %v}", v.Generation, v.Batch, outcomeNames[v.Outcome], b.String(), v.Destinations)
	case Notice:
		return fmt.Sprintf("Notice{%s %s/%d %s %s}", noticeNames[v.Kind], v.PersistenceID, v.SequenceNumber, v.Destination, v.Err)
	case Save:
		return fmt.Sprintf("Save{%d watermark %d held %v parked %d}", v.Index, v.Snapshot.Watermark, v.Snapshot.Held, len(v.Snapshot.Parked))
	default:
		return strings.TrimPrefix(fmt.Sprintf("%T%+v", v, v), "ledger.")
	}
}

func describeEvents(events []query.Event) string {
	names := make([]string, 0, len(events))
	for i := range events {
		names = append(names, fmt.Sprintf("%s@%d", events[i].ID(), events[i].Offset))
	}
	return "[" + strings.Join(names, " ") + "]"
}

var (
	outcomeNames = [...]string{Unknown: "unknown", OK: "ok", Retry: "retry", Permanent: "permanent"}
	noticeNames  = [...]string{
		NoticeHeld: "held", NoticeRejoined: "rejoined", NoticeParked: "parked", NoticeSkipped: "skipped", NoticeStuck: "stuck",
		NoticeRedriven: "redriven", NoticeGap: "gap", NoticeMissing: "missing", NoticePaused: "paused", NoticeResumed: "resumed",
		NoticeRewound: "rewound", NoticeOutageBegan: "outage began", NoticeOutageEnded: "outage ended",
	}
)
