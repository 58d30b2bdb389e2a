package journal

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

func (p *provider) GetSnapshot(id string) (snapshot any, eventIndex int, ok bool) {
	s, ok := p.loadSnapshot("load snapshot", id)
	if !ok {
		return nil, 0, false
	}
	m, err := decode(s.Type, s.Data)
	must("load snapshot", id, 0, err)
	return m, int(s.Index), true
}

func (p *provider) PersistSnapshot(id string, index int, snapshot proto.Message) {
	typ, data, err := encode(snapshot)
	must("persist snapshot", id, 0, err)
	s := ActorSnapshot{Index: int64(index), Type: typ, Data: data}
	must("persist snapshot", id, 0, p.retry(func(ctx context.Context) error { return p.store.SaveActorSnapshot(ctx, id, s) }))
}

// DeleteSnapshots removes the snapshots up to and including the index. It panics with ErrUnsafeDelete if the newest
// one is among them and events that it covers are hidden.
func (p *provider) DeleteSnapshots(id string, inclusiveToIndex int) {
	through := int64(inclusiveToIndex)
	if newest, ok := p.loadSnapshot("delete snapshots", id); ok && newest.Index <= through && newest.Index > 0 && !p.canReplay(id, 1) {
		must("delete snapshots", id, 0, fmt.Errorf(
			"%w: the newest snapshot, index %d, stands for events that are deleted: keep it", ErrUnsafeDelete, newest.Index))
	}
	must("delete snapshots", id, 0, p.retry(func(ctx context.Context) error { return p.store.DeleteActorSnapshots(ctx, id, through) }))
}

func (p *provider) loadSnapshot(op, id string) (s ActorSnapshot, ok bool) {
	must(op, id, 0, p.retry(func(ctx context.Context) (err error) {
		s, ok, err = p.store.LoadActorSnapshot(ctx, id)
		return err
	}))
	return s, ok
}

// canReplay reports whether the event is there and not hidden.
func (p *provider) canReplay(id string, seq int64) (found bool) {
	must("delete snapshots", id, 0, p.retry(func(ctx context.Context) error {
		return p.store.Replay(ctx, id, seq, seq, func(query.Event) error {
			found = true
			return nil
		})
	}))
	return found
}
