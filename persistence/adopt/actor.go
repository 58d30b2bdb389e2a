package adopt

import (
	"context"
	"math"
	"time"

	"github.com/asynkron/protoactor-go/persistence"
	"google.golang.org/protobuf/proto"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
)

// GetState implements persistence.Provider, for the framework's persistence.Using. It behaves as the provider's does, errors
// and panics included, but for DeleteEvents, which waits until no outbox needs the events. With journal.Using, an actor
// also hears of an event that the provider has not stored.
func (j *Journal) GetState() persistence.ProviderState { return actorState{j} }

// actorState is the provider as actors use it.
type actorState struct{ j *Journal }

func (a actorState) Restart() { a.j.state.Restart() }

// GetSnapshotInterval never answers 0, by which the framework would divide.
func (a actorState) GetSnapshotInterval() int {
	if n := a.j.state.GetSnapshotInterval(); n > 0 {
		return n
	}
	return math.MaxInt
}

func (a actorState) GetSnapshot(id string) (snapshot any, eventIndex int, ok bool) {
	return a.j.state.GetSnapshot(id)
}

// GetEvents takes no lock: what it calls back is the actor's code.
func (a actorState) GetEvents(id string, start, end int, callback func(event any)) {
	a.j.state.GetEvents(id, start, end, callback)
}

func (a actorState) PersistEvent(id string, index int, event proto.Message) {
	a.own("persist event", id, func() {
		defer a.j.persisted(id, int64(index)+1) // whatever becomes of it
		a.j.state.PersistEvent(id, index, event)
	})
}

func (a actorState) PersistSnapshot(id string, index int, snapshot proto.Message) {
	a.own("persist snapshot", id, func() { a.j.state.PersistSnapshot(id, index, snapshot) })
}

func (a actorState) DeleteSnapshots(id string, inclusiveToIndex int) {
	a.own("delete snapshots", id, func() { a.j.state.DeleteSnapshots(id, inclusiveToIndex) })
}

func (a actorState) DeleteEvents(id string, inclusiveToIndex int) {
	a.j.hide(id, int64(inclusiveToIndex)+1)
}

// own runs fn while nobody else calls the provider for the id. It waits for a read that hangs, as the actor would for any
// call of its own that does.
func (a actorState) own(op, id string, fn func()) {
	if err := checkID(id); err != nil {
		panic(&journal.Error{Op: op, PersistenceID: id, Err: err})
	}
	release, err := a.j.locks.lock(context.Background(), id)
	if err != nil {
		panic(&journal.Error{Op: op, PersistenceID: id, Err: err})
	}
	defer release()
	fn()
}

// persisted tells everybody that an actor has persisted something, as far as it knows.
func (j *Journal) persisted(id string, seq int64) {
	now := time.Now()
	for _, f := range j.allFeeds() {
		f.mark(id, seq, now)
	}
	j.subscribers.notify()
}
