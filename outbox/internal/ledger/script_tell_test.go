package ledger

import (
	"fmt"
	"strings"
	"time"
)

// tell puts an effect into one line of a story.
func (s *script) tell(e Effect) string {
	switch e := e.(type) {
	case ReadFeed:
		return fmt.Sprintf("read %d: the feed after %d, at most %d", e.Read, e.After, e.Limits.Events)
	case ReadStream:
		return fmt.Sprintf("read %d: %s from %d, at most %d", e.Read, e.PersistenceID, e.From, e.Limits.Events)
	case Dispatch:
		var b strings.Builder
		fmt.Fprintf(&b, "send %d", e.Batch)
		if s.cfg.Lanes > 1 {
			fmt.Fprintf(&b, " to lane %d", e.Lane)
		}
		b.WriteString(":")
		for _, e := range e.Events {
			b.WriteString(" " + describePointer(pointerTo(e)))
		}
		return b.String()
	case Save:
		return fmt.Sprintf("save %d: %s", e.Index, describeSnapshot(e.Snapshot))
	case Reply:
		answer := "ok"
		if e.Err != nil {
			answer = e.Err.Error()
		}
		if e.Count > 0 {
			answer += fmt.Sprintf("; count %d", e.Count)
		}
		return fmt.Sprintf("reply to %s: %s", s.commands[e.Token], answer)
	case Notice:
		said := "notice: " + noticeNames[e.Kind]
		if e.PersistenceID != "" {
			said += fmt.Sprintf(" %s/%d", e.PersistenceID, e.SequenceNumber)
		}
		if e.Destination != "" {
			said += " at " + e.Destination
		}
		return said + because(e.Err)
	case Stop:
		if e.Err == nil {
			return "stop: all is done"
		}
		return "stop: " + e.Err.Error()
	default:
		return describe(e)
	}
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// describeTime is how long after the beginning of a story it is.
func describeTime(t time.Time) string { return "+" + t.Sub(at(0)).String() }

// describePointer names an event, as a/1@7.
func describePointer(p Pointer) string {
	return fmt.Sprintf("%s/%d@%d", p.PersistenceID, p.SequenceNumber, p.Offset)
}

// describeSnapshot says what a snapshot would tell the next life. Held is a:3@7: the next event of a is number 3, and it
// is settled up to offset 7.
func describeSnapshot(s Snapshot) string {
	var b strings.Builder
	fmt.Fprintf(&b, "watermark %d, published %d", s.Watermark, s.Published)
	for _, h := range s.Held {
		fmt.Fprintf(&b, ", held %s:%d@%d", h.PersistenceID, h.Next, h.SettledOffset)
	}
	for _, p := range s.Parked {
		fmt.Fprintf(&b, ", %s %s (%s)", resolutionNames[p.Resolution], describePointer(p.Pointer), p.Reason)
	}
	if s.Skipped > 0 {
		fmt.Fprintf(&b, ", %d skipped", s.Skipped)
	}
	if s.Rewinds > 0 {
		fmt.Fprintf(&b, ", rewinds %d", s.Rewinds)
	}
	if s.Paused {
		b.WriteString(", paused")
	}
	return b.String()
}

var resolutionNames = [...]string{Unresolved: "parked", Redriven: "redriven", Skipped: "skipped"}

// describeStatus says how the ledger is; what is as usual goes without saying.
func describeStatus(s Status) string {
	var b strings.Builder
	fmt.Fprintf(&b, "watermark %d, saved %d, read up to %d\n", s.Watermark, s.SavedWatermark, s.Position)
	fmt.Fprintf(&b, "published %d, unsaved %d, in flight %d\n", s.Published, s.Unsaved, s.InFlight)
	for _, h := range s.Held {
		fmt.Fprintf(&b, "held: %s/%d, %d attempts", h.PersistenceID, h.Next, h.Attempts)
		switch {
		case h.Stuck:
			b.WriteString(", waits for an operator")
		case !h.RetryAt.IsZero():
			fmt.Fprintf(&b, ", again at %s", describeTime(h.RetryAt))
		}
		if h.Destination != "" {
			fmt.Fprintf(&b, ", at %s", h.Destination)
		}
		fmt.Fprintf(&b, "%s\n", because(h.Err))
	}
	for _, d := range s.Out {
		fmt.Fprintf(&b, "out: %s since %s, %d ids wait, %d probes failed", d.Name, describeTime(d.Since), d.Waiting, d.FailedProbes)
		if !d.NextProbe.IsZero() {
			fmt.Fprintf(&b, ", again at %s", describeTime(d.NextProbe))
		}
		fmt.Fprintf(&b, "%s\n", because(d.Err))
	}
	for _, p := range s.Parked {
		fmt.Fprintf(&b, "parked: %s%s\n", describePointer(p.Pointer), because(p.Reason))
	}
	for _, state := range []struct {
		on   bool
		name string
	}{
		{s.HeldFull, "no more can be held"}, {s.Outage, "outage"}, {s.Paused, "paused"}, {s.Rewinding, "rewinding"}, {s.Draining, "draining"}, {s.Stopped, "stopped"},
	} {
		if state.on {
			fmt.Fprintln(&b, state.name)
		}
	}
	for _, count := range []struct {
		n    int64
		name string
	}{
		{s.Skipped, "skipped"}, {s.UnknownBatches, "unknown batches"}, {s.Gaps, "gaps"}, {s.Missing, "missing"}, {s.Rewinds, "rewinds"},
	} {
		if count.n > 0 {
			fmt.Fprintf(&b, "%s %d\n", count.name, count.n)
		}
	}
	return b.String()
}
