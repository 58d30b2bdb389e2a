package ledger

import (
	"maps"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// feedPage takes what the feed shows, event by event, until there is one for which there is no place.
func (m *model) feedPage(in FeedPage) {
	if m.phase != running || m.feedRead.id == 0 || in.Read != m.feedRead.id {
		return
	}
	m.feedRead = modelRead{}
	for i := range in.Page.Events {
		if !m.show(&in.Page.Events[i]) {
			m.closeGaps()
			return
		}
		m.position = in.Page.Events[i].Offset
	}
	m.position = in.Page.Next
	m.closeGaps()
}

// closeGaps forgets those of which the event was shown after all, or there is nothing to be shown any more.
func (m *model) closeGaps() {
	maps.DeleteFunc(m.gaps, func(_ *modelStream, at query.Offset) bool { return m.position >= at })
}

// show takes an event of the feed. It reports whether there was a place for it.
func (m *model) show(e *query.Event) bool {
	st, seq := m.streams[e.PersistenceID], e.SequenceNumber
	if st != nil && !st.held && seq > max(st.last+1, st.next) && m.cfg.contiguous() {
		return m.gap(st, e)
	}
	switch {
	case m.isGivenUp(e):
		if st != nil {
			st.saw(e)
		}
		return true
	case st == nil:
		st = m.newStream(e.PersistenceID, seq)
	case seq < st.next:
		st.saw(e)
		return true
	case st.held:
		st.through = max(st.through, seq)
		return true
	case seq <= st.last:
		m.disagree("the feed shows %s after number %d", e.ID(), st.last)
	}
	if len(m.window) >= m.cfg.Window.Events {
		return false
	}
	if len(m.window) == 0 {
		m.frontSince = m.now
	}
	st.saw(e)
	m.window = append(m.window, st.push(e, true))
	hot := len(st.events) > m.cfg.Window.Events/4 || st.bytes() > m.cfg.Window.Bytes/4
	if hot && len(m.window) > len(st.events) && !m.outage.on && m.place(st, false) {
		m.expectNotice(NoticeHeld, st.id)
		m.hold(st, seq)
	}
	return true
}

// gap holds an id of which the feed has left out an event. While there is no place, the watermark waits before it.
func (m *model) gap(st *modelStream, e *query.Event) bool {
	if !m.place(st, true) {
		m.gaps[st] = e.Offset
		return false
	}
	missed := max(st.last+1, st.next)
	m.expectNotice(NoticeHeld, st.id)
	m.hold(st, e.SequenceNumber)
	m.due(NoticeGap, st.id, missed)
	m.expectNotice(NoticeGap, st.id)
	m.notices = m.notices[:len(m.notices)-1]
	return true
}

// expectNotice takes the ledger's next effect, which must be a certain notice.
func (m *model) expectNotice(kind NoticeKind, id string) {
	if len(m.effects) > 0 {
		if n, ok := m.effects[0].(Notice); ok && n.Kind == kind && n.PersistenceID == id {
			m.effects = m.effects[1:]
			return
		}
	}
	m.disagree("%s must be %s now", id, noticeNames[kind])
}

// gapsBefore are the ids of which an event may be missing before the offset.
func (m *model) gapsBefore(offset query.Offset) (ids []*modelStream) {
	for st := range m.gaps {
		if offset > st.lastOffset {
			ids = append(ids, st)
		}
	}
	return ids
}

// advance moves the watermark over all that is resolved, or of an id that is held: the longest prefix of what the feed
// has shown. While there is something in the window, it stands at an event of it.
func (m *model) advance() {
	before := m.watermark
	for len(m.window) > 0 && (m.window[0].resolved || !m.window[0].inWindow) && len(m.gapsBefore(m.window[0].Offset)) == 0 {
		m.watermark, m.anchor = m.window[0].Offset, m.window[0].Pointer
		m.window = m.window[1:]
		m.frontSince = m.now
	}
	if len(m.window) == 0 && len(m.gaps) == 0 {
		m.watermark = max(m.watermark, m.position)
	}
	if m.watermark == before {
		return
	}
	for _, st := range m.streams {
		if st.ahead && st.aheadOffset <= m.watermark {
			st.ahead, st.aheadIn = false, m.steps
		}
	}
	m.dropResolved()
	m.forget()
}

// room is what the window has room for, ok whether reading so little is worth it.
func (m *model) room() (limits query.Limits, ok bool) {
	cfg := &m.cfg
	bytes, sent := 0, 0
	for _, e := range m.window {
		bytes += e.size
		sent += count(e.sent)
	}
	quarter := query.Limits{
		Events: (min(cfg.Page.Events, cfg.Window.Events, m.common()) + 3) / 4,
		Bytes:  (min(cfg.Page.Bytes, cfg.Window.Bytes) + 3) / 4,
	}
	// The window has at most as many events as the budget bears; those in it that were sent are paid for.
	most := max(m.common()-len(m.unsaved)+sent, quarter.Events)
	limits = query.Limits{
		Events: min(cfg.Page.Events, min(cfg.Window.Events, most)-len(m.window)),
		Bytes:  min(cfg.Page.Bytes, cfg.Window.Bytes-bytes),
	}
	return limits, len(m.window) == 0 || limits.Events >= quarter.Events && limits.Bytes >= quarter.Bytes
}

func (m *model) allowReadFeed(e ReadFeed) {
	limits, ok := m.room()
	if len(m.gaps) > 0 {
		limits, ok = query.Limits{Events: max(1, limits.Events), Bytes: max(1, limits.Bytes)}, true
	}
	switch {
	case m.phase != running || m.halted():
		m.disagree("the feed is not to be read")
	case m.feedRead.id != 0:
		m.disagree("the feed is being read")
	case e.After != m.position:
		m.disagree("the feed was read up to %d, not %d", m.position, e.After)
	case m.heldCount() >= m.cfg.MaxHeld:
		m.disagree("no more ids can be held, but the feed is read")
	case m.outage.on && m.untried():
		m.disagree("the feed is read in an outage, although there is somebody to try")
	case !ok || e.Limits != limits:
		m.disagree("there is room for %+v (%t), not %+v", limits, ok, e.Limits)
	}
	m.feedRead = modelRead{id: e.Read, until: m.now.Add(m.cfg.ReadTimeout)}
}
