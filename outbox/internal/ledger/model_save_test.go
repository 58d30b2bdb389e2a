package ledger

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// modelSaves is what is known of the snapshots in the store.
type modelSaves struct {
	index           int64
	pending         *modelSave
	watermark       query.Offset // of the last snapshot that is known to be saved
	changed, basing bool
	paused          bool // says that snapshot
	waiting         []modelConfirmation
	due             bool // in this step
	dirtySince      time.Time
	movedSince      time.Time
	soonest, latest time.Time // after a failure
	failures        int
}

type modelSave struct {
	index     int64
	watermark query.Offset
	records   []eventKey // of the unsaved ones
	rewind    bool
	paused    bool
	until     time.Time
}

// modelConfirmation is what waits until a snapshot that says so is known to be saved: an id, a reply.
type modelConfirmation struct {
	index int64 // of that save; 0 while there is none
	st    *modelStream
	reply *Reply
}

// confirm has an id go on, or a reply given, or both, once what has just changed is known to be saved.
func (m *model) confirm(st *modelStream, reply *Reply) {
	if st != nil {
		st.parking = true
	}
	m.saves.changed = true
	m.saves.waiting = append(m.saves.waiting, modelConfirmation{st: st, reply: reply})
}

// dirty reports whether something is worth saving soon.
func (m *model) dirty() bool {
	return m.saves.changed || len(m.saves.waiting) > 0 || m.recordableCount() > 0
}

// clean reports whether there is nothing to save.
func (m *model) clean() bool {
	s := &m.saves
	return !m.dirty() && m.watermark == s.watermark && s.pending == nil && !s.basing && !m.rewind.begun
}

// judge decides, once a step is over but for its saves, who is to be answered, and whether a save and the end are due.
func (m *model) judge() {
	if m.judged || !m.goesOn() {
		return
	}
	m.judged = true
	m.answer()
	if m.drainPinned() {
		pins := m.gapsBefore(m.window[0].Offset)
		if !m.window[0].resolved && m.window[0].inWindow {
			pins = append(pins[:0], m.streams[m.window[0].PersistenceID])
		}
		if !slices.ContainsFunc(pins, func(st *modelStream) bool { return st.parking }) && m.place(pins[0], true) {
			m.disagree("it drains, and %s keeps it from recording what is settled", pins[0].id)
		}
	}
	m.saves.due = m.saveDue()
	if m.phase != draining {
		return
	}
	switch {
	case len(m.batches) == 0 && m.clean():
		m.stop(nil)
	case slices.ContainsFunc(m.drains, func(d Drain) bool { return !m.now.Before(d.Deadline) }):
		m.stop(ErrDrainDeadline)
	}
}

func (m *model) saveDue() bool {
	s := &m.saves
	dirty, moved := m.dirty(), m.watermark != s.watermark
	lasting := func(since *time.Time, on bool) time.Duration {
		switch {
		case !on:
			*since = time.Time{}
			return -1
		case since.IsZero():
			*since = m.now
		}
		return m.now.Sub(*since)
	}
	dirtyFor, movedFor := lasting(&s.dirtySince, dirty), lasting(&s.movedSince, moved)
	if s.pending != nil || m.now.Before(s.soonest) {
		return false
	}
	if m.rewindReady() {
		return true
	}
	recordable := m.recordableCount()
	_, room := m.room()
	stuck := len(m.unsaved) >= m.common() || !room && len(m.batches) == 0
	unconfirmed := slices.ContainsFunc(s.waiting, func(c modelConfirmation) bool { return c.index == 0 })
	flush := slices.ContainsFunc(m.flushes, func(f flush) bool { return f.index == 0 && m.resolvedThrough(f.Offset) })
	return s.basing || (dirty || moved) && (unconfirmed ||
		recordable >= m.cfg.SaveEvery || recordable > 0 && stuck ||
		dirtyFor >= m.cfg.SaveInterval || movedFor >= m.cfg.LazySaveInterval ||
		m.phase == draining && len(m.batches) == 0 || flush)
}

// allowSave takes a snapshot, which must be due and say exactly what the model would.
func (m *model) allowSave(e Save) {
	s := &m.saves
	s.index++
	switch {
	case !s.due:
		m.disagree("no save is due")
	case e.Index != s.index:
		m.disagree("save %d comes after %d", e.Index, s.index-1)
	}
	s.due = false
	p := &modelSave{index: s.index, watermark: m.watermark, paused: m.paused, until: m.now.Add(m.cfg.SaveTimeout)}
	s.pending, s.changed, s.dirtySince, s.movedSince = p, false, time.Time{}, time.Time{}
	m.rewind.begun = m.rewindReady()
	m.checkSnapshot(e.Snapshot)
	if m.rewind.begun {
		p.watermark, p.rewind = m.rewind.to, true
		return
	}
	p.records = m.recordable()
	for i := range s.waiting {
		if s.waiting[i].index == 0 {
			s.waiting[i].index = s.index
		}
	}
	for i := range m.flushes {
		if f := &m.flushes[i]; f.index == 0 && m.resolvedThrough(f.Offset) {
			f.index = s.index
		}
	}
}

