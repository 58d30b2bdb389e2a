package adopt

import (
	"bytes"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	adoptv1 "github.com/protoactor-contrib/protoactor-outbox/proto/adopt/v1"
)

// decodeSaved says what an outbox has saved.
func decodeSaved(m *adoptv1.OutboxSnapshot) query.Saved {
	s := query.Saved{Epoch: m.GetEpoch(), Index: m.GetIndex()}
	if m != nil && m.Data != nil {
		s.Data = bytes.Clone(m.GetData())
	}
	k := m.GetKeep()
	s.Keep.Watermark = query.Offset(k.GetWatermark())
	if a := k.GetAnchor(); a != nil {
		s.Keep.Anchor = decodePointer(a)
	}
	for id, next := range k.GetHeld() {
		if s.Keep.Held == nil {
			s.Keep.Held = make(map[string]int64, len(k.GetHeld()))
		}
		s.Keep.Held[id] = next
	}
	for _, p := range k.GetParked() {
		s.Keep.Parked = append(s.Keep.Parked, decodePointer(p))
	}
	return s
}

func encodeKeep(k query.Keep) *adoptv1.Keep {
	m := &adoptv1.Keep{Watermark: int64(k.Watermark)}
	if k.Anchor != (query.Pointer{}) {
		m.Anchor = encodePointer(k.Anchor)
	}
	for id, next := range k.Held {
		if m.Held == nil {
			m.Held = make(map[string]int64, len(k.Held))
		}
		m.Held[id] = next
	}
	for _, p := range k.Parked {
		m.Parked = append(m.Parked, encodePointer(p))
	}
	return m
}

func encodePointer(p query.Pointer) *adoptv1.Pointer {
	return &adoptv1.Pointer{PersistenceId: p.PersistenceID, SequenceNumber: p.SequenceNumber}
}

func decodePointer(m *adoptv1.Pointer) query.Pointer {
	return query.Pointer{PersistenceID: m.GetPersistenceId(), SequenceNumber: m.GetSequenceNumber()}
}
