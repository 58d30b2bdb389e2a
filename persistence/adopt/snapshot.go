package adopt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	adoptv1 "github.com/protoactor-contrib/protoactor-outbox/proto/adopt/v1"
)

// errShared is what a second outbox meets.
var errShared = errors.New("this feed belongs to another outbox: give each outbox a feed of its own, by Journal.NewFeed")

// pruneEvery is after how many saves the older snapshots are removed.
const pruneEvery = 16

// savedPositions is what the outbox has saved last.
type savedPositions struct {
	index  int64
	keep   query.Keep
	writer []byte // nonce of the feed
}

// A provider has no transactions and no conditions. What is read and written of a key, is read and written under a lock
// that is this journal's alone. Another process is noticed by its epoch, or by its nonce where both have taken the same
// epoch at the same time: by whoever saves after the other.

// Acquire implements query.SnapshotStore, among the owners in this process. It cannot keep an owner in another process from
// saving once more. And it compares the epoch with what the provider has at that moment: of two processes that do so at the
// same time both may take over, and one is fenced by what it reads back, or at its next save. So is somebody by a write that
// the provider carries out late.
func (f *Feed) Acquire(ctx context.Context, key string, held, seen int64) (query.Saved, error) {
	saved, err := f.acquire(ctx, key, held, seen)
	return saved, wrapID("take ownership", key, err)
}

func (f *Feed) acquire(ctx context.Context, key string, held, seen int64) (query.Saved, error) {
	r, err := f.j.registry.load(ctx, f.j)
	if err != nil {
		return query.Saved{}, err
	}
	var saved query.Saved
	err = f.onKey(ctx, key, func(id string, m *adoptv1.OutboxSnapshot, index int) error {
		if err := f.belongs(key); err != nil {
			return err
		}
		if held == 0 {
			if m.GetEpoch() != seen {
				return fmt.Errorf("%w: epoch %d was seen, the current one is %d", query.ErrTakenMeanwhile, seen, m.GetEpoch())
			}
			// It goes no further if ctx has ended, while the provider was reading.
			if err := f.j.registry.add(ctx, f.j, key); err != nil {
				return err
			}
			m = &adoptv1.OutboxSnapshot{
				Epoch: m.GetEpoch() + 1, Nonce: f.nonce, Registered: true,
				Index: m.GetIndex(), Data: dataOf(m), Keep: m.GetKeep(), Feed: m.GetFeed(), JournalIdentity: m.GetJournalIdentity(),
			}
			if err := f.put(id, index, m); err != nil {
				return err
			}
		} else if err := f.owns(m, held); err != nil {
			return err
		}
		saved = decodeSaved(m)
		return f.bind(key, r.GetIdentity(), m, true)
	})
	if err != nil {
		return query.Saved{}, err
	}
	return saved, nil
}

// Load implements query.SnapshotStore.
func (f *Feed) Load(ctx context.Context, key string) (query.Saved, error) {
	var saved query.Saved
	r, err := f.j.registry.load(ctx, f.j)
	if err == nil {
		err = f.onKey(ctx, key, func(_ string, m *adoptv1.OutboxSnapshot, _ int) error {
			if err := f.belongs(key); err != nil {
				return err
			}
			saved = decodeSaved(m)
			return f.bind(key, r.GetIdentity(), m, false)
		})
	}
	if err != nil {
		return query.Saved{}, wrapID("load the outbox snapshot", key, err)
	}
	return saved, nil
}

// Save implements query.SnapshotStore. What it stores it reads back; an error leaves the outcome unknown.
func (f *Feed) Save(ctx context.Context, key string, s query.Saved) error {
	op := fmt.Sprintf("save outbox snapshot %d in epoch %d", s.Index, s.Epoch)
	s.Data = bytes.Clone(s.Data)
	r, err := f.j.registry.load(ctx, f.j)
	if err == nil {
		err = f.onKey(ctx, key, func(id string, m *adoptv1.OutboxSnapshot, index int) error {
			if err := f.belongs(key); err != nil {
				return err
			}
			if err := f.owns(m, s.Epoch); err != nil {
				return err
			}
			if s.Index <= m.GetIndex() {
				return fmt.Errorf("%w: index %d is stored", query.ErrStaleIndex, m.GetIndex())
			}
			return f.save(id, index, &adoptv1.OutboxSnapshot{
				Epoch: s.Epoch, Index: s.Index, Nonce: f.nonce, Registered: true, Data: s.Data,
				Keep: encodeKeep(s.Keep), JournalIdentity: r.GetIdentity(),
			}, s.Keep)
		})
	}
	if err == nil {
		f.j.deletes.start(f.j)
	}
	return wrapID(op, key, err)
}

// save stores a snapshot together with what its offsets mean.
func (f *Feed) save(id string, index int, m *adoptv1.OutboxSnapshot, keep query.Keep) error {
	f.mu.Lock()
	x := f.index
	back := keep.Watermark < x.base // there is no way back to that point: everything is read anew from there
	if back {
		m.Feed = &adoptv1.Feed{Assigned: int64(keep.Watermark)}
	} else {
		x.skipTo(keep.Watermark)
		m.Feed = x.encode(keep.Watermark)
	}
	m.Feed.Writer = f.nonce
	f.mu.Unlock()

	if err := f.put(id, index, m); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.saved = savedPositions{m.GetIndex(), keep, f.nonce}
	switch {
	case f.index != x:
	case back:
		f.anew(newIndex(keep.Watermark))
	default:
		f.consume(keep.Watermark)
		x.forget(keep.Watermark)
	}
	return nil
}

