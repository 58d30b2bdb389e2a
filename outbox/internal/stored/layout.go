package stored

import (
	"fmt"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// SealLayout wraps a layout. A reader that knows nothing of layouts refuses it as one of a newer version.
func SealLayout(m *outboxv1.Layout) []byte { return seal(kindLayout, newestFormat, 2, m) }

// OpenLayout reads a layout. The error wraps ErrKind if a plain outbox's snapshot is stored there.
func OpenLayout(data []byte) (*outboxv1.Layout, error) {
	m := new(outboxv1.Layout)
	if err := open(data, kindLayout, m); err != nil {
		return nil, err
	}
	if n := m.GetShards(); n < 1 || n > query.NumSlices {
		return nil, fmt.Errorf("%w: a layout of %d shards", ErrCorrupt, n)
	}
	if to := m.GetResize().GetTo(); to < 0 || to > query.NumSlices {
		return nil, fmt.Errorf("%w: a change to %d shards", ErrCorrupt, to)
	}
	return m, nil
}
