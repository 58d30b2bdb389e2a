package adopt

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// readBack is how long a provider may take to show what it has stored.
const readBack = time.Second

// AppendEvent implements journal.Store: it persists the event, and reads it back. If the provider does not show it within a
// second, the error wraps journal.ErrUnconfirmed: it is not tried again, because a provider may store it twice. The event's
// uid and metadata are not kept; tags are refused.
func (j *Journal) AppendEvent(ctx context.Context, e query.Event) error {
	return wrapID(fmt.Sprintf("append event %d", e.SequenceNumber), e.PersistenceID, j.append(ctx, e))
}

func (j *Journal) append(ctx context.Context, e query.Event) error {
	switch {
	case checkID(e.PersistenceID) != nil:
		return checkID(e.PersistenceID)
	case e.SequenceNumber < 1:
		return fmt.Errorf("%w: sequence numbers start at 1", journal.ErrSequenceConflict)
	case e.UID == [16]byte{}:
		return fmt.Errorf("%w: its UID is zero: without one of its own it would pass for another event without one", journal.ErrNotEncodable)
	case len(e.Tags) > 0:
		return fmt.Errorf("%w: it has tags, which a Proto.Actor provider cannot keep", journal.ErrNotEncodable)
	}
	m, err := decode(e.Type, e.Data)
	if err != nil {
		return fmt.Errorf("%w: %w", journal.ErrNotEncodable, err)
	}
	return j.call(ctx, e.PersistenceID, func() error {
		there, err := j.hasAt(e)
		if err != nil {
			return err
		}
		defer j.persisted(e.PersistenceID, e.SequenceNumber)
		last := j.tries.of(e.PersistenceID)
		ours := last.uid == e.UID
		switch {
		case there && ours: // an earlier try has succeeded
			return nil
		case there:
			return fmt.Errorf("%w: an equal event %d is stored, and somebody else has persisted it", journal.ErrSequenceConflict, e.SequenceNumber)
		case ours && last.taken: // an earlier try was taken, and is not shown yet
			return j.awaitStored(ctx, e, nil)
		}
		j.tries.set(e.PersistenceID, try{uid: e.UID})
		err = guarded(func() error { j.state.PersistEvent(e.PersistenceID, int(e.SequenceNumber)-1, m); return nil })
		if err == nil {
			j.tries.set(e.PersistenceID, try{uid: e.UID, taken: true})
		}
		return j.awaitStored(ctx, e, err)
	})
}

// tries are the events that were given to the provider last, by persistence id. A provider keeps no uid, so that nothing else
// tells an event that an earlier try has stored from an equal one of another actor.
type tries struct {
	mu  sync.Mutex
	all map[string]try
}

type try struct {
	uid [16]byte
	// taken: the provider has taken it without an error. It is not given to it again: it may keep both.
	taken bool
}

func (t *tries) of(id string) try {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.all[id]
}

func (t *tries) set(id string, last try) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil {
		t.all = make(map[string]try)
	}
	t.all[id] = last
}

// hasAt reports whether the event is stored under its number, as the last one of its id. If another one is, or the one
// before it is not, the error wraps journal.ErrSequenceConflict.
func (j *Journal) hasAt(e query.Event) (bool, error) {
	conflict := func(text string) (bool, error) {
		return false, fmt.Errorf("%w: %s", journal.ErrSequenceConflict, text)
	}
	rest := j.tail(e.PersistenceID, max(1, e.SequenceNumber-1))
	if e.SequenceNumber > 1 {
		if len(rest) == 0 {
			return conflict(fmt.Sprintf("event %d is missing", e.SequenceNumber-1))
		}
		rest = rest[1:]
	}
	switch {
	case len(rest) == 0:
		return false, nil
	case len(rest) > 1 || !j.same(e, rest[0]):
		return conflict(fmt.Sprintf("%d events are stored from %d on", len(rest), e.SequenceNumber))
	}
	return true, nil
}

// same reports whether what is stored is the event.
func (j *Journal) same(e query.Event, stored any) bool {
	found, err := j.event(e.PersistenceID, e.SequenceNumber, stored)
	return err == nil && found.Type == e.Type && bytes.Equal(found.Data, e.Data)
}

// tail reads a stream from a sequence number on. The framework's own provider panics if that is beyond the end.
func (j *Journal) tail(id string, from int64) (all []any) {
	if err := guarded(func() error { all = j.raw(id, from-1, 0); return nil }); err == nil {
		return all
	}
	all = j.raw(id, 0, 0)
	return all[min(int64(len(all)), from-1):]
}

