package outbox

import (
	"errors"
	"fmt"

	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/ledger"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/stored"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// recovered is a decoded snapshot.
type recovered struct {
	snapshot ledger.Snapshot
	identity string // of the journal; empty if nothing was ever saved
	unknown  []byte // fields that this version does not know, kept for the one that does
}

// encode makes what is stored of a snapshot.
func (o *outbox) encode(e ledger.Save) query.Saved {
	s := stored.Snapshot{Snapshot: e.Snapshot, Identity: o.identity, Unknown: o.unknown}
	data, keep := s.Encode(o.clock())
	return query.Saved{Epoch: o.owner.epoch, Index: e.Index, Data: data, Keep: keep}
}

// decodeSnapshot reads what was stored; no data is an empty snapshot. Errors wrap ErrCorruptSnapshot, ErrNewerSnapshot or
// ErrSharded.
func decodeSnapshot(data []byte) (recovered, error) {
	s, err := stored.DecodeSnapshot(data)
	switch {
	case errors.Is(err, stored.ErrKind):
		return recovered{}, fmt.Errorf("%w: %w", ErrSharded, err)
	case err != nil:
		return recovered{}, err
	}
	return recovered{snapshot: s.Snapshot, identity: s.Identity, unknown: s.Unknown}, nil
}

// maxReason is how much of a reason is kept.
const maxReason = stored.MaxReason

// maxDestination is how much of a destination's name is kept.
const maxDestination = 256

func encodeParked(p ledger.ParkedEvent) *outboxv1.Parked { return stored.EncodeParked(p) }

// text makes a string that a protobuf message can carry.
func text(s string) string { return bounded(s, maxReason) }

// bounded is text of at most so many bytes.
func bounded(s string, most int) string { return stored.Text(s, most) }
