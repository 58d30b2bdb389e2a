package ledger

import (
	"slices"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// hide leaves events out of a page that the ledger waits for: a journal that breaks its word, as one does whose
// transactions become visible out of order. It does so the more where there is no place, or only one, for their ids.
func (lf *life) hide(page FeedPage) FeedPage {
	s, l := lf.sim, lf.ledger
	if s.phase != turmoil || s.faults.hides == 0 || !s.cfg.contiguous() || page.Read != l.feed.reading || len(l.feed.gaps) > 0 {
		return page
	}
	switch places := s.cfg.MaxHeld - len(l.held); {
	case places == 1 && len(l.ahead) == 0: // nobody else can take it while the page is read
		page = lf.leaveOut(lf.leaveOut(page, 1), 1)
	case places == 0:
		page = lf.leaveOut(page, 1)
	case s.chance(s.faults.hides):
		page = lf.leaveOut(page, 0.5)
	}
	return page
}

// leaveOut leaves out an event although one of its id before it, which is not resolved, and one after it are there. There
// must be no other gap on the way, or nobody could see this one. The probability is that of each event for which all this
// is so, one after another.
func (lf *life) leaveOut(page FeedPage, probability float64) FeedPage {
	s, l := lf.sim, lf.ledger
	events := page.Page.Events
	for i := range events {
		e := s.journal.event(events[i].PersistenceID, events[i].SequenceNumber)
		is := func(seq int64) func(query.Event) bool {
			return func(o query.Event) bool { return o.PersistenceID == e.PersistenceID && o.SequenceNumber == seq }
		}
		after := slices.IndexFunc(events, is(e.SequenceNumber+1))
		if after < 0 || !slices.ContainsFunc(events[:i], is(e.SequenceNumber-1)) || !s.chance(probability) {
			continue
		}
		before := s.journal.event(e.PersistenceID, e.SequenceNumber-1)
		way := s.journal.events[s.journal.after(l.feed.position):s.journal.after(events[after].Offset)]
		if before.done() || s.store.view.isParked(before) || slices.ContainsFunc(way, func(e *simEvent) bool { return e.trimmed }) {
			continue
		}
		s.stats[statHidden]++
		s.logf("the feed hides %s", e.ID())
		s.deleteHidden(e)
		page.Page.Events = slices.Delete(slices.Clone(events), i, i+1)
		break
	}
	return page
}

// deleteHidden removes an event for good, in some cases, so that the read which looks for it finds none. It must be one
// that was never read but for this page.
func (s *simulation) deleteHidden(e *simEvent) {
	if e.reads == 1 && s.chance(0.3) {
		s.stats[statDeleted]++
		s.logf("%s is deleted", e.ID())
		e.trimmed, e.matches = true, false
	}
}
