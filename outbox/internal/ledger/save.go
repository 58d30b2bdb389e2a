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
	// heldChanged: the held entries are not those of that snapshot.
	heldChanged bool
	dirtySince  time.Time // since when there is something worth saving
	movedSince  time.Time // since when the watermark has moved
	retryAt     time.Time
	failures    int
	last        time.Time
}

type pendingSave struct {
	index      int64
	watermark  query.Offset
	recordable int
	parked     int
	deadline   time.Time
}

// clean reports whether the saved snapshot says all that there is to say.
func (l *Ledger) clean() bool {
	return !l.dirty() && l.window.watermark == l.saves.watermark && l.saves.pending == nil
}

// dirty reports whether something is worth saving soon; a watermark that moved over events of others is not.
func (l *Ledger) dirty() bool {
	return l.recordable > 0 || l.saves.heldChanged || l.parked.saved < len(l.parked.events)
}

// save starts a save, if one is due and none is under way.
func (l *Ledger) save() {
	s := &l.saves
	dirty, moved := l.dirty(), l.window.watermark != s.watermark
	s.dirtySince = since(s.dirtySince, dirty, l.now)
	s.movedSince = since(s.movedSince, moved, l.now)
	if l.phase == stopped || s.pending != nil || l.now.Before(s.retryAt) || !(dirty || moved) {
		return
	}
	due := l.parked.saved < len(l.parked.events) ||
		l.recordable >= l.cfg.SaveEvery ||
		(l.recordable > 0 && l.waitsForSave()) ||
		(dirty && l.now.Sub(s.dirtySince) >= l.cfg.SaveInterval) ||
		(moved && l.now.Sub(s.movedSince) >= l.cfg.LazySaveInterval) ||
		(l.phase == draining && len(l.batches) == 0) ||
		l.flushWaitsForSave()
	if !due {
		return
	}
	s.index++
	s.pending = &pendingSave{
		index:      s.index,
		watermark:  l.window.watermark,
		recordable: l.recordable,
		parked:     len(l.parked.events),
		deadline:   l.now.Add(l.cfg.SaveTimeout),
	}
	s.heldChanged = false
	s.dirtySince, s.movedSince = time.Time{}, time.Time{}
	for i := range l.flushes {
		if f := &l.flushes[i]; f.index == 0 && l.resolvedThrough(f.Offset) {
			f.index = s.index
		}
	}
	l.emit(Save{Index: s.index, Snapshot: l.snapshot()})
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
		s.watermark = p.watermark
		l.unsaved -= p.recordable
		l.recordable -= p.recordable
		l.parked.saved = p.parked
		l.answerFlushes(p.index)
		l.unpark()
	default:
		s.failures++
		s.retryAt = l.now.Add(l.cfg.Backoff(s.failures))
		s.heldChanged = true // it may or may not have been saved
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

// unpark lets the streams go on whose parked events are now known to be saved.
func (l *Ledger) unpark() {
	w := l.parked.waiting
	for len(w) > 0 && w[0].position < l.parked.saved {
		w[0].st.parking = false
		l.afterBatch(w[0].st)
		w = w[1:]
	}
	l.parked.waiting = w
}

func (l *Ledger) snapshot() Snapshot {
	s := Snapshot{
		Watermark: l.window.watermark,
		Anchor:    l.window.anchor,
		Parked:    slices.Clip(l.parked.events), // only ever appended to
		Published: l.published,
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
	return Save{Index: l.saves.index, Snapshot: l.snapshot()}, true
}
