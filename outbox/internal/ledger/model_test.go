package ledger

import (
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// model is a second, plainly written ledger. It is fed with the inputs that the ledger gets and with the effects that
// the ledger answered. What the rules determine it works out by itself, with maps, lists and full scans; where they
// leave a choice (who is sent, read or held next), it takes the ledger's and sees that it was allowed. The simulation
// compares the two after every step: see model_compare_test.go.
//
//	model_test.go          one step
//	model_stream_test.go   what is known of an id
//	model_feed_test.go     pages of the feed, the window, the watermark, room
//	model_catchup_test.go  held ids and their reads
//	model_publish_test.go  what may be sent, and what its outcome means
//	model_outage_test.go   failures, and whom they are laid to
//	model_destination_test.go  the destinations that publishers name
//	model_parked_test.go   events that were given up on, and their being sent once more
//	model_save_test.go     snapshots, what they record, when one is due
//	model_command_test.go  commands, and which replies are due
//	model_compare_test.go  both sides' books
type model struct {
	life  *life
	cfg   Config
	now   time.Time
	phase phase
	lanes []bool // up

	position, watermark query.Offset
	anchor              Pointer
	feedRead            modelRead     // unanswered
	window              []*modelEvent // shown, and not passed by the watermark
	// gaps are the ids of which the feed has left out an event, while there is no place to hold them, with the offset at
	// which that was seen.
	gaps       map[*modelStream]query.Offset
	frontSince time.Time
	streams    map[string]*modelStream
	reads      map[string]modelRead // unanswered, by id

	batches []*modelBatch
	sent    map[eventKey]bool // at least once
	unsaved map[eventKey]*modelUnsaved
	outage  modelOutage
	// Of the destinations by name, and of the answer that is being taken: the destinations heard of, the rounds before it, and
	// the ids that are not judged yet.
	destinations         map[string]*modelDestination
	rounds, roundsBefore int
	heard                map[string]bool
	unjudged             map[string]Result

	parked                      []ParkedEvent
	published, skipped, rewinds int64
	paused                      bool
	redrive                     modelRedrive
	rewind                      modelRewind
	saves                       modelSaves

	awaited []AwaitSettled
	flushes []flush
	drains  []Drain

	// Of the present step:
	effects []Effect // that the ledger asks for and the model has yet to look at
	notices []Notice // that are due
	replies []Reply  // that are due
	given   []Reply
	alive   bool // something was delivered
	// wereHeld is the number of held ids when the step began, and those that have become so since.
	wereHeld int
	told     bool  // those who waited were answered
	judged   bool  // whether a save and the end are due
	end      *Stop // is due
	steps    int
}

// modelRead is a read that waits for its answer.
type modelRead struct {
	id      uint64 // 0: none
	through int64  // of the stream, when it was asked for
	until   time.Time
}

func newModel(lf *life, cfg Config) *model {
	cfg.Jitter = func() float64 { return 0 } // the soonest
	return &model{
		life: lf, cfg: cfg, lanes: make([]bool, cfg.Lanes),
		streams: make(map[string]*modelStream), gaps: make(map[*modelStream]query.Offset), reads: make(map[string]modelRead),
		sent: make(map[eventKey]bool), unsaved: make(map[eventKey]*modelUnsaved),
		outage: modelOutage{blamed: make(map[string]bool)}, destinations: make(map[string]*modelDestination), heard: make(map[string]bool),
	}
}

// follow takes the ledger's step: an input and the effects that came of it.
func (m *model) follow(now time.Time, in Input, effects []Effect) {
	if m.phase == stopped {
		return
	}
	m.now, m.effects = now, effects
	m.steps++
	m.notices, m.replies, m.given = m.notices[:0], m.replies[:0], m.given[:0]
	m.alive, m.told, m.judged, m.end = false, false, false, nil
	m.wereHeld = m.heldCount()
	if m.phase == recovering {
		m.takeEarly(in)
	} else {
		m.takeInput(in)
	}
	if m.goesOn() {
		m.advance()
		if m.phase == running && !m.halted() {
			m.goOnRedriving()
			m.dropProbes()
		}
	}
	for len(m.effects) > 0 {
		e := m.effects[0]
		m.effects = m.effects[1:]
		m.allow(e)
	}
	m.judge()
	for _, r := range m.given {
		m.allowReply(r)
	}
	m.checkDue()
	m.compare()
}

// goesOn reports whether the ledger does what has become possible.
func (m *model) goesOn() bool { return (m.phase == running || m.phase == draining) && m.end == nil }

// halted reports whether nothing may be read or sent.
func (m *model) halted() bool { return m.paused || m.rewind.on || m.saves.basing }

// takeEarly takes an input before the snapshot is there.
func (m *model) takeEarly(in Input) {
	switch in := in.(type) {
	case Recovered:
		m.recover(in)
	case LaneUp, LaneDown, AwaitSettled, Flush, Cancel, Fenced:
		m.takeInput(in)
	case Drain:
		m.drains = append(m.drains, in)
		m.stop(nil)
	}
}

func (m *model) takeInput(in Input) {
	switch in := in.(type) {
	case Tick:
		m.expire()
	case FeedPage:
		m.feedPage(in)
	case FeedFailed:
		if in.Read == m.feedRead.id {
			m.feedRead = modelRead{}
		}
	case StreamPage:
		m.streamPage(in)
	case StreamFailed:
		m.streamFailed(in.Read)
	case Published:
		m.batchAnswered(in)
	case LaneUp:
		m.lanes[in.Lane] = true
	case LaneDown:
		m.lanes[in.Lane] = false
		m.loseBatches(func(b *modelBatch) bool { return b.lane == in.Lane }, errPublisherGone)
	case Saved:
		m.saved(in)
	case Fenced:
		m.stop(ErrFenced)
	case Wake:
	default:
		m.command(in)
	}
}

func (m *model) recover(in Recovered) {
	s := in.Snapshot
	m.phase = running
	m.position, m.watermark, m.anchor = s.Watermark, s.Watermark, s.Anchor
	m.parked = append(m.parked, s.Parked...)
	m.published, m.skipped, m.rewinds, m.paused = s.Published, s.Skipped, s.Rewinds, s.Paused
	m.saves = modelSaves{index: max(in.Index, in.Tried), watermark: s.Watermark, basing: in.Base || in.Tried > in.Index, paused: s.Paused}
	m.restore(s.Held)
	if in.Token != 0 {
		m.confirm(nil, &Reply{Token: in.Token})
	}
}

// expire takes what was not answered in time as not answered.
func (m *model) expire() {
	m.loseBatches(func(b *modelBatch) bool { return !m.now.Before(b.until) }, errPublishTimeout)
	if m.feedRead.id != 0 && !m.now.Before(m.feedRead.until) {
		m.feedRead = modelRead{}
	}
	if r := m.redrive.read; r.id != 0 && !m.now.Before(r.until) {
		m.streamFailed(r.id)
	}
	for _, r := range m.reads {
		if !m.now.Before(r.until) {
			m.streamFailed(r.id)
		}
	}
	if p := m.saves.pending; p != nil && !m.now.Before(p.until) {
		m.saved(Saved{Index: p.index, Result: SaveFailed})
	}
}

// allow takes an effect, if it is one that the rules allow.
func (m *model) allow(effect Effect) {
	switch e := effect.(type) {
	case Notice:
		m.allowNotice(e)
	case ReadFeed:
		m.allowReadFeed(e)
	case ReadStream:
		m.allowReadStream(e)
	case Dispatch:
		m.allowDispatch(e)
	case Save:
		m.judge()
		m.allowSave(e)
	case Reply:
		m.given = append(m.given, e)
	case Stop:
		m.judge()
		m.allowStop(e)
	}
}

func (m *model) allowNotice(e Notice) {
	switch e.Kind {
	case NoticeHeld:
		m.allowHold(e.PersistenceID)
	case NoticeRejoined:
		m.allowRejoin(e.PersistenceID)
	default:
		for i, n := range m.notices {
			if n.Kind == e.Kind && n.PersistenceID == e.PersistenceID && n.SequenceNumber == e.SequenceNumber && n.Destination == e.Destination {
				m.notices = append(m.notices[:i], m.notices[i+1:]...)
				return
			}
		}
		m.disagree("there is no reason for %s", describe(e))
	}
}

// due notes something that the ledger must tell in this step.
func (m *model) due(kind NoticeKind, id string, seq int64) {
	m.notices = append(m.notices, Notice{Kind: kind, PersistenceID: id, SequenceNumber: seq})
}

// checkDue sees that the ledger told all that it had to.
func (m *model) checkDue() {
	switch {
	case len(m.notices) > 0:
		m.disagree("%s is missing", describe(m.notices[0]))
	case len(m.replies) > 0:
		m.disagree("%s is missing", describe(m.replies[0]))
	case m.end != nil:
		m.disagree("%s is missing", describe(*m.end))
	case m.redrive.wants:
		m.disagree("it does not read %v, which is to be sent once more", m.redrive.key)
	}
}

// stop has the ledger end: whoever waits is told.
func (m *model) stop(err error) {
	m.end = &Stop{Err: err}
	for _, r := range m.waiting() {
		m.reply(Reply{Token: r.Token, Count: r.Count, Err: orStopped(err)})
	}
	for _, d := range m.drains {
		m.reply(Reply{Token: d.Token, Err: err})
	}
}

func (m *model) allowStop(e Stop) {
	if m.end == nil || reason(m.end.Err) != reason(e.Err) {
		m.disagree("there is no reason for %s", describe(e))
	}
	m.end, m.phase = nil, stopped
}
