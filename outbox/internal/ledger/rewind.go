package ledger

import (
	"slices"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// rewinding is a rewind under way: the only way back for the watermark. Nothing is read or sent any more; what is in
// flight ends; the new watermark is saved; then all that was known of the feed is forgotten, and it is read from there.
type rewinding struct {
	on    bool
	token uint64
	to    query.Offset
	// begun: a save of it may have reached the store. From then on nothing but it is saved.
	begun bool
}

func (l *Ledger) startRewind(in Rewind) {
	switch {
	case l.rewind.on:
		l.refuse(in.Token, "it is being rewound to offset %d", l.rewind.to)
	case l.phase != running:
		l.refuse(in.Token, "the outbox drains")
	case in.To < 0 || in.To >= l.window.watermark:
		l.refuse(in.Token, "a rewind leads back, and the watermark is at offset %d", l.window.watermark)
	default:
		l.rewind = rewinding{on: true, token: in.Token, to: in.To}
	}
}

// ready reports whether everything that was in flight has ended, and been saved where something waits for that.
func (r *rewinding) ready(l *Ledger) bool {
	return r.begun || (r.on && l.phase == running && len(l.batches) == 0 && len(l.saves.waiting) == 0)
}

// saveRewound saves where the feed is to be read from. The held streams whose next event the feed will show again need
// no entry.
func (l *Ledger) saveRewound() {
	l.rewind.begun = true
	l.beginSave(pendingSave{watermark: l.rewind.to, rewind: true}, l.rewoundSnapshot())
}

func (l *Ledger) rewoundSnapshot() Snapshot {
	return Snapshot{
		Watermark: l.rewind.to,
		Held:      l.heldBelow(l.rewind.to),
		Parked:    l.parkedFor(l.rewind.to),
		Published: l.published,
		Skipped:   l.skipped,
		Rewinds:   l.rewinds + 1,
		Paused:    l.paused,
	}
}

// heldBelow returns the entries of the held streams that are not resolved up to the offset.
func (l *Ledger) heldBelow(offset query.Offset) (held []HeldStream) {
	for _, st := range l.held {
		if st.settledOffset < offset {
			held = append(held, HeldStream{PersistenceID: st.id, Next: st.next, SettledOffset: st.settledOffset})
		}
	}
	return held
}

// parkedFor returns the entries that outlast a rewind to the offset.
func (l *Ledger) parkedFor(offset query.Offset) []ParkedEvent {
	return slices.DeleteFunc(slices.Clone(l.parked.events), func(p ParkedEvent) bool { return !l.outlasts(&p, offset) })
}

// outlasts reports whether a parked entry outlasts a rewind to the offset: it is unresolved, or its stream, which is held,
// would come across it below that.
func (l *Ledger) outlasts(p *ParkedEvent, offset query.Offset) bool {
	st := l.streams[p.PersistenceID]
	return p.Resolution == Unresolved || (p.Offset <= offset && st != nil && st.held && st.next <= p.SequenceNumber)
}

// rewound begins anew from the snapshot that is now saved.
func (l *Ledger) rewound() {
	r := l.rewind
	held := l.heldBelow(r.to)
	l.rewind = rewinding{}
	l.rewinds++
	l.parked.keep(func(e *ParkedEvent) bool { return l.outlasts(e, r.to) })
	l.window = window{slots: l.window.slots, watermark: r.to}
	clear(l.window.slots)
	l.feed = feed{position: r.to, due: l.now}
	l.unsaved, l.recordable = 0, 0
	l.forgetDestinations()
	l.streams = make(map[string]*stream)
	l.failing, l.held, l.ahead = nil, nil, nil
	l.catchUp = catchUp{}
	for i := range l.lanes {
		l.lanes[i].fresh, l.lanes[i].again = streamQueue{}, streamQueue{}
	}
	l.outage.probing = 0
	l.restoreHeld(held)
	for i := range l.flushes {
		l.flushes[i].index = 0
	}
	l.notice(NoticeRewound, "", 0, "")
	l.emit(Reply{Token: r.token})
}
