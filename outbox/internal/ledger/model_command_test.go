package ledger

import (
	"errors"
	"slices"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// command takes a command.
func (m *model) command(in Input) {
	switch in := in.(type) {
	case AwaitSettled:
		m.awaited = append(m.awaited, in)
	case Flush:
		m.flushes = append(m.flushes, flush{Flush: in})
	case Cancel:
		m.awaited = slices.DeleteFunc(m.awaited, func(w AwaitSettled) bool { return w.Token == in.Token })
		m.flushes = slices.DeleteFunc(m.flushes, func(f flush) bool { return f.Token == in.Token })
	case Drain:
		m.phase = draining
		m.drains = append(m.drains, in)
	case Skip:
		m.skipCommand(in)
	case RetryNow:
		m.retryCommand(in)
	case Redrive:
		m.redriveCommand(in)
	case Rewind:
		m.rewindCommand(in)
	case Pause:
		m.pauseCommand(in.Token, true, NoticePaused)
	case Resume:
		m.pauseCommand(in.Token, false, NoticeResumed)
	}
}

func (m *model) reply(r Reply) { m.replies = append(m.replies, r) }

func (m *model) conflict(token uint64) { m.reply(Reply{Token: token, Err: ErrConflict}) }

// allowReply takes a reply that is due.
func (m *model) allowReply(e Reply) {
	for i, r := range m.replies {
		if r.Token == e.Token && r.Count == e.Count && reason(r.Err) == reason(e.Err) {
			m.replies = slices.Delete(m.replies, i, i+1)
			return
		}
	}
	m.disagree("there is no reason for %s; due are %v", describe(e), m.replies)
}

// reason says of which kind an error is.
func reason(err error) string {
	var (
		parked  *ParkedError
		skipped *SkippedError
	)
	switch {
	case err == nil:
		return ""
	case errors.As(err, &parked):
		return "parked"
	case errors.As(err, &skipped):
		return "skipped"
	}
	for _, kind := range []error{ErrFenced, ErrStopped, ErrDrainDeadline, ErrConflict, ErrNotRedriven} {
		if errors.Is(err, kind) {
			return kind.Error()
		}
	}
	return "unexpected: " + err.Error()
}

// waiting are those who wait for a reply, as they are answered when the ledger ends.
func (m *model) waiting() (replies []Reply) {
	for _, w := range m.awaited {
		replies = append(replies, Reply{Token: w.Token})
	}
	for _, f := range m.flushes {
		replies = append(replies, Reply{Token: f.Token})
	}
	for _, c := range m.saves.waiting {
		if c.reply != nil {
			replies = append(replies, *c.reply)
		}
	}
	for _, j := range m.redrive.jobs {
		replies = append(replies, Reply{Token: j.token, Count: j.delivered})
	}
	if m.rewind.on {
		replies = append(replies, Reply{Token: m.rewind.token})
	}
	return replies
}

// answer replies, once in a step, to those whose condition has come true.
func (m *model) answer() {
	if m.told {
		return
	}
	m.told = true
	m.awaited = slices.DeleteFunc(m.awaited, func(w AwaitSettled) bool {
		done, err := m.isResolved(w)
		if done {
			m.reply(Reply{Token: w.Token, Err: err})
		}
		return done
	})
	m.flushes = slices.DeleteFunc(m.flushes, func(f flush) bool {
		done := m.clean() && m.resolvedThrough(f.Offset)
		if done {
			m.reply(Reply{Token: f.Token})
		}
		return done
	})
}

// isResolved reports whether an event is settled or given up on, or was removed from the journal.
func (m *model) isResolved(w AwaitSettled) (bool, error) {
	if p := m.find(eventKey{w.PersistenceID, w.SequenceNumber}); p != nil {
		switch p.Resolution {
		case Unresolved:
			return true, &ParkedError{}
		case Skipped:
			return true, &SkippedError{}
		default:
			return true, nil
		}
	}
	st := m.streams[w.PersistenceID]
	if st != nil && w.SequenceNumber < st.next {
		return true, nil
	}
	if w.Offset > m.position || st != nil && (st.held || m.gaps[st] != 0) {
		return false, nil
	}
	waits := st != nil && slices.ContainsFunc(st.events, func(e *modelEvent) bool { return e.SequenceNumber >= w.SequenceNumber })
	return !waits, nil
}

// resolvedThrough reports whether everything at or below the offset is settled or given up on.
func (m *model) resolvedThrough(offset query.Offset) bool {
	if m.watermark < offset {
		return false
	}
	for _, st := range m.streams {
		switch {
		case !st.held:
		case len(st.events) > 0:
			if st.events[0].Offset <= offset {
				return false
			}
		case st.verified && st.next > st.through:
		case st.settledOffset < offset:
			return false
		}
	}
	return true
}

func (m *model) skipCommand(in Skip) {
	key := eventKey{in.PersistenceID, in.SequenceNumber}
	reply := &Reply{Token: in.Token, Count: 1}
	st, p := m.streams[in.PersistenceID], m.find(key)
	busy := m.redrive.key == key && (m.redrive.read.id != 0 || m.redrive.event)
	switch {
	case m.rewind.on || p != nil && (p.Resolution != Unresolved || busy):
		m.conflict(in.Token)
	case p != nil:
		p.Resolution = Skipped
		m.dropResolved()
		m.wasSkipped(key)
		m.confirm(nil, reply)
	case st == nil || len(st.events) == 0 && !st.held, st.front() != in.SequenceNumber,
		m.inFlight(st.id) > 0 || m.reads[st.id].id != 0 || st.parking,
		m.redrive.batch != 0 && m.redrive.key.id == st.id:
		m.conflict(in.Token)
	case len(st.events) > 0:
		m.skip(st)
		m.confirm(st, reply)
	case in.Offset == 0 || st.attempts == 0 && !st.stuck:
		m.conflict(in.Token)
	default: // it is held and not in memory
		st.next, st.readFrom, st.settledOffset = in.SequenceNumber+1, in.SequenceNumber+1, in.Offset
		if u := m.unsaved[key]; u != nil {
			u.resolved = true
		}
		m.acquit(st)
		m.wasSkipped(key)
		m.confirm(st, reply)
	}
}

func (m *model) retryCommand(in RetryNow) {
	n := 0
	for id, st := range m.streams {
		if (in.PersistenceID == "" || in.PersistenceID == id) && (st.stuck || st.failing) {
			st.stuck, st.soonest, st.notBefore = false, time.Time{}, time.Time{}
			if m.waits(st) {
				m.destinations[st.dest].soonest = m.now
			}
			n++
		}
	}
	if n == 0 && in.PersistenceID != "" {
		m.conflict(in.Token)
		return
	}
	if m.outage.on {
		m.outage.soonest = m.now
	}
	m.reply(Reply{Token: in.Token, Count: n})
}

func (m *model) redriveCommand(in Redrive) {
	var keys []eventKey
	for _, p := range m.parked {
		if p.Resolution == Unresolved && (in.PersistenceID == "" || p.PersistenceID == in.PersistenceID) &&
			(in.SequenceNumber == 0 || p.SequenceNumber == in.SequenceNumber) {
			keys = append(keys, eventKey{p.PersistenceID, p.SequenceNumber})
		}
	}
	if m.phase != running || in.PersistenceID == "" && in.SequenceNumber != 0 || len(keys) == 0 && in.PersistenceID != "" {
		m.conflict(in.Token)
		return
	}
	m.redrive.jobs = append(m.redrive.jobs, redriveJob{token: in.Token, keys: keys})
}

func (m *model) rewindCommand(in Rewind) {
	if m.rewind.on || m.phase != running || in.To < 0 || in.To >= m.watermark {
		m.conflict(in.Token)
		return
	}
	m.rewind = modelRewind{on: true, token: in.Token, to: in.To}
}

func (m *model) pauseCommand(token uint64, paused bool, kind NoticeKind) {
	if m.paused != paused {
		m.paused = paused
		m.due(kind, "", 0)
		if !paused {
			m.frontSince = m.now
		}
	}
	if m.saves.paused == m.paused && m.saves.pending == nil {
		m.reply(Reply{Token: token})
		return
	}
	m.confirm(nil, &Reply{Token: token})
}
