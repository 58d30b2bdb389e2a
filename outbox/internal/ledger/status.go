package ledger

import (
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// Status is how the ledger is at one moment.
type Status struct {
	Recovered, Outage, Draining, Stopped bool
	Watermark, SavedWatermark, Position  query.Offset
	Published, PublishedSinceStart       int64
	Window, InFlight, Unsaved            int
	Held                                 []HeldStatus // at most the limit asked for
	HeldCount                            int
	Parked                               []ParkedEvent // at most the limit asked for
	ParkedCount                          int
	LastRead, LastPublished, LastSaved   time.Time
	Oldest                               time.Time // of the unresolved events in memory; zero if there is none
	UnknownBatches, Missing              int64
	LastError                            string
}

// HeldStatus is a held stream.
type HeldStatus struct {
	PersistenceID string
	Next          int64
	Attempts      int
	RetryAt       time.Time
	Err           string
}

// Status describes the ledger, with at most limit held streams and parked events.
func (l *Ledger) Status(limit int) Status {
	s := Status{
		Recovered:           l.phase != recovering,
		Outage:              l.outage.on,
		Draining:            l.phase == draining,
		Stopped:             l.phase == stopped,
		Watermark:           l.window.watermark,
		SavedWatermark:      l.saves.watermark,
		Position:            l.feed.position,
		Published:           l.published,
		PublishedSinceStart: l.counters.published,
		Window:              l.window.len(),
		InFlight:            l.inFlight(),
		Unsaved:             l.unsaved,
		HeldCount:           len(l.held),
		ParkedCount:         len(l.parked.events),
		LastRead:            l.counters.lastRead,
		LastPublished:       l.counters.lastPublished,
		LastSaved:           l.saves.last,
		Oldest:              l.oldest(),
		UnknownBatches:      l.counters.unknownBatches,
		Missing:             l.counters.missing,
		LastError:           l.counters.lastErr,
	}
	for _, st := range l.held[:min(limit, len(l.held))] {
		s.Held = append(s.Held, HeldStatus{
			PersistenceID: st.id, Next: st.next, Attempts: st.attempts, RetryAt: st.retryAt, Err: st.lastErr,
		})
	}
	s.Parked = append(s.Parked, l.parked.events[:min(limit, len(l.parked.events))]...)
	return s
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
		if st := l.streams[w.at(w.head).PersistenceID]; st != nil {
			look(st)
		}
	}
	for _, st := range l.held {
		look(st)
	}
	return oldest
}