// snapshot is what a snapshot must say now; held entries by id.
func (m *model) snapshot() Snapshot {
	s := Snapshot{
		Watermark: m.watermark, Anchor: m.anchor, Parked: m.parked,
		Published: m.published, Skipped: m.skipped, Rewinds: m.rewinds, Paused: m.paused,
	}
	if m.rewind.begun {
		s.Watermark, s.Anchor, s.Held = m.rewind.to, Pointer{}, m.heldBelow(m.rewind.to)
		s.Rewinds++
		s.Parked = m.parkedFor(m.rewind.to)
		return s
	}
	for _, id := range slices.Sorted(maps.Keys(m.streams)) {
		switch st := m.streams[id]; {
		case st.held:
			s.Held = append(s.Held, HeldStream{PersistenceID: id, Next: st.next, SettledOffset: st.settledOffset})
		case st.ahead:
			s.Held = append(s.Held, HeldStream{PersistenceID: id, Next: st.aheadNext, SettledOffset: st.aheadOffset})
		}
	}
	return s
}

// checkSnapshot compares a snapshot, but for the order of the held entries and the words of the reasons.
func (m *model) checkSnapshot(theirs Snapshot) {
	plain := func(s Snapshot) Snapshot {
		held := append([]HeldStream{}, s.Held...)
		slices.SortFunc(held, func(a, b HeldStream) int { return strings.Compare(a.PersistenceID, b.PersistenceID) })
		parked := append([]ParkedEvent{}, s.Parked...)
		for i := range parked {
			parked[i].Reason = ""
		}
		s.Held, s.Parked = held, parked
		return s
	}
	if ours, theirs := plain(m.snapshot()), plain(theirs); !reflect.DeepEqual(ours, theirs) {
		m.disagree("the snapshot is\n  %+v\nand should be\n  %+v", theirs, ours)
	}
}

// checkFinal compares the last snapshot of one who must stop now; ok is whether there is one.
func (m *model) checkFinal(e Save, ok bool) {
	if m.phase == recovering || m.phase == stopped {
		return
	}
	if ok == m.clean() {
		m.disagree("a final save: %t", ok)
	}
	if ok {
		m.checkSnapshot(e.Snapshot)
	}
}

func (m *model) saved(in Saved) {
	if in.Result == SaveFenced {
		m.stop(ErrFenced)
		return
	}
	s := &m.saves
	p := s.pending
	if p == nil || p.index != in.Index {
		return
	}
	s.pending = nil
	if in.Result != SaveOK {
		s.failures++
		backoff := m.cfg.Backoff(s.failures)
		s.soonest, s.latest = m.now.Add(backoff), m.now.Add(2*backoff+1)
		s.changed = true
		for i := range s.waiting {
			s.waiting[i].index = 0
		}
		m.forgetFlushes()
		return
	}
	s.failures, s.soonest, s.latest, s.watermark, s.paused = 0, time.Time{}, time.Time{}, p.watermark, p.paused
	if p.rewind {
		m.rewound()
		return
	}
	s.basing = false
	for _, key := range p.records {
		delete(m.unsaved, key)
	}
	m.flushes = slices.DeleteFunc(m.flushes, func(f flush) bool {
		done := f.index != 0
		if done {
			m.reply(Reply{Token: f.Token})
		}
		return done
	})
	s.waiting = slices.DeleteFunc(s.waiting, func(c modelConfirmation) bool {
		if c.index == 0 {
			return false
		}
		if c.st != nil {
			c.st.parking = false
			m.afterBatch(c.st)
		}
		if c.reply != nil {
			m.reply(*c.reply)
		}
		return true
	})
	m.forget()
}

// forgetFlushes has the flushes wait for another save.
func (m *model) forgetFlushes() {
	for i := range m.flushes {
		m.flushes[i].index = 0
	}
}

// modelRewind is a rewind under way.
type modelRewind struct {
	on, begun bool
	token     uint64
	to        query.Offset
}

// rewindReady reports whether nothing that was before is in flight, or waits for a save.
func (m *model) rewindReady() bool {
	return m.rewind.begun || m.rewind.on && m.phase == running && len(m.batches) == 0 && len(m.saves.waiting) == 0
}

// heldBelow are the held ids that have something unresolved at or below the offset, by id.
func (m *model) heldBelow(offset query.Offset) (held []HeldStream) {
	for _, id := range slices.Sorted(maps.Keys(m.streams)) {
		if st := m.streams[id]; st.held && st.settledOffset < offset {
			held = append(held, HeldStream{PersistenceID: id, Next: st.next, SettledOffset: st.settledOffset})
		}
	}
	return held
}

// parkedFor are the entries that are unresolved, or that a held id will come across at or below the offset.
func (m *model) parkedFor(offset query.Offset) []ParkedEvent {
	return slices.DeleteFunc(slices.Clone(m.parked), func(p ParkedEvent) bool {
		st := m.streams[p.PersistenceID]
		ahead := st != nil && st.held && st.next <= p.SequenceNumber && p.Offset <= offset
		return p.Resolution != Unresolved && !ahead
	})
}

// rewound begins anew at the offset.
func (m *model) rewound() {
	to, held := m.rewind.to, m.heldBelow(m.rewind.to)
	m.reply(Reply{Token: m.rewind.token})
	m.due(NoticeRewound, "", 0)
	m.rewind = modelRewind{}
	m.rewinds++
	m.parked = m.parkedFor(to)
	m.position, m.watermark, m.anchor, m.window = to, to, Pointer{}, nil
	m.feedRead, m.outage.probe = modelRead{}, 0
	clear(m.gaps)
	clear(m.sent)
	clear(m.unsaved)
	for _, d := range m.destinations {
		m.endOutageOf(d)
	}
	clear(m.destinations)
	clear(m.reads)
	clear(m.streams)
	m.restore(held)
	m.forgetFlushes()
}
