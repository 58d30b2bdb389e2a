package ledger

import (
	"slices"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// parkedList is the events that were given up on. A snapshot shares its slice: it is appended to, or replaced.
type parkedList struct {
	events []ParkedEvent // oldest first
	index  map[eventKey]int
	open   int // those that are not resolved
}

type eventKey struct {
	id  string
	seq int64
}

func (p *parkedList) add(e ParkedEvent) {
	p.index[eventKey{e.PersistenceID, e.SequenceNumber}] = len(p.events)
	p.events = append(p.events, e)
	if e.Resolution == Unresolved {
		p.open++
	}
}

// has reports whether this very event was given up on; another one under its number, in another history, was not.
func (p *parkedList) has(e *query.Event) bool {
	if len(p.index) == 0 {
		return false
	}
	i, ok := p.index[eventKey{e.PersistenceID, e.SequenceNumber}]
	return ok && p.events[i].UID == e.UID
}

func (p *parkedList) get(key eventKey) (ParkedEvent, bool) {
	i, ok := p.index[key]
	if !ok {
		return ParkedEvent{}, false
	}
	return p.events[i], true
}

// resolve marks an event as no longer parked.
func (p *parkedList) resolve(key eventKey, how Resolution) {
	p.events = slices.Clone(p.events)
	p.events[p.index[key]].Resolution = how
	p.open--
}

// complain replaces the reason why an event is parked.
func (p *parkedList) complain(key eventKey, reason string) {
	p.events = slices.Clone(p.events)
	p.events[p.index[key]].Reason = reason
}

// keep forgets the events of which keep is false.
func (p *parkedList) keep(keep func(*ParkedEvent) bool) {
	if p.open == len(p.events) {
		return // the common case: none is resolved
	}
	events := make([]ParkedEvent, 0, len(p.events))
	for i := range p.events {
		if e := &p.events[i]; keep(e) {
			events = append(events, *e)
		}
	}
	if len(events) == len(p.events) {
		return
	}
	p.events = events
	clear(p.index)
	for i := range events {
		p.index[eventKey{events[i].PersistenceID, events[i].SequenceNumber}] = i
	}
}

// dropResolved forgets the resolved events that nobody will come across again: the watermark has passed them, and so has
// their stream, if it is held.
func (l *Ledger) dropResolved() {
	l.parked.keep(func(e *ParkedEvent) bool {
		if e.Resolution == Unresolved || e.Offset > l.window.watermark {
			return true
		}
		st := l.streams[e.PersistenceID]
		return st != nil && st.held && st.next <= e.SequenceNumber
	})
}

// unresolved returns the keys of what is parked: one event, all of an id if seq is 0, all if the id is empty.
func (p *parkedList) unresolved(id string, seq int64) (keys []eventKey) {
	for i := range p.events {
		e := &p.events[i]
		if e.Resolution == Unresolved && (id == "" || e.PersistenceID == id) && (seq == 0 || e.SequenceNumber == seq) {
			keys = append(keys, eventKey{e.PersistenceID, e.SequenceNumber})
		}
	}
	return keys
}
