package ledger

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// feed is the tail of the journal.
type feed struct {
	position query.Offset // up to which it was read
	reading  uint64       // the unanswered read, 0 if none
	deadline time.Time    // of that read
	due      time.Time    // of the next one
	woken    bool         // while reading: the journal has grown since
	failures int
	// gaps are the streams of which the feed has not shown an event, while there is no place to hold them: the watermark
	// must not pass that event.
	gaps []*stream
}

func (f *feed) wake(now time.Time) {
	if f.reading != 0 {
		f.woken = true
	} else if f.failures == 0 && now.Before(f.due) {
		f.due = now
	}
}

// readFeed asks for the next page, if one is due and there is room for it.
func (l *Ledger) readFeed() {
	f := &l.feed
	if f.reading != 0 || l.now.Before(f.due) {
		return
	}
	// Streams that are ahead do not count here: reading is what lets go of them.
	if l.heldFull() || (l.outage.on && l.untried()) {
		return
	}
	limits, ok := l.room()
	if len(f.gaps) > 0 {
		// What has shown the gap needs no room, and must be read for the watermark to go on.
		limits, ok = query.Limits{Events: max(1, limits.Events), Bytes: max(1, limits.Bytes)}, true
	}
	if !ok {
		return
	}
	l.readID++
	f.reading, f.deadline, f.woken = l.readID, l.now.Add(l.cfg.ReadTimeout), false
	l.emit(ReadFeed{Read: f.reading, After: f.position, Limits: limits})
}

// room is what fits into the window; ok is false if that is not worthwhile: small pages would cost a round trip each.
//
// There is no room for events that would find the budget of unsaved events used up: sent in another order than that of
// the feed, those behind would use it up before those in front, and nothing could be recorded.
func (l *Ledger) room() (limits query.Limits, ok bool) {
	cfg, w := &l.cfg, &l.window
	worthwhile := query.Limits{
		Events: (min(cfg.Page.Events, cfg.Window.Events, l.common()) + 3) / 4,
		Bytes:  (min(cfg.Page.Bytes, cfg.Window.Bytes) + 3) / 4,
	}
	budget := l.common() - (l.unsaved - w.sent)
	limits = query.Limits{
		Events: min(cfg.Page.Events, min(cfg.Window.Events, max(budget, worthwhile.Events))-w.len()),
		Bytes:  min(cfg.Page.Bytes, cfg.Window.Bytes-w.bytes),
	}
	return limits, w.len() == 0 || (limits.Events >= worthwhile.Events && limits.Bytes >= worthwhile.Bytes)
}

func (l *Ledger) feedPage(in FeedPage) {
	f := &l.feed
	if in.Read == 0 || in.Read != f.reading {
		return
	}
	f.reading, f.failures = 0, 0
	l.counters.lastRead = l.now
	page := in.Page
	if err := l.checkPage(page); err != nil {
		l.stop(err)
		return
	}
	for i := range page.Events {
		e := &page.Events[i]
		passed, err := l.pass(e)
		if err != nil {
			l.stop(err)
			return
		}
		if !passed {
			// It will be read again, once there is a place among the held.
			f.due = l.now.Add(l.cfg.PollInterval)
			l.closeGaps()
			return
		}
		f.position = e.Offset
	}
	f.position = page.Next
	l.closeGaps()
	switch {
	case page.More || f.woken:
		f.due = l.now
	case len(page.Events) > 0:
		f.due = l.now.Add(l.cfg.PollInterval)
	default:
		f.due = l.now.Add(l.cfg.IdlePollInterval)
	}
}

func (l *Ledger) checkPage(page query.Page) error {
	last := l.feed.position
	for i := range page.Events {
		e := &page.Events[i]
		if e.Offset <= last {
			return fmt.Errorf("%w: it answered event %s at offset %d after offset %d", ErrBrokenJournal, e.ID(), e.Offset, last)
		}
		last = e.Offset
	}
	if page.Next < last {
		return fmt.Errorf("%w: a page that reaches offset %d says that it is complete up to %d", ErrBrokenJournal, last, page.Next)
	}
	return nil
}

