package ledger

import (
	"cmp"
	"slices"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// Status is how the ledger is at one moment.
type Status struct {
	Recovered, Outage, Paused, Rewinding, Draining, Stopped bool
	Watermark, SavedWatermark, Position                     query.Offset
	Published, PublishedSinceStart                          int64
	Skipped, Rewinds                                        int64
	Window, InFlight, Unsaved                               int
	Held                                                    []HeldStatus // at most the limit asked for
	HeldCount                                               int
	HeldFull                                                bool          // so that nothing is read
	Parked                                                  []ParkedEvent // at most the limit asked for
	ParkedCount                                             int
	Out                                                     []DestinationStatus // at most the limit asked for, the longest first
	OutCount                                                int
	LastRead, LastPublished, LastSaved                      time.Time
	Oldest                                                  time.Time // of the unresolved events in memory; zero if there is none
	UnknownBatches, Missing, Gaps                           int64
	LastError                                               string
}

// HeldStatus is a held stream.
type HeldStatus struct {
	PersistenceID string
	Next          int64
	Attempts      int
	RetryAt       time.Time
	// Stuck: it waits for an operator.
	Stuck bool
	// Destination is where its next event has last failed, "" if no name was given.
	Destination string
	Err         string
}

// DestinationStatus is a destination that is out.
type DestinationStatus struct {
	Name         string
	Since        time.Time
	FailedProbes int
	NextProbe    time.Time // zero while one is under way
	Waiting      int       // streams
	Err          string
}

// Status describes the ledger, with at most limit held streams, parked events and destinations.
func (l *Ledger) Status(limit int) Status {
	s := Status{
		Recovered:           l.phase != recovering,
		Outage:              l.outage.on,
		Paused:              l.paused,
		Rewinding:           l.rewind.on,
		Draining:            l.phase == draining,
		Stopped:             l.phase == stopped,
		Watermark:           l.window.watermark,
		SavedWatermark:      l.saves.watermark,
		Position:            l.feed.position,
		Published:           l.published,
		PublishedSinceStart: l.counters.published,
		Skipped:             l.skipped,
		Rewinds:             l.rewinds,
		Window:              l.window.len(),
		InFlight:            l.inFlight(),
		Unsaved:             l.unsaved,
		HeldCount:           len(l.held),
		HeldFull:            l.heldFull(),
		ParkedCount:         l.parked.open,
		OutCount:            len(l.out),
		LastRead:            l.counters.lastRead,
		LastPublished:       l.counters.lastPublished,
		LastSaved:           l.saves.last,
		Oldest:              l.oldest(),
		UnknownBatches:      l.counters.unknownBatches,
		Missing:             l.counters.missing,
		Gaps:                l.counters.gaps,
		LastError:           l.counters.lastErr,
	}
	for _, st := range l.held[:min(limit, len(l.held))] {
		h := HeldStatus{PersistenceID: st.id, Next: st.next, Attempts: st.attempts, RetryAt: st.nextTry(), Stuck: st.stuck, Err: st.lastErr}
		if st.dest != nil {
			h.Destination = st.dest.name
		}
		s.Held = append(s.Held, h)
	}
	for _, d := range l.out {
		s.Out = append(s.Out, d.status())
	}
	slices.SortFunc(s.Out, func(a, b DestinationStatus) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Name, b.Name)) })
	s.Out = s.Out[:min(limit, len(s.Out))]
	for i := range l.parked.events {
		if p := &l.parked.events[i]; p.Resolution == Unresolved && len(s.Parked) < limit {
			s.Parked = append(s.Parked, *p)
		}
	}
	return s
}

// nextTry is when a stream that has failed is tried again; zero while it is being tried, or waits for an operator or its
// destination.
func (st *stream) nextTry() time.Time {
	if st.sent > 0 || st.stuck || st.waits() {
		return time.Time{}
	}
	return st.retryAt
}

// oldest is the time of the oldest event that was read and is unresolved, as far as it is in memory.
func (l *Ledger) oldest() time.Time {
	var oldest time.Time
	look := func(st *stream) {
		if len(st.queue) > 0 {
			if t := st.queue[0].event.Time; oldest.IsZero() || t.Before(oldest) {
				oldest = t
			}
		}
	}
	if w := &l.window; w.len() > 0 {
		look(w.at(w.head).st)
	}
	for _, st := range l.held {
		look(st)
	}
	return oldest
}
