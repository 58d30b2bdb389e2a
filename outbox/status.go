package outbox

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// statusEntries is how many held ids, parked events and destinations a Status lists.
const statusEntries = 100

func (o *outbox) status() *outboxv1.Status {
	m := &outboxv1.Status{Name: o.name, State: outboxv1.State_STATE_STARTING, Reason: text(o.reason), Epoch: o.owner.epoch}
	if o.ledger == nil {
		switch {
		case o.stopping:
			m.State = outboxv1.State_STATE_STOPPED
		case o.blocked != nil:
			m.State, m.JournalIdentity = outboxv1.State_STATE_BLOCKED, o.identity
		}
		return m
	}
	s := o.ledger.Status(statusEntries)
	switch {
	case o.stopping || s.Stopped:
		m.State = outboxv1.State_STATE_STOPPED
	case s.Draining:
		m.State = outboxv1.State_STATE_DRAINING
	case s.Rewinding:
		m.State = outboxv1.State_STATE_REWINDING
	case s.Paused:
		m.State = outboxv1.State_STATE_PAUSED
	case s.Outage:
		m.State = outboxv1.State_STATE_OUTAGE
	default:
		m.State = outboxv1.State_STATE_RUNNING
	}
	m.Reason = text(s.LastError)
	m.Watermark, m.SavedWatermark, m.Position = int64(s.Watermark), int64(s.SavedWatermark), int64(s.Position)
	m.Published, m.PublishedSinceStart = s.Published, s.PublishedSinceStart
	m.Window, m.InFlight, m.Unsaved = int64(s.Window), int64(s.InFlight), int64(s.Unsaved)
	m.Skipped, m.Rewinds, m.Gaps, m.Missing = s.Skipped, s.Rewinds, s.Gaps, s.Missing
	m.Paused, m.JournalIdentity = s.Paused, o.identity
	m.HeldCount, m.ParkedCount, m.UnknownBatches = int64(s.HeldCount), int64(s.ParkedCount), s.UnknownBatches
	m.HeldFull = s.HeldFull
	for _, h := range s.Held {
		m.Held = append(m.Held, &outboxv1.HeldStatus{
			PersistenceId: h.PersistenceID, Next: h.Next, Attempts: int64(h.Attempts), Error: text(h.Err), RetryAt: o.timestamp(h.RetryAt),
			WaitsForOperator: h.Stuck, Destination: h.Destination,
		})
	}
	for _, p := range s.Parked {
		m.Parked = append(m.Parked, encodeParked(p))
	}
	m.DestinationsOutCount = int64(s.OutCount)
	for _, d := range s.Out {
		m.DestinationsOut = append(m.DestinationsOut, &outboxv1.DestinationStatus{
			Destination: d.Name, Since: o.timestamp(d.Since), FailedProbes: int64(d.FailedProbes), NextProbe: o.timestamp(d.NextProbe),
			Waiting: int64(d.Waiting), Error: text(d.Err),
		})
	}
	m.LastRead, m.LastPublished, m.LastSaved = o.timestamp(s.LastRead), o.timestamp(s.LastPublished), o.timestamp(s.LastSaved)
	if !s.Oldest.IsZero() {
		m.OldestUnpublished = durationpb.New(max(0, o.clock().Sub(s.Oldest)))
	}
	return m
}

// timestamp is a moment of the ledger's, whose time never goes back, by the clock of the machine as it is set now.
func (o *outbox) timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t.Add(o.clock().Sub(o.now())))
}
