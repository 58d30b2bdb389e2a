package outbox

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/ledger"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// Format of the snapshots that this version writes, and the oldest reader that understands them. A version that
// adds something which an older one must not lose raises both; fields that an older one may ignore it writes back, if
// they are fields of Snapshot itself.
const (
	snapshotFormat       = 1
	snapshotOldestReader = 1
)

// recovered is a decoded snapshot.
type recovered struct {
	snapshot ledger.Snapshot
	identity string // of the journal; empty if nothing was ever saved
	unknown  []byte // fields that this version does not know, kept for the one that does
}

// encode makes what is stored of a snapshot.
func (o *outbox) encode(e ledger.Save) query.Saved {
	s := e.Snapshot
	m := &outboxv1.Snapshot{
		Watermark:       int64(s.Watermark),
		JournalIdentity: o.identity,
		Published:       s.Published,
		SavedAt:         timestamppb.New(o.clock()),
		Skipped:         s.Skipped,
		Rewinds:         s.Rewinds,
		Paused:          s.Paused,
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
		m.Parked = append(m.Parked, encodeParked(p))
		keep.Parked = append(keep.Parked, query.Pointer{PersistenceID: p.PersistenceID, SequenceNumber: p.SequenceNumber})
	}
	m.ProtoReflect().SetUnknown(o.unknown)
	return query.Saved{Epoch: o.owner.epoch, Index: e.Index, Data: seal(m), Keep: keep}
}

// seal wraps a snapshot so that damage is noticed. Marshalling cannot fail: every string in it is valid UTF-8.
func seal(m *outboxv1.Snapshot) []byte {
	body := mustMarshal(m)
	return mustMarshal(&outboxv1.SnapshotEnvelope{
		Format: snapshotFormat, OldestReader: snapshotOldestReader,
		Crc32C: checksum(snapshotFormat, snapshotOldestReader, body), Body: body,
	})
}

func mustMarshal(m proto.Message) []byte {
	data, err := proto.Marshal(m)
	if err != nil {
		panic(fmt.Errorf("encode the outbox's snapshot: %w", err))
	}
	return data
}

func checksum(format, oldest uint32, body []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, format), oldest)
	return crc32.Update(crc32.Checksum(head, table), table, body)
}

// decodeSnapshot reads what was stored; no data is an empty snapshot. Errors wrap ErrCorruptSnapshot.
func decodeSnapshot(data []byte) (recovered, error) {
	if data == nil {
		return recovered{}, nil
	}
	var envelope outboxv1.SnapshotEnvelope
	if err := proto.Unmarshal(data, &envelope); err != nil {
		return recovered{}, fmt.Errorf("%w: its envelope is damaged: %w", ErrCorruptSnapshot, err)
	}
	if envelope.GetCrc32C() != checksum(envelope.GetFormat(), envelope.GetOldestReader(), envelope.GetBody()) || envelope.GetFormat() == 0 {
		return recovered{}, fmt.Errorf("%w: its checksum is wrong", ErrCorruptSnapshot)
	}
	if envelope.GetOldestReader() > snapshotFormat {
		return recovered{}, fmt.Errorf("%w: it has format %d, which only versions that read format %d understand, and this one reads %d",
			ErrNewerSnapshot, envelope.GetFormat(), envelope.GetOldestReader(), snapshotFormat)
	}
	var m outboxv1.Snapshot
	if err := proto.Unmarshal(envelope.GetBody(), &m); err != nil {
		return recovered{}, fmt.Errorf("%w: its body is damaged: %w", ErrCorruptSnapshot, err)
	}
	r := recovered{identity: m.GetJournalIdentity(), unknown: m.ProtoReflect().GetUnknown()}
	r.snapshot = ledger.Snapshot{
		Watermark: query.Offset(m.GetWatermark()),
		Anchor:    decodePointer(m.GetAnchor()),
		Published: m.GetPublished(),
		Skipped:   m.GetSkipped(),
		Rewinds:   m.GetRewinds(),
		Paused:    m.GetPaused(),
	}
	for _, h := range m.GetHeld() {
		r.snapshot.Held = append(r.snapshot.Held, ledger.HeldStream{
			PersistenceID: h.GetPersistenceId(), Next: h.GetNext(), SettledOffset: query.Offset(h.GetSettledOffset()),
		})
	}
	for _, p := range m.GetParked() {
		r.snapshot.Parked = append(r.snapshot.Parked, ledger.ParkedEvent{
			Pointer: decodePointer(p.GetEvent()), Reason: p.GetReason(), At: p.GetParkedAt().AsTime(),
			Resolution: ledger.Resolution(p.GetResolution()),
		})
	}
	return r, nil
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

// maxReason is how much of a reason a snapshot keeps: it is saved over and over.
const maxReason = 512

// maxDestination is how much of a destination's name is kept.
const maxDestination = 256

func encodeParked(p ledger.ParkedEvent) *outboxv1.Parked {
	return &outboxv1.Parked{Event: encodePointer(p.Pointer), Reason: text(p.Reason), ParkedAt: timestamppb.New(p.At),
		Resolution: outboxv1.Resolution(p.Resolution)}
}

// text makes a string that a protobuf message can carry. What is not text becomes a question mark: the character that is
// meant for it is longer than what it replaces.
func text(s string) string { return bounded(s, maxReason) }

// bounded is text of at most so many bytes.
func bounded(s string, most int) string {
	if len(s) > most {
		s = s[:most]
		for len(s) > 0 && !utf8.ValidString(s) && len(s) > most-utf8.UTFMax {
			s = s[:len(s)-1]
		}
	}
	return strings.ToValidUTF8(s, "?")
}
