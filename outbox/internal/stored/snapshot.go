package stored

import (
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/ledger"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// Snapshot is a ledger's snapshot and what is stored with it.
type Snapshot struct {
	ledger.Snapshot
	// Identity of the journal; empty if nothing was ever saved.
	Identity string
	// ReleasedEpoch is the epoch in which the owner stopped in good order; 0 if it has not.
	ReleasedEpoch int64
	// Unknown are fields that this version does not know, kept for the one that does.
	Unknown []byte
}

// Encode returns what is stored of a snapshot, and what the journal must keep for it.
func (s *Snapshot) Encode(at time.Time) ([]byte, query.Keep) {
	m := &outboxv1.Snapshot{
		Watermark:       int64(s.Watermark),
		JournalIdentity: s.Identity,
		Published:       s.Published,
		SavedAt:         timestamppb.New(at),
		Skipped:         s.Skipped,
		Rewinds:         s.Rewinds,
		Paused:          s.Paused,
		ReleasedEpoch:   s.ReleasedEpoch,
	}
	keep := query.Keep{Watermark: s.Watermark}
	if s.Anchor != (ledger.Pointer{}) {
		m.Anchor = encodePointer(s.Anchor)
		keep.Anchor = query.Pointer{PersistenceID: s.Anchor.PersistenceID, SequenceNumber: s.Anchor.SequenceNumber}
	}
	if len(s.Held) > 0 {
		keep.Held = make(map[string]int64, len(s.Held))
	}
	for _, h := range s.Held {
		m.Held = append(m.Held, &outboxv1.Held{PersistenceId: h.PersistenceID, Next: h.Next, SettledOffset: int64(h.SettledOffset)})
		keep.Held[h.PersistenceID] = h.Next
	}
	for _, p := range s.Parked {
		m.Parked = append(m.Parked, EncodeParked(p))
		keep.Parked = append(keep.Parked, query.Pointer{PersistenceID: p.PersistenceID, SequenceNumber: p.SequenceNumber})
	}
	m.ProtoReflect().SetUnknown(s.Unknown)
	return SealSnapshot(m), keep
}

// DecodeSnapshot reads what was stored; no data is an empty snapshot.
func DecodeSnapshot(data []byte) (Snapshot, error) {
	if data == nil {
		return Snapshot{}, nil
	}
	var m outboxv1.Snapshot
	if err := open(data, "", &m); err != nil {
		return Snapshot{}, err
	}
	s := Snapshot{Identity: m.GetJournalIdentity(), ReleasedEpoch: m.GetReleasedEpoch(), Unknown: m.ProtoReflect().GetUnknown()}
	s.Snapshot = ledger.Snapshot{
		Watermark: query.Offset(m.GetWatermark()),
		Anchor:    decodePointer(m.GetAnchor()),
		Published: m.GetPublished(),
		Skipped:   m.GetSkipped(),
		Rewinds:   m.GetRewinds(),
		Paused:    m.GetPaused(),
	}
	for _, h := range m.GetHeld() {
		s.Held = append(s.Held, ledger.HeldStream{
			PersistenceID: h.GetPersistenceId(), Next: h.GetNext(), SettledOffset: query.Offset(h.GetSettledOffset()),
		})
	}
	for _, p := range m.GetParked() {
		s.Parked = append(s.Parked, ledger.ParkedEvent{
			Pointer: decodePointer(p.GetEvent()), Reason: p.GetReason(), At: p.GetParkedAt().AsTime(),
			Resolution: ledger.Resolution(p.GetResolution()),
		})
	}
	return s, nil
}

func encodePointer(p ledger.Pointer) *outboxv1.EventPointer {
	return &outboxv1.EventPointer{
		PersistenceId: p.PersistenceID, SequenceNumber: p.SequenceNumber, Offset: int64(p.Offset), Uid: p.UID[:],
	}
}

func decodePointer(m *outboxv1.EventPointer) ledger.Pointer {
	if m == nil {
		return ledger.Pointer{}
	}
	p := ledger.Pointer{
		PersistenceID: m.GetPersistenceId(), SequenceNumber: m.GetSequenceNumber(), Offset: query.Offset(m.GetOffset()),
	}
	copy(p.UID[:], m.GetUid())
	return p
}

// MaxReason is how much of a reason a snapshot keeps: it is saved over and over.
const MaxReason = 512

// EncodeParked makes the message of a parked event.
func EncodeParked(p ledger.ParkedEvent) *outboxv1.Parked {
	return &outboxv1.Parked{
		Event: encodePointer(p.Pointer), Reason: Text(p.Reason, MaxReason), ParkedAt: timestamppb.New(p.At),
		Resolution: outboxv1.Resolution(p.Resolution),
	}
}

// Text makes a string of at most so many bytes that a protobuf message can carry. What is not text becomes a question mark:
// the character that is meant for it is longer than what it replaces.
func Text(s string, most int) string {
	if len(s) > most {
		s = s[:most]
		for len(s) > 0 && !utf8.ValidString(s) && len(s) > most-utf8.UTFMax {
			s = s[:len(s)-1]
		}
	}
	return strings.ToValidUTF8(s, "?")
}
