package outbox

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/ledger"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/stored"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// bodies are encoded snapshots of several sizes.
func bodies(f *testing.F) [][]byte {
	f.Helper()
	bodies := [][]byte{{}, protowire.AppendString(protowire.AppendTag(nil, 900, protowire.BytesType), "from the future")}
	for _, m := range []*outboxv1.Snapshot{
		{Watermark: 9, JournalIdentity: "journal-1"},
		{Watermark: -1, Anchor: &outboxv1.EventPointer{Uid: make([]byte, 40)}, Held: []*outboxv1.Held{{}, {}}},
		{Parked: []*outboxv1.Parked{{ParkedAt: &timestamppb.Timestamp{Seconds: 1 << 62, Nanos: -1}}}},
	} {
		bodies = append(bodies, mustMarshal(m))
	}
	var envelope outboxv1.SnapshotEnvelope
	require.NoError(f, proto.Unmarshal(encoder().encode(ledger.Save{Index: 5, Snapshot: full()}).Data, &envelope))
	return append(bodies, envelope.GetBody())
}

// sealed is an intact envelope around whatever bytes.
func sealed(body []byte) []byte {
	m := &outboxv1.Snapshot{}
	m.ProtoReflect().SetUnknown(body) // is written as it is
	return stored.SealSnapshot(m)
}

// saveAgain is what the next life reads after this one has saved what it had read itself.
func saveAgain(t *testing.T, r recovered) recovered {
	t.Helper()
	o := encoder()
	o.identity, o.unknown = r.identity, r.unknown
	again, err := decodeSnapshot(o.encode(ledger.Save{Index: 1, Snapshot: r.snapshot}).Data)
	require.NoError(t, err)
	return again
}

// Bytes that are there, but are no snapshot, must never pass for an outbox that starts from the beginning.
func FuzzDecodeSnapshot(f *testing.F) {
	f.Add([]byte{})
	for _, body := range bodies(f) {
		f.Add(body)
		f.Add(sealed(body))
	}
	f.Add(mustMarshal(&outboxv1.SnapshotEnvelope{Format: 4, OldestReader: 3, Crc32C: stored.Checksum(4, 3, nil)}))
	f.Fuzz(func(t *testing.T, data []byte) {
		data = append([]byte{}, data...) // there, if empty
		r, err := decodeSnapshot(data)
		if err != nil {
			if final(err) {
				return
			}
			t.Fatalf("the outbox would try forever to read it: %v", err)
		}
		var envelope outboxv1.SnapshotEnvelope
		require.NoError(t, proto.Unmarshal(data, &envelope))
		require.NotZero(t, envelope.GetFormat(), "nothing passes for a snapshot")
		require.Equal(t, shortReasons(r), saveAgain(t, r))
	})
}

// Behind an intact checksum may be what a version of the outbox wrote that has yet to be made.
func FuzzDecodeSnapshotBody(f *testing.F) {
	for _, body := range bodies(f) {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := decodeSnapshot(sealed(body))
		if err != nil {
			require.ErrorIs(t, err, ErrCorruptSnapshot)
			return
		}
		again := saveAgain(t, r)
		require.Equal(t, r.unknown, again.unknown, "a newer version's fields survive")
		require.Equal(t, shortReasons(r), again)
	})
}

// shortReasons is what of a newer version's longer reasons this one keeps.
func shortReasons(r recovered) recovered {
	for i := range r.snapshot.Parked {
		r.snapshot.Parked[i].Reason = text(r.snapshot.Parked[i].Reason)
	}
	return r
}

func FuzzDamagedSnapshot(f *testing.F) {
	for i, body := range bodies(f) {
		f.Add(body, uint16(i), byte(1<<i), false)
		f.Add(body, uint16(i), byte(0), true)
	}
	f.Fuzz(func(t *testing.T, body []byte, at uint16, flip byte, cut bool) {
		data := sealed(body)
		i := int(at) % len(data)
		switch {
		case cut:
			data = data[:i]
		case flip == 0:
			t.Skip("no damage")
		default:
			data[i] ^= flip
		}
		_, err := decodeSnapshot(data)
		require.ErrorIs(t, err, ErrCorruptSnapshot)
	})
}

func TestAnySnapshotComesBackAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := encoder()
		o.identity = rapid.String().Draw(t, "identity")
		want := anySnapshot().Draw(t, "snapshot")
		saved := o.encode(ledger.Save{Index: 1, Snapshot: want})
		got, err := decodeSnapshot(saved.Data)
		require.NoError(t, err)
		require.Equal(t, recovered{snapshot: want, identity: o.identity}, got)
		require.Len(t, saved.Keep.Held, len(want.Held))
		require.Len(t, saved.Keep.Parked, len(want.Parked))
	})
}

func anySnapshot() *rapid.Generator[ledger.Snapshot] {
	id := rapid.StringN(1, -1, query.MaxIDBytes)
	pointer := rapid.Custom(func(t *rapid.T) (p ledger.Pointer) {
		p.PersistenceID = id.Draw(t, "id")
		p.SequenceNumber = rapid.Int64Min(1).Draw(t, "sequence number")
		p.Offset = query.Offset(rapid.Int64Min(1).Draw(t, "offset"))
		copy(p.UID[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "uid"))
		return p
	})
	held := rapid.Custom(func(t *rapid.T) ledger.HeldStream {
		return ledger.HeldStream{
			PersistenceID: id.Draw(t, "id"),
			Next:          rapid.Int64Min(1).Draw(t, "next"),
			SettledOffset: query.Offset(rapid.Int64Min(0).Draw(t, "settled")),
		}
	})
	parked := rapid.Custom(func(t *rapid.T) ledger.ParkedEvent {
		return ledger.ParkedEvent{
			Pointer: pointer.Draw(t, "event"),
			Reason:  rapid.StringN(0, -1, maxReason).Draw(t, "reason"),
			At:      time.Unix(0, rapid.Int64().Draw(t, "at")).UTC(),
		}
	})
	return rapid.Custom(func(t *rapid.T) ledger.Snapshot {
		s := ledger.Snapshot{
			Watermark: query.Offset(rapid.Int64Min(0).Draw(t, "watermark")),
			Published: rapid.Int64Min(0).Draw(t, "published"),
			Held:      rapid.SliceOfDistinct(held, func(h ledger.HeldStream) string { return h.PersistenceID }).Draw(t, "held"),
			Parked:    rapid.SliceOf(parked).Draw(t, "parked"),
		}
		if rapid.Bool().Draw(t, "anchored") {
			s.Anchor = pointer.Draw(t, "anchor")
		}
		if len(s.Held) == 0 {
			s.Held = nil
		}
		if len(s.Parked) == 0 {
			s.Parked = nil
		}
		return s
	})
}

// Reasons come from publishers, which may put into them whatever a sink has answered.
func FuzzReason(f *testing.F) {
	f.Add("no such customer")
	f.Add("bad\xff")
	f.Add(strings.Repeat("a\xff", maxReason))
	f.Add(strings.Repeat("é", maxReason))
	f.Fuzz(func(t *testing.T, s string) {
		kept := text(s)
		require.LessOrEqual(t, len(kept), maxReason)
		require.Equal(t, kept, text(kept), "what was kept is kept as it is")
		_, err := proto.Marshal(&outboxv1.Parked{Reason: kept})
		require.NoError(t, err)
	})
}

func mustMarshal(m proto.Message) []byte {
	data, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return data
}
