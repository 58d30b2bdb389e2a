package stored

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"google.golang.org/protobuf/proto"

	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// Errors of reading. They are wrapped with details.
var (
	// ErrCorrupt: it cannot be read.
	ErrCorrupt = errors.New("the outbox's snapshot cannot be read")
	// ErrNewer: a newer version wrote it, in a way that this one does not understand.
	ErrNewer = errors.New("the outbox's snapshot was written by a newer version: run that one")
	// ErrKind: it is of another kind than what was expected.
	ErrKind = errors.New("what is stored is of another kind")
)

// Format of the snapshots that this version writes, and the oldest reader that understands them. A version that
// adds something which an older one must not lose raises both; fields that an older one may ignore it writes back, if
// they are fields of Snapshot itself.
const (
	Format       = 1
	oldestReader = 1

	// newestFormat is what this version can read. Format 2 brought kinds: who does not know these must not read them.
	newestFormat = 2
)

// kindLayout is the kind of an envelope that has a Layout.
const kindLayout = "layout"

// SealSnapshot wraps a snapshot so that damage is noticed. Marshalling cannot fail: every string in it is valid UTF-8.
func SealSnapshot(m *outboxv1.Snapshot) []byte { return seal("", Format, oldestReader, m) }

func seal(kind string, format, oldest uint32, m proto.Message) []byte {
	body := mustMarshal(m)
	return mustMarshal(&outboxv1.SnapshotEnvelope{
		Format: format, OldestReader: oldest, Crc32C: Checksum(format, oldest, body), Body: body, Kind: kind,
	})
}

func mustMarshal(m proto.Message) []byte {
	data, err := proto.Marshal(m)
	if err != nil {
		panic(fmt.Errorf("encode what an outbox stores: %w", err))
	}
	return data
}

// Checksum is that of an envelope.
func Checksum(format, oldest uint32, body []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, format), oldest)
	return crc32.Update(crc32.Checksum(head, table), table, body)
}

// open unwraps an envelope of one kind into m.
func open(data []byte, kind string, m proto.Message) error {
	var envelope outboxv1.SnapshotEnvelope
	if err := proto.Unmarshal(data, &envelope); err != nil {
		return fmt.Errorf("%w: its envelope is damaged: %w", ErrCorrupt, err)
	}
	if envelope.GetCrc32C() != Checksum(envelope.GetFormat(), envelope.GetOldestReader(), envelope.GetBody()) || envelope.GetFormat() == 0 {
		return fmt.Errorf("%w: its checksum is wrong", ErrCorrupt)
	}
	if envelope.GetOldestReader() > newestFormat {
		return fmt.Errorf("%w: it has format %d, which only versions that read format %d understand, and this one reads %d",
			ErrNewer, envelope.GetFormat(), envelope.GetOldestReader(), newestFormat)
	}
	if envelope.GetKind() != kind {
		// The kind is outside of the checksum: an envelope of format 1 has none.
		if envelope.GetFormat() < 2 {
			return corruptUnless(kind == kindLayout && envelope.GetKind() == "")
		}
		return fmt.Errorf("%w: %q", ErrKind, envelope.GetKind())
	}
	if err := proto.Unmarshal(envelope.GetBody(), m); err != nil {
		return fmt.Errorf("%w: its body is damaged: %w", ErrCorrupt, err)
	}
	return nil
}

// corruptUnless is the verdict on an envelope of format 1: a snapshot where something else was looked for, or damage.
func corruptUnless(snapshot bool) error {
	if snapshot {
		return fmt.Errorf("%w: a snapshot", ErrKind)
	}
	return fmt.Errorf("%w: its envelope is damaged: it has a kind", ErrCorrupt)
}