// pass takes one event of the feed: into the window, or over it. It reports false if there is no place for it: one that
// does not follow the last one of its stream, while no more streams may be held.
func (l *Ledger) pass(e *query.Event) (passed bool, err error) {
	st := l.streams[e.PersistenceID]
	parked := l.parked.has(e)
	switch {
	case st != nil && !st.held && e.SequenceNumber > st.missed() && l.cfg.contiguous():
		return l.gap(st, e), nil
	case parked && st != nil:
		st.saw(e)
		return true, nil
	case parked:
		return true, nil
	case st == nil:
		if err := query.ValidateID(e.PersistenceID); err != nil {
			return false, fmt.Errorf("%w: the event at offset %d: %w", ErrBrokenJournal, e.Offset, err)
		}
		st = l.newStream(e.PersistenceID)
		st.next = e.SequenceNumber
	case e.SequenceNumber < st.next && e.Offset <= st.settledOffset:
		st.saw(e)
		return true, nil // settled in an earlier life, or by catching up
	case e.SequenceNumber < st.next && st.held:
		return l.anew(st, e), nil
	case e.SequenceNumber < st.next:
		return false, fmt.Errorf("%w: event %s appears at offset %d, behind event %d of its id", ErrBrokenJournal, e.ID(), e.Offset, st.next-1)
	case st.held:
		st.through = max(st.through, e.SequenceNumber)
		l.wantCatchUp(st)
		return true, nil
	case e.SequenceNumber <= st.last:
		return false, fmt.Errorf("%w: event %s has a greater offset than event %d of its id", ErrBrokenJournal, e.ID(), st.last)
	}
	if l.window.len() >= l.cfg.Window.Events { // a gap had it read although there was no room
		l.forgetIfDone(st)
		return false, nil
	}
	size := e.Size()
	if l.window.len() == 0 {
		l.window.frontSince = l.now
	}
	st.push(e, l.window.push(st, e, size), size)
	l.makeReady(st)
	// A hot stream would fill the window and make everybody wait for it.
	if (len(st.queue) > l.cfg.Window.Events/4 || st.bytes > l.cfg.Window.Bytes/4) && l.window.len() > len(st.queue) && !l.outage.on {
		l.hold(st, false)
	}
	return true, nil
}

// gap holds a stream of which the feed has not shown an event: it is read by id, and published first if it is there.
func (l *Ledger) gap(st *stream, e *query.Event) bool {
	missed := st.missed()
	if !l.holdThrough(st, e.SequenceNumber, true) {
		if st.gapAt == 0 {
			l.feed.gaps = append(l.feed.gaps, st)
		}
		st.gapAt = e.Offset
		return false
	}
	l.counters.gaps++
	l.notice(NoticeGap, st.id, missed, "")
	return true
}

// anew has a held stream begin with an event of which it was held to be settled: the feed shows it behind all that was
// settled, so that this is another history, which an operator has accepted. It reports false while that is not possible.
func (l *Ledger) anew(st *stream, e *query.Event) bool {
	if st.sent > 0 || st.parking || st.redriving {
		return false
	}
	l.forgetRead(st)
	l.unready(st)
	l.acquit(st)
	st.queue, st.bytes = nil, 0
	st.next, st.readFrom, st.settledOffset = e.SequenceNumber, e.SequenceNumber, e.Offset-1
	st.through, st.verified = e.SequenceNumber, true
	l.recordable += st.unresolved
	st.unresolved, st.dispatched = 0, 0
	l.saves.changed = true
	l.wantCatchUp(st)
	return true
}

// closeGaps lets go of the gaps that the position has passed: the feed has shown the event after all, or has nothing
// behind it any more.
func (l *Ledger) closeGaps() {
	for _, st := range slices.Clone(l.feed.gaps) {
		if l.feed.position >= st.gapAt {
			l.closeGap(st)
			l.forgetIfDone(st)
		}
	}
}

func (l *Ledger) closeGap(st *stream) {
	if st.gapAt != 0 {
		st.gapAt = 0
		l.feed.gaps = remove(l.feed.gaps, st)
	}
}

// gapBefore returns the first stream of which an event may be missing before the offset; nil if there is none, and the
// watermark may move there.
func (f *feed) gapBefore(offset query.Offset) *stream {
	for _, st := range f.gaps {
		if offset > st.lastOffset {
			return st
		}
	}
	return nil
}

func (l *Ledger) feedFailed(read uint64, err error) {
	f := &l.feed
	if read == 0 || read != f.reading {
		return
	}
	f.reading = 0
	f.failures++
	f.due = l.now.Add(l.cfg.Backoff(f.failures))
	l.counters.lastErr = err.Error()
}

var errReadTimeout = errors.New("the journal did not answer in time")

func (l *Ledger) expireReads() {
	if l.feed.reading != 0 && !l.now.Before(l.feed.deadline) {
		l.feedFailed(l.feed.reading, errReadTimeout)
	}
	if l.redrive.read != 0 && !l.now.Before(l.redrive.deadline) {
		l.redriveUnread(errReadTimeout)
	}
	for i := 0; i < len(l.catchUp.reads); {
		if r := l.catchUp.reads[i]; !l.now.Before(r.deadline) {
			l.streamFailed(r.id, errReadTimeout) // removes reads[i]
		} else {
			i++
		}
	}
}
