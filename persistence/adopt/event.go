package adopt

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// contentType is that of everything that actors persist.
const contentType = "application/protobuf"

// event makes the event of what a provider has called back with, but for its offset.
func (j *Journal) event(id string, seq int64, stored any) (e query.Event, err error) {
	m, ok := stored.(proto.Message)
	if !ok || m == nil || !m.ProtoReflect().IsValid() {
		return e, fmt.Errorf("%w: event %d of %q is a %T, not a protobuf message", ErrNotPublishable, seq, id, stored)
	}
	e = query.Event{
		PersistenceID:  id,
		SequenceNumber: seq,
		Type:           string(m.ProtoReflect().Descriptor().FullName()),
		ContentType:    contentType,
		Slice:          query.SliceOf(id),
		Time:           j.eventTime(id, seq, m).UTC().Truncate(time.Microsecond),
	}
	// The same bytes for the same event: its uid is made of them.
	if e.Data, err = (proto.MarshalOptions{Deterministic: true}).Marshal(m); err != nil {
		return e, fmt.Errorf("%w: marshal event %d of %q, a %s: %w", ErrNotPublishable, seq, id, e.Type, err)
	}
	e.UID = uid(&e)
	return e, nil
}

// uid is what a provider does not give to an event: it is made of the event, so that the same event has the same one at
// every read, and one that has taken its place in another history has another.
func uid(e *query.Event) (u [16]byte) {
	h := sha256.New()
	var n [8]byte
	write := func(s []byte) {
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write(s)
	}
	binary.BigEndian.PutUint64(n[:], uint64(e.SequenceNumber))
	h.Write(n[:])
	write([]byte(e.PersistenceID))
	write([]byte(e.Type))
	write(e.Data)
	copy(u[:], h.Sum(nil))
	return u
}

// checkOf is what a stream remembers of its last event.
func checkOf(e *query.Event) uint64 { return binary.BigEndian.Uint64(e.UID[:8]) }