// awaitStored reads an event back that the provider has taken, or has panicked at.
func (j *Journal) awaitStored(ctx context.Context, e query.Event, failed error) error {
	ctx, cancel := context.WithTimeout(ctx, readBack)
	defer cancel()
	for wait := time.Millisecond; ; wait *= 2 {
		there, err := j.hasAt(e)
		switch {
		case err != nil || there:
			return err
		case failed != nil:
			return failed // as it says
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return fmt.Errorf("%w: it took the event without an error", journal.ErrUnconfirmed)
		}
	}
}

// Replay implements journal.Store. It numbers events as the framework does, by counting from the first one asked for.
func (j *Journal) Replay(ctx context.Context, id string, from, to int64, fn func(query.Event) error) error {
	const op = "replay events"
	if err := checkID(id); err != nil {
		return wrapID(op, id, err)
	}
	from = max(from, 1)
	var all []any
	if err := j.call(ctx, id, func() error { all = j.tail(id, from); return nil }); err != nil {
		return wrapID(op, id, err)
	}
	hidden := j.hidden.of(id)
	for i, stored := range all {
		seq := from + int64(i)
		if to != 0 && seq > to {
			return nil
		}
		if seq <= hidden {
			continue
		}
		e, err := j.event(id, seq, stored)
		if err != nil {
			return wrapID(op, id, fmt.Errorf("%w: %w", journal.ErrNotDecodable, err))
		}
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}

// HideEvents implements journal.Store. The events are hidden from replay for the life of this journal, and deleted from the
// provider once no outbox needs them.
func (j *Journal) HideEvents(ctx context.Context, id string, through int64) error {
	const op = "hide events"
	if err := checkID(id); err != nil {
		return wrapID(op, id, err)
	}
	last, err := j.LastSequenceNumber(ctx, id)
	if err != nil {
		return wrapID(op, id, err)
	}
	j.hidden.raise(id, min(through, last))
	j.hide(id, min(through, last))
	return nil
}

// LoadActorSnapshot implements journal.Store.
func (j *Journal) LoadActorSnapshot(ctx context.Context, id string) (s journal.ActorSnapshot, ok bool, err error) {
	const op = "load the snapshot"
	if err := checkID(id); err != nil {
		return s, false, wrapID(op, id, err)
	}
	var found journal.ActorSnapshot
	err = j.call(ctx, id, func() error {
		m, index, there := j.state.GetSnapshot(id)
		if !there || m == nil {
			return nil
		}
		e, err := j.event(id, 0, m)
		found = journal.ActorSnapshot{Index: int64(index), Type: e.Type, Data: e.Data}
		return err
	})
	if err != nil {
		return s, false, wrapID(op, id, err)
	}
	return found, found.Type != "", nil
}

// SaveActorSnapshot implements journal.Store.
func (j *Journal) SaveActorSnapshot(ctx context.Context, id string, s journal.ActorSnapshot) error {
	const op = "save a snapshot"
	if err := checkID(id); err != nil {
		return wrapID(op, id, err)
	}
	m, err := decode(s.Type, s.Data)
	if err != nil {
		return wrapID(op, id, fmt.Errorf("%w: %w", journal.ErrNotEncodable, err))
	}
	return wrapID(op, id, j.call(ctx, id, func() error {
		j.state.PersistSnapshot(id, int(s.Index), m)
		if _, index, ok := j.state.GetSnapshot(id); !ok || int64(index) < s.Index {
			return errNotStored
		}
		return nil
	}))
}

// DeleteActorSnapshots implements journal.Store.
func (j *Journal) DeleteActorSnapshots(ctx context.Context, id string, through int64) error {
	const op = "delete snapshots"
	if err := checkID(id); err != nil {
		return wrapID(op, id, err)
	}
	return wrapID(op, id, j.call(ctx, id, func() error { j.state.DeleteSnapshots(id, int(through)); return nil }))
}

func decode(typ string, data []byte) (proto.Message, error) {
	t, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(typ))
	if err != nil {
		return nil, fmt.Errorf("the type %q is not linked into the program: %w", typ, err)
	}
	m := t.New().Interface()
	if err := proto.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("unmarshal a %s: %w", typ, err)
	}
	return m, nil
}
