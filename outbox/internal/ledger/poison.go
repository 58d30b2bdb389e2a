package ledger

// poisoned gives up on the head of the stream by the rule of the outbox. It returns why it could not, in which case the
// event is to be tried again.
func (l *Ledger) poisoned(st *stream, reason string) (why string) {
	switch {
	case l.cfg.OnPoison == Hold:
		l.stick(st, reason)
	case l.cfg.OnPoison == SkipOver:
		l.skip(st, reason)
		l.confirm(confirmation{st: st})
	case l.parked.open >= l.cfg.MaxParked:
		return "the parked list is full: " + reason
	default:
		l.park(st, reason)
	}
	return ""
}

// countFailure counts a failure towards MaxAttempts and reports whether that is reached. It counts only if something got
// through where the event goes since the failure before, or since the event was first sent: a destination that takes nothing
// must not use up anybody's attempts.
func (l *Ledger) countFailure(st *stream) bool {
	heardIn := l.outage.heardIn
	if st.dest != nil {
		heardIn = st.dest.heardIn
	}
	if heardIn > st.seenRound {
		st.counted++
		st.seenRound = l.round
	}
	return l.cfg.MaxAttempts > 0 && st.counted >= l.cfg.MaxAttempts
}

// park gives up on the head of the stream, visibly. The stream goes on once a snapshot that says so is known to be saved.
func (l *Ledger) park(st *stream, reason string) {
	en := l.giveUp(st)
	e := en.event
	l.parked.add(ParkedEvent{Pointer: pointerTo(e), Reason: reason, At: l.now})
	l.notice(NoticeParked, e.PersistenceID, e.SequenceNumber, reason)
	l.confirm(confirmation{st: st})
}

// skip lets go of the head of the stream. The caller has it confirmed.
func (l *Ledger) skip(st *stream, reason string) {
	en := l.giveUp(st)
	e := en.event
	if en.slot != noSlot {
		// While the watermark is behind it, only this keeps a crash from having the feed deliver it again. For a held
		// stream its next sequence number does.
		l.parked.add(ParkedEvent{Pointer: pointerTo(e), Reason: reason, At: l.now, Resolution: Skipped})
	}
	l.wasSkipped(e.PersistenceID, e.SequenceNumber, reason)
}

// wasSkipped counts and tells of an event that was let go of.
func (l *Ledger) wasSkipped(id string, seq int64, reason string) {
	l.skipped++
	l.notice(NoticeSkipped, id, seq, reason)
	kept := l.waiters[:0]
	for _, w := range l.waiters {
		if w.PersistenceID == id && w.SequenceNumber == seq {
			l.emit(Reply{Token: w.Token, Err: &SkippedError{PersistenceID: id, SequenceNumber: seq, Reason: reason}})
		} else {
			kept = append(kept, w)
		}
	}
	l.waiters = kept
}

// giveUp resolves the head of the stream without its being published. Nothing more of the stream is sent until that is
// saved.
func (l *Ledger) giveUp(st *stream) entry {
	en := st.pop()
	e := en.event
	st.next, st.settledOffset = e.SequenceNumber+1, e.Offset
	l.acquit(st)
	if en.slot != noSlot {
		l.window.at(en.slot).state = released
	}
	if e.SequenceNumber <= st.dispatched {
		l.recordable++ // the event counts as unsaved
		st.unresolved--
	}
	return en
}

// stick lets the stream wait for an operator.
func (l *Ledger) stick(st *stream, reason string) {
	l.leave(st)
	st.stuck, st.lastErr = true, reason
	if st.failing {
		l.unfail(st)
	}
	l.notice(NoticeStuck, st.id, st.front(), reason)
	if !st.held {
		l.hold(st, true)
		return
	}
	st.letGo()
}