// goBack begins anew where the snapshot says so, after a save of a rewind of which only the provider knows that it succeeded.
func (f *Feed) goBack(ctx context.Context) error {
	f.mu.Lock()
	key := f.key
	f.mu.Unlock()
	if key == "" {
		return nil
	}
	return f.onKey(ctx, key, func(_ string, m *adoptv1.OutboxSnapshot, _ int) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		keep := decodeSaved(m).Keep
		if bytes.Equal(m.GetFeed().GetWriter(), f.nonce) && keep.Watermark < f.index.base && m.GetIndex() > f.saved.index {
			f.saved = savedPositions{m.GetIndex(), keep, f.nonce}
			f.anew(newIndex(keep.Watermark))
		}
		return nil
	})
}

// Unregister implements query.SnapshotStore.
func (f *Feed) Unregister(ctx context.Context, key string) error {
	err := f.onKey(ctx, key, func(id string, m *adoptv1.OutboxSnapshot, index int) error {
		if !m.GetRegistered() {
			return nil
		}
		if err := f.put(id, index, &adoptv1.OutboxSnapshot{Epoch: m.GetEpoch() + 1}); err != nil {
			return err
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.key == key {
			f.owned = false
			f.saved = savedPositions{}
			f.anew(newIndex(0))
		}
		return nil
	})
	if err == nil {
		err = f.j.registry.remove(ctx, f.j, key)
	}
	return wrapID("end the registration", key, err)
}

// onKey calls fn with what is stored under a key, and at which index, or nil, while no other call of this journal is about
// that key.
func (f *Feed) onKey(ctx context.Context, key string, fn func(id string, m *adoptv1.OutboxSnapshot, index int) error) error {
	id := ReservedPrefix + key
	return f.j.call(ctx, id, func() error {
		m, index, err := stored[*adoptv1.OutboxSnapshot](f.j.kept, id)
		if err != nil {
			return err
		}
		return fn(id, m, index)
	})
}

// put stores a snapshot behind the one that is stored at an index.
func (f *Feed) put(id string, index int, m *adoptv1.OutboxSnapshot) error {
	f.mu.Lock()
	// Not even an index that was tried in vain is used again: what was stored there may still come to light.
	f.tried = max(f.tried, index) + 1
	index = f.tried
	f.mu.Unlock()
	err := store(f.j.kept, id, index, m)
	if errors.Is(err, errNotStored) {
		if now, _, err := stored[*adoptv1.OutboxSnapshot](f.j.kept, id); err == nil && now.GetEpoch() >= m.GetEpoch() && !bytes.Equal(now.GetNonce(), m.GetNonce()) {
			return fmt.Errorf("%w: it has saved at the same time", query.ErrFenced)
		}
	}
	if err != nil {
		return err
	}
	if index%pruneEvery == 0 {
		f.j.kept.DeleteSnapshots(id, index-1)
	}
	return nil
}

// owns returns ErrFenced unless an owner with this epoch may use what is stored.
func (f *Feed) owns(m *adoptv1.OutboxSnapshot, epoch int64) error {
	switch {
	case !m.GetRegistered() || m.GetEpoch() != epoch:
		return fmt.Errorf("%w: epoch %d does not own the key, whose current epoch is %d", query.ErrFenced, epoch, m.GetEpoch())
	case !bytes.Equal(m.GetNonce(), f.nonce):
		return fmt.Errorf("%w: it has taken epoch %d at the same time", query.ErrFenced, epoch)
	}
	return nil
}

// belongs returns an error if the feed belongs to another outbox.
func (f *Feed) belongs(key string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.owned && f.key != key {
		return fmt.Errorf("%w: it belongs to %q", errShared, f.key)
	}
	return nil
}

// bind has the feed number its events as the outbox knows them. What is in memory goes on if it was this feed that saved, or if
// nobody has saved since it began: an outbox that restarts goes on from what it has tried to save, with the offsets that it
// knows.
func (f *Feed) bind(key, identity string, m *adoptv1.OutboxSnapshot, owner bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !owner && f.owned {
		return nil // somebody only looks
	}
	if m.GetIndex() == 0 && !owner {
		return nil
	}
	writer := m.GetFeed().GetWriter()
	unchanged := m.GetIndex() == f.saved.index && bytes.Equal(writer, f.saved.writer)
	ours := f.key == key && (m.GetFeed() == nil || bytes.Equal(writer, f.nonce) || unchanged)
	f.saved = savedPositions{m.GetIndex(), decodeSaved(m).Keep, writer}
	if !ours {
		x := newIndex(0)
		// The offsets of another journal mean nothing here. The outbox notices by the identity.
		if m.GetFeed() != nil && m.GetJournalIdentity() == identity {
			var err error
			if x, err = decodeIndex(m.GetFeed()); err != nil {
				return err
			}
		}
		f.anew(x)
	}
	if owner && !f.owned {
		f.j.log.Info("an outbox keeps its offsets in a Proto.Actor provider, which cannot fence: let no other process have one of that name",
			slog.String("key", key), slog.Int("ids", len(f.index.streams)))
	}
	f.key, f.owned = key, f.owned || owner
	return nil
}

// dataOf is what was saved, nil if nothing was: which is not the same as nothing to say.
func dataOf(m *adoptv1.OutboxSnapshot) []byte {
	if m == nil {
		return nil
	}
	return slices.Clip(m.Data)
}
