package outbox

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/ledger"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/stored"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

func encoder() *outbox {
	s := defaults()
	return &outbox{definition: &definition{settings: s, name: "test"}, identity: "journal-1"}
}

func full() ledger.Snapshot {
	at := time.Date(2024, 5, 6, 7, 8, 9, 1000, time.UTC)
	pointer := ledger.Pointer{PersistenceID: "a", SequenceNumber: 7, Offset: 41, UID: [16]byte{1, 2, 3}}
	return ledger.Snapshot{
		Watermark: 42, Anchor: pointer, Published: 40,
		Held:   []ledger.HeldStream{{PersistenceID: "b", Next: 3, SettledOffset: 50}, {PersistenceID: "c", Next: 1}},
		Parked: []ledger.ParkedEvent{{Pointer: pointer, Reason: "no such customer", At: at}},
	}
}

func TestASnapshotComesBackAsItWas(t *testing.T) {
	saved := encoder().encode(ledger.Save{Index: 5, Snapshot: full()})
	r, err := decodeSnapshot(saved.Data)
	require.NoError(t, err)
	require.Equal(t, full(), r.snapshot)
	require.Equal(t, "journal-1", r.identity)
	require.EqualValues(t, 5, saved.Index)
	require.EqualValues(t, 42, saved.Keep.Watermark)
	require.Equal(t, map[string]int64{"b": 3, "c": 1}, saved.Keep.Held)
	require.Len(t, saved.Keep.Parked, 1)
	require.Equal(t, "a", saved.Keep.Anchor.PersistenceID)

	empty, err := decodeSnapshot(nil)
	require.NoError(t, err)
	require.Zero(t, empty.snapshot.Watermark)
}

func TestEveryFlippedBitIsNoticed(t *testing.T) {
	data := encoder().encode(ledger.Save{Index: 5, Snapshot: full()}).Data
	for i := range data {
		for bit := range 8 {
			data[i] ^= 1 << bit
			_, err := decodeSnapshot(data)
			require.ErrorIs(t, err, ErrCorruptSnapshot, "byte %d, bit %d", i, bit)
			data[i] ^= 1 << bit
		}
	}
	for n := range data {
		_, err := decodeSnapshot(data[:n])
		require.ErrorIs(t, err, ErrCorruptSnapshot, "cut after %d bytes", n)
	}
}

func TestANewerVersionsFieldsSurviveAnOlderWriter(t *testing.T) {
	m := &outboxv1.Snapshot{Watermark: 9, JournalIdentity: "journal-1"}
	extra := protowire.AppendString(protowire.AppendTag(nil, 900, protowire.BytesType), "from the future")
	m.ProtoReflect().SetUnknown(extra)
	r, err := decodeSnapshot(stored.SealSnapshot(m))
	require.NoError(t, err)

	o := encoder()
	o.unknown = r.unknown
	again, err := decodeSnapshot(o.encode(ledger.Save{Index: 1, Snapshot: r.snapshot}).Data)
	require.NoError(t, err)
	require.Equal(t, extra, again.unknown)
}

func TestASnapshotThatOnlyNewerVersionsUnderstandIsRefusedPolitely(t *testing.T) {
	body, err := proto.Marshal(&outboxv1.Snapshot{Watermark: 9})
	require.NoError(t, err)
	data, err := proto.Marshal(&outboxv1.SnapshotEnvelope{Format: 4, OldestReader: 3, Crc32C: stored.Checksum(4, 3, body), Body: body})
	require.NoError(t, err)
	_, err = decodeSnapshot(data)
	require.ErrorIs(t, err, ErrNewerSnapshot)
}

func TestReasonsAreShortAndValid(t *testing.T) {
	require.Equal(t, "ok", text("ok"))
	require.True(t, utf8.ValidString(text("bad\xff")))
	long := text("x" + strings.Repeat("é", maxReason))
	require.LessOrEqual(t, len(long), maxReason)
	require.NotContains(t, long, "?", "a character is not cut in two")
}
