package memory

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// owner is what is known of the owners of one key: the epoch, which is never given twice, whether somebody may use
// it, and what was saved last.
type owner struct {
	registered bool
	saved      query.Saved
}

// holds reports whether epoch is that of the current owner.
func (o *owner) holds(epoch int64) bool {
	return o != nil && o.registered && o.saved.Epoch == epoch
}

// epoch is the stored one.
func (o *owner) epoch() int64 {
	if o == nil {
		return 0
	}
	return o.saved.Epoch
}

// Acquire implements query.SnapshotStore.
func (j *Journal) Acquire(ctx context.Context, key string, held, seen int64) (saved query.Saved, err error) {
	err = j.write(ctx, func() error {
		o := j.owners[key]
		switch {
		case held != 0 && !o.holds(held):
			return j.fenced(key, held)
		case held == 0 && seen != o.epoch():
			return fmt.Errorf("%w: epoch %d was seen, the current one is %d", query.ErrTakenMeanwhile, seen, o.epoch())
		case held == 0:
			if o == nil {
				o = new(owner)
				j.owners[key] = o
			}
			o.registered = true
			o.saved.Epoch++
		}
		saved = cloneSaved(o.saved)
		return nil
	})
	return saved, wrapKey("acquire", key, err)
}

// Load implements query.SnapshotStore.
func (j *Journal) Load(ctx context.Context, key string) (saved query.Saved, err error) {
	err = j.read(ctx, func() error {
		if o := j.owners[key]; o != nil {
			saved = cloneSaved(o.saved)
		}
		return nil
	})
	return saved, wrapKey("load", key, err)
}

// Save implements query.SnapshotStore.
func (j *Journal) Save(ctx context.Context, key string, s query.Saved) error {
	s = cloneSaved(s)
	return wrapKey("save", key, j.write(ctx, func() error {
		o := j.owners[key]
		if !o.holds(s.Epoch) {
			return j.fenced(key, s.Epoch)
		}
		if s.Index <= o.saved.Index {
			return fmt.Errorf("%w: index %d is saved, %d is not greater", query.ErrStaleIndex, o.saved.Index, s.Index)
		}
		o.saved = s
		return nil
	}))
}

// Unregister implements query.SnapshotStore.
func (j *Journal) Unregister(ctx context.Context, key string) error {
	return wrapKey("unregister", key, j.write(ctx, func() error {
		if o := j.owners[key]; o != nil && o.registered {
			*o = owner{saved: query.Saved{Epoch: o.saved.Epoch + 1}}
		}
		return nil
	}))
}

func (j *Journal) fenced(key string, epoch int64) error {
	return fmt.Errorf("%w: epoch %d was given, the current one is %d", query.ErrFenced, epoch, j.owners[key].epoch())
}

func cloneSaved(s query.Saved) query.Saved {
	s.Data = bytes.Clone(s.Data)
	s.Keep.Held = maps.Clone(s.Keep.Held)
	s.Keep.Parked = slices.Clone(s.Keep.Parked)
	return s
}

func wrapKey(op, key string, err error) error {
	if err == nil {
		return nil
	}
	return wrap(fmt.Sprintf("%s the outbox snapshot %q", op, key), err)
}
