package ledger

import (
	"errors"
	"slices"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// saves is what is known of the snapshots in the store.
type saves struct {
	index     int64        // of the last attempt
	pending   *pendingSave // unanswered
	watermark query.Offset // of the last snapshot that is known to be saved
	// paused: that snapshot says so.
	paused bool
	// changed: the held and parked entries, or whether it is paused, are not as in that snapshot.
	changed bool
	// waiting are those that go on once a snapshot with what they did is known to be saved.
	waiting []confirmation
	// basing: the snapshot that this life begins with is not known to be saved, and nothing may be read.
	basing     bool
	dirtySince time.Time // since when there is something worth saving
	movedSince time.Time // since when the watermark has moved
	retryAt    time.Time
	failures   int
	last       time.Time
}

type pendingSave struct {
	index      int64
	watermark  query.Offset
	recordable int
	rewind     bool
	paused     bool
	deadline   time.Time
}

// confirmation is what is to be done once a save is known: a stream goes on, a command is answered.
type confirmation struct {
	index int64 // of that save; 0 while none has begun
	st    *stream
	reply *Reply
}

// clean reports whether the saved snapshot says all that there is to say.
func (l *Ledger) clean() bool {
	return !l.dirty() && l.window.watermark == l.saves.watermark && l.saves.pending == nil && !l.saves.basing && !l.rewind.begun
}

// dirty reports whether something is worth saving soon; a watermark that moved over events of others is not.
func (l *Ledger) dirty() bool {
	return l.recordable > 0 || l.saves.changed || len(l.saves.waiting) > 0
}

// confirm has something done once what has just changed is known to be saved.
func (l *Ledger) confirm(c confirmation) {
	if c.st != nil {
		c.st.parking = true
	}
	l.saves.changed = true
	l.saves.waiting = append(l.saves.waiting, c)
}

// confirmed does what waited for the save, or has it wait for the next one.
func (l *Ledger) confirmed(index int64, ok bool) {
	var done []confirmation
	kept := l.saves.waiting[:0]
	for _, c := range l.saves.waiting {
		switch {
		case !ok:
			c.index = 0
		case c.index != 0 && c.index <= index:
			done = append(done, c)
			continue
		}
		kept = append(kept, c)
	}
	clear(l.saves.waiting[len(kept):])
	l.saves.waiting = kept
	for _, c := range done {
		if c.st != nil {
			c.st.parking = false
			l.afterBatch(c.st)
		}
		if c.reply != nil {
			l.emit(*c.reply)
		}
	}
}

// confirmationDue reports whether something waits for a save that has not begun.
func (s *saves) confirmationDue() bool {
	n := len(s.waiting)
	return n > 0 && s.waiting[n-1].index == 0 // they are in order
}

// save starts a save, if one is due and none is under way.
func (l *Ledger) save() {
	s := &l.saves
	dirty, moved := l.dirty(), l.window.watermark != s.watermark
	s.dirtySince = since(s.dirtySince, dirty, l.now)
	s.movedSince = since(s.movedSince, moved, l.now)
	if l.phase == stopped || s.pending != nil || l.now.Before(s.retryAt) {
		return
	}
	if l.rewind.ready(l) {
		l.saveRewound()
		return
	}
	if !(dirty || moved || s.basing) {
		return
	}
	due := s.basing || s.confirmationDue() ||
		l.recordable >= l.cfg.SaveEvery ||
		(l.recordable > 0 && l.waitsForSave()) ||
		(dirty && l.now.Sub(s.dirtySince) >= l.cfg.SaveInterval) ||
		(moved && l.now.Sub(s.movedSince) >= l.cfg.LazySaveInterval) ||
		(l.phase == draining && len(l.batches) == 0) ||
		l.flushWaitsForSave()
	if !due {
		return
	}
	l.beginSave(pendingSave{watermark: l.window.watermark, recordable: l.recordable}, l.snapshot())
	for i := range s.waiting {
		if c := &s.waiting[i]; c.index == 0 {
			c.index = s.index
		}
	}
	for i := range l.flushes {
		if f := &l.flushes[i]; f.index == 0 && l.resolvedThrough(f.Offset) {
			f.index = s.index
		}
	}
}

func (l *Ledger) beginSave(p pendingSave, snapshot Snapshot) {
	s := &l.saves
	s.index++
	p.index, p.paused, p.deadline = s.index, l.paused, l.now.Add(l.cfg.SaveTimeout)
	s.pending = &p
	s.changed = false
	s.dirtySince, s.movedSince = time.Time{}, time.Time{}
	l.emit(Save{Index: s.index, Snapshot: snapshot})
}

// waitsForSave reports whether only a save makes room for more.
func (l *Ledger) waitsForSave() bool {
	if l.unsaved >= l.common() {
		return true
	}
	_, room := l.room()
	return !room && len(l.batches) == 0
}

// saveDue is when a save will be due by time alone; zero if never.
func (l *Ledger) saveDue() time.Time {
	if l.saves.movedSince.IsZero() {
		return time.Time{}
	}
	return l.saves.movedSince.Add(l.cfg.LazySaveInterval)
}

func since(t time.Time, on bool, now time.Time) time.Time {
	switch {
	case !on:
		return time.Time{}
	case t.IsZero():
		return now
	default:
		return t
	}
}

func (l *Ledger) saved(in Saved) {
	s := &l.saves
	p := s.pending
	if in.Result == SaveFenced {
		l.stop(ErrFenced) // final, however late it comes
		return
	}
	if p == nil || p.index != in.Index {
		return
	}
	s.pending = nil
	switch in.Result {
	case SaveOK:
		s.failures, s.retryAt, s.last = 0, time.Time{}, l.now
		s.watermark, s.paused = p.watermark, p.paused
		if p.rewind {
			l.rewound()
			return
		}
		s.basing = false
		l.unsaved -= p.recordable
		l.recordable -= p.recordable
		l.answerFlushes(p.index)
		l.confirmed(p.index, true)
	default:
		s.failures++
		s.retryAt = l.now.Add(l.cfg.Backoff(s.failures))
		s.changed = true // it may or may not have been saved
		l.confirmed(p.index, false)
		for i := range l.flushes {
			l.flushes[i].index = 0
		}
		if in.Err != nil {
			l.counters.lastErr = in.Err.Error()
		}
	}
}

var errSaveTimeout = errors.New("the snapshot store did not answer in time")

func (l *Ledger) expireSave() {
	if p := l.saves.pending; p != nil && !l.now.Before(p.deadline) {
		l.saved(Saved{Index: p.index, Result: SaveFailed, Err: errSaveTimeout})
	}
}

func (l *Ledger) snapshot() Snapshot {
	s := Snapshot{
		Watermark: l.window.watermark,
		Anchor:    l.window.anchor,
		Parked:    slices.Clip(l.parked.events), // only ever appended to
		Published: l.published,
		Skipped:   l.skipped,
		Rewinds:   l.rewinds,
		Paused:    l.paused,
	}
	if n := l.heldCount(); n > 0 {
		s.Held = make([]HeldStream, 0, n)
	}
	for _, st := range l.held {
		s.Held = append(s.Held, HeldStream{PersistenceID: st.id, Next: st.next, SettledOffset: st.settledOffset})
	}
	for _, st := range l.ahead {
		s.Held = append(s.Held, HeldStream{PersistenceID: st.id, Next: st.aheadNext, SettledOffset: st.aheadOffset})
	}
	return s
}

// Final returns a last snapshot to save, for an owner that must stop now; ok is false if there is nothing to say
// or no right to say it.
func (l *Ledger) Final() (s Save, ok bool) {
	if l.phase == recovering || l.fenced || l.clean() {
		return Save{}, false
	}
	l.saves.index++
	if l.rewind.begun {
		return Save{Index: l.saves.index, Snapshot: l.rewoundSnapshot()}, true
	}
	return Save{Index: l.saves.index, Snapshot: l.snapshot()}, true
}
