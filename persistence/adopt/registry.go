package adopt

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/asynkron/protoactor-go/persistence"
	"google.golang.org/protobuf/proto"

	adoptv1 "github.com/protoactor-contrib/protoactor-outbox/proto/adopt/v1"
)

var (
	// errDamaged says that what a provider has kept for us is not what we have written.
	errDamaged = errors.New("what the provider has kept of the offsets is damaged")

	// errNotStored says that a provider has taken something, and does not show it.
	errNotStored = errors.New("the provider has not stored it")
)

// stored reads one of our own snapshots; m is nil if there is none. The caller has the id's lock.
func stored[M proto.Message](state persistence.ProviderState, id string) (m M, index int, err error) {
	found, index, ok := state.GetSnapshot(id)
	if !ok || found == nil {
		return m, 0, nil
	}
	m, ok = found.(M)
	if !ok {
		return m, 0, fmt.Errorf("%w: the snapshot %q is a %T, not a %T", errDamaged, id, found, m)
	}
	return m, index, nil
}

// store writes one of our own snapshots and reads it back. Each goes to an index of its own, which rises: some providers
// refuse an index that they have, and all answer with the greatest. The message must not be changed any more: some providers
// keep it. The caller has the id's lock.
func store[M proto.Message](state persistence.ProviderState, id string, index int, m M) error {
	state.PersistSnapshot(id, index, m)
	back, _, err := stored[M](state, id)
	if err == nil && !proto.Equal(back, m) {
		err = errNotStored
	}
	return err
}

// registryID is where the registry is kept, beside the events.
const registryID = ReservedPrefix + "registry"

// registry is which journal it is, and whose.
type registry struct {
	mu    sync.Mutex
	known *adoptv1.Registry // nil until it was read or written
}

// load returns the registry. The first one who asks draws the journal's identity.
func (r *registry) load(ctx context.Context, j *Journal) (*adoptv1.Registry, error) {
	if err := j.usable(ctx); err != nil {
		return nil, err
	}
	r.mu.Lock()
	known := r.known
	r.mu.Unlock()
	if known != nil {
		return known, nil
	}
	return r.change(ctx, j, func(keys []string) []string { return keys })
}

// add has events kept for the outbox with this key.
func (r *registry) add(ctx context.Context, j *Journal, key string) error {
	_, err := r.change(ctx, j, func(keys []string) []string {
		if slices.Contains(keys, key) {
			return keys
		}
		return append(slices.Clone(keys), key)
	})
	return err
}

// confirm reads the registry anew, for other processes add outboxes to it, and returns its keys. Those of the outboxes that
// run here are among them: where two processes wrote it at one time, one has lost its key.
func (r *registry) confirm(ctx context.Context, j *Journal) ([]string, error) {
	known, err := r.change(ctx, j, func(keys []string) []string {
		for _, f := range j.allFeeds() {
			if key := f.ownedKey(); key != "" && !slices.Contains(keys, key) {
				keys = append(slices.Clone(keys), key)
			}
		}
		return keys
	})
	return known.GetKeys(), err
}

func (r *registry) remove(ctx context.Context, j *Journal, key string) error {
	_, err := r.change(ctx, j, func(keys []string) []string {
		return slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return k == key })
	})
	return err
}

// change reads the registry, and writes it if its keys are to be others, or if there is none.
func (r *registry) change(ctx context.Context, j *Journal, keys func([]string) []string) (*adoptv1.Registry, error) {
	err := j.call(ctx, registryID, func() error {
		m, index, err := stored[*adoptv1.Registry](j.state, registryID)
		if err != nil {
			return err
		}
		if changed := keys(m.GetKeys()); m == nil || !slices.Equal(changed, m.GetKeys()) {
			m = &adoptv1.Registry{Identity: m.GetIdentity(), Keys: changed}
			if m.Identity == "" {
				m.Identity = "adopt:" + rand.Text()
			}
			if err := store(j.state, registryID, index+1, m); err != nil {
				return err
			}
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.known = m
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("keep the registry of outboxes: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known, nil
}
