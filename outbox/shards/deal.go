package shards

import (
	"errors"
	"fmt"

	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/ledger"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/stored"
)

// deal makes the snapshots of a new layout from those of the old one, which have all come to the same watermark. What is held
// and parked goes to the shard of its id. The counters of the whole go to the first one, so that their sum stays.
func deal(old []stored.Snapshot, to names) ([]stored.Snapshot, error) {
	fresh := make([]stored.Snapshot, to.count())
	first := old[0]
	for i := range fresh {
		fresh[i].Watermark, fresh[i].Identity = first.Watermark, first.Identity
	}
	// The anchor proves that the journal is the same: any event that it must keep does.
	var anchor ledger.Pointer
	for i, s := range old {
		switch {
		case len(s.Unknown) > 0:
			return nil, fmt.Errorf("shard %d: %w", i, stored.ErrNewer)
		case s.Watermark != first.Watermark || s.Identity != first.Identity:
			return nil, fmt.Errorf("shard %d has come to offset %d of journal %q, shard 0 to %d of %q", i, s.Watermark, s.Identity, first.Watermark, first.Identity)
		case s.Paused:
			return nil, fmt.Errorf("shard %d: %w", i, errPaused)
		}
		if s.Anchor.Offset > anchor.Offset {
			anchor = s.Anchor
		}
		fresh[0].Published += s.Published
		fresh[0].Skipped += s.Skipped
		fresh[0].Rewinds += s.Rewinds
		for _, h := range s.Held {
			n := &fresh[to.of(h.PersistenceID)]
			n.Held = append(n.Held, h)
		}
		for _, p := range s.Parked {
			n := &fresh[to.of(p.PersistenceID)]
			n.Parked = append(n.Parked, p)
		}
	}
	for i := range fresh {
		fresh[i].Anchor = anchor
	}
	return fresh, nil
}

var errPaused = errors.New("the outbox is paused: nothing of it is published, which a change of its shards does. Resume it first")
