package publisher

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// batchOf makes events from what tests write as "a/1 b/1 a/2".
func batchOf(ids string) []Event {
	var events []Event
	for i, id := range strings.Fields(ids) {
		var e Event
		name, seq, _ := strings.Cut(id, "/")
		e.PersistenceID = name
		if _, err := fmt.Sscan(seq, &e.SequenceNumber); err != nil {
			panic(err)
		}
		e.Offset = query.Offset(i + 1)
		e.Time = time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
		e.Slice = query.SliceOf(name)
		e.Outbox, e.Epoch = "shop", 3
		events = append(events, e)
	}
	return events
}

// idsOf is the reverse of batchOf.
func idsOf(events []Event) string {
	ids := make([]string, len(events))
	for i := range events {
		ids[i] = events[i].ID()
	}
	return strings.Join(ids, " ")
}

// outcomesOf writes failures as "1:retry 3:unknown".
func outcomesOf(failures []Failure) string {
	var s []string
	for _, f := range failures {
		s = append(s, fmt.Sprintf("%d:%v", f.Index, f.Outcome))
	}
	return strings.Join(s, " ")
}
