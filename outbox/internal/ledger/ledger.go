package ledger

import (
	"errors"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// Ledger is the state of one life of an outbox. It is not safe for concurrent use.
type Ledger struct {
	cfg     Config
	now     time.Time
	effects []Effect
	phase   phase

	feed    feed
	window  window
	streams map[string]*stream
	lanes   []lane
	batches []*batch // unanswered, oldest first
	batchID uint64
	readID  uint64

	failing []*stream // have failed and not succeeded since, oldest failure first
	outage  outage
	// destinations are those of which something has failed, by name; out are those that are out.
	destinations map[string]*destination
	out          []*destination
	// round grows with every answer that brings good news. Of the answer that is being taken, heard are the destinations that
	// it has good news of, and roundBefore is the round before it.
	round, roundBefore uint64
	heard              []string
	held               []*stream // in the order in which they became held
	ahead              []*stream // rejoined, but settled beyond the watermark
	catchUp            catchUp

	parked  parkedList
	redrive redriving
	rewind  rewinding
	paused  bool
	unsaved int // events dispatched at least once that no known snapshot records
	// recordable is the part of unsaved that a snapshot made now would record.
	recordable int
	// published, skipped and rewinds are counted over all lives.
	published, skipped, rewinds int64

	counters counters
	saves    saves

	waiters []AwaitSettled
	flushes []flush
	drains  []Drain
	fenced  bool
}

type phase uint8

const (
	recovering phase = iota
	running
	draining
	stopped
)

type counters struct {
	published, unknownBatches, missing, gaps int64
	lastRead, lastPublished                  time.Time
	lastErr                                  string
}

// New returns a ledger that waits for [Recovered].
func New(cfg Config) *Ledger {
	l := &Ledger{
		cfg:     cfg,
		streams: make(map[string]*stream),
		lanes:   make([]lane, cfg.Lanes),
	}
	l.parked.index = make(map[eventKey]int)
	return l
}

// Step takes one input and returns what is to be done about it. Time must not go back. The returned slice is
// valid until the next call.
func (l *Ledger) Step(now time.Time, in Input) []Effect {
	clear(l.effects)
	l.effects = l.effects[:0]
	if l.phase == stopped {
		return nil
	}
	if now.After(l.now) {
		l.now = now
	}
	if l.phase == recovering {
		l.stepRecovering(in)
	} else {
		l.step(in)
	}
	if l.phase == running || l.phase == draining {
		l.proceed()
	}
	return l.effects
}

func (l *Ledger) stepRecovering(in Input) {
	switch in := in.(type) {
	case Recovered:
		l.recover(in)
	case LaneUp:
		l.lanes[in.Lane].up = true
	case LaneDown:
		l.lanes[in.Lane].up = false
	case Drain:
		l.emit(Reply{Token: in.Token})
		l.stop(nil)
	case AwaitSettled:
		l.waiters = append(l.waiters, in)
	case Flush:
		l.flushes = append(l.flushes, flush{Flush: in})
	case Cancel:
		l.cancel(in.Token)
	case Fenced:
		l.stop(ErrFenced)
	}
}

func (l *Ledger) step(in Input) {
	switch in := in.(type) {
	case Tick:
		l.tick()
	case Wake:
		l.feed.wake(l.now)
	case FeedPage:
		if l.phase == running {
			l.feedPage(in)
		}
	case FeedFailed:
		l.feedFailed(in.Read, in.Err)
	case StreamPage:
		l.streamPage(in)
	case StreamFailed:
		l.streamFailed(in.Read, in.Err)
	case Published:
		l.batchAnswered(in)
	case LaneUp:
		l.lanes[in.Lane].up = true
	case LaneDown:
		l.laneDown(in.Lane)
	case Saved:
		l.saved(in)
	case AwaitSettled:
		l.waiters = append(l.waiters, in)
	case Flush:
		l.flushes = append(l.flushes, flush{Flush: in})
	case Drain:
		l.startDrain(in)
	case Cancel:
		l.cancel(in.Token)
	case Skip:
		l.skipOne(in)
	case RetryNow:
		l.retry(in)
	case Redrive:
		l.startRedrive(in)
	case Rewind:
		l.startRewind(in)
	case Pause:
		l.pause(in.Token)
	case Resume:
		l.resume(in.Token)
	case Fenced:
		l.stop(ErrFenced)
	}
}

// halted reports whether nothing may be read or sent for now.
func (l *Ledger) halted() bool { return l.paused || l.rewind.on || l.saves.basing }

// proceed does whatever has become possible. The order matters: what is settled moves the watermark, which
// frees the window and the budget for dispatches, reads and saves.
func (l *Ledger) proceed() {
	l.advance()
	if l.phase == running && !l.halted() {
		l.goOnRedriving()
		l.pump()
		l.readStreams()
		l.readFeed()
	}
	l.answerWaiters()
	l.holdUnsent()
	l.save()
	l.finishDrain()
}

func (l *Ledger) tick() {
	l.expireBatches()
	l.expireReads()
	l.expireSave()
	l.retryFailing()
	l.holdFront()
}

func (l *Ledger) recover(in Recovered) {
	s := in.Snapshot
	l.phase = running
	l.window.watermark, l.window.anchor = s.Watermark, s.Anchor
	l.feed.position = s.Watermark
	l.published, l.skipped, l.rewinds, l.paused = s.Published, s.Skipped, s.Rewinds, s.Paused
	l.saves.index = max(in.Index, in.Tried)
	l.saves.watermark = s.Watermark
	l.saves.basing = in.Base || in.Tried > in.Index
	l.saves.paused = s.Paused
	for _, p := range s.Parked {
		l.parked.add(p)
	}
	l.restoreHeld(s.Held)
	if in.Token != 0 {
		l.confirm(confirmation{reply: &Reply{Token: in.Token}})
	}
}

func (l *Ledger) restoreHeld(held []HeldStream) {
	for _, h := range held {
		st := l.newStream(h.PersistenceID)
		st.held, st.next, st.settledOffset = true, h.Next, h.SettledOffset
		st.readFrom = h.Next
		l.held = append(l.held, st)
		l.wantCatchUp(st)
	}
}

// grain is how exactly the ledger keeps its time limits, unless it polls more often anyway.
const grain = 50 * time.Millisecond

// Position is the offset up to which the feed was read.
func (l *Ledger) Position() query.Offset { return l.feed.position }

// Anchor is the last event that the watermark has passed, its zero value if that is not known.
func (l *Ledger) Anchor() Pointer { return l.window.anchor }

// NextTick is the time at which the ledger next wants a [Tick]; the zero time if it waits only for answers that
// are sure to come as inputs. Ticks at other times do no harm.
func (l *Ledger) NextTick() time.Time {
	if l.phase == stopped || l.phase == recovering {
		return time.Time{}
	}
	busy := len(l.batches) > 0 || len(l.catchUp.reads) > 0 || l.feed.reading != 0 || l.redrive.read != 0 ||
		l.saves.pending != nil || l.dirty() || l.saves.basing || l.rewind.on || l.phase == draining
	if !l.paused {
		busy = busy || len(l.failing) > 0 || len(l.catchUp.queue) > 0 || l.window.len() > 0 || l.unsaved > 0 || len(l.redrive.jobs) > 0 || len(l.out) > 0
	}
	soon := l.now.Add(min(l.cfg.PollInterval, grain))
	switch {
	case busy:
		return soon
	case l.paused:
		return l.now.Add(l.cfg.LazySaveInterval)
	case l.feed.due.Before(soon):
		return soon
	case l.saveDue().IsZero() || l.feed.due.Before(l.saveDue()):
		return l.feed.due
	default:
		return l.saveDue()
	}
}

func (l *Ledger) emit(e Effect) { l.effects = append(l.effects, e) }

func (l *Ledger) notice(kind NoticeKind, id string, seq int64, err string) {
	l.emit(Notice{Kind: kind, PersistenceID: id, SequenceNumber: seq, Err: err})
}

func (l *Ledger) stop(err error) {
	for _, w := range l.waiters {
		l.emit(Reply{Token: w.Token, Err: orStopped(err)})
	}
	for _, f := range l.flushes {
		l.emit(Reply{Token: f.Token, Err: orStopped(err)})
	}
	l.refuseOperators(orStopped(err))
	for _, d := range l.drains {
		l.emit(Reply{Token: d.Token, Err: err})
	}
	l.fenced = errors.Is(err, ErrFenced)
	l.waiters, l.flushes = nil, nil
	l.phase = stopped
	l.emit(Stop{Err: err})
}

// orStopped is what those are told whose wish can no longer come true. That a drain ran out of time is for those to
// know who asked for the drain.
func orStopped(err error) error {
	if err == nil || errors.Is(err, ErrDrainDeadline) {
		return ErrStopped
	}
	return err
}
