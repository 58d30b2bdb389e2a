package adopt_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/persistence"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/adopt"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// strange is a table that does something else for some calls.
type strange struct {
	*table
	persistEvent    func(id string, index int, event proto.Message)
	getEvents       func(id string, start, end int, callback func(any))
	persistSnapshot func(id string, index int, snapshot proto.Message)
	getSnapshot     func(id string) (any, int, bool)
}

func newStrange() *strange {
	t := newTable()
	return &strange{t, t.PersistEvent, t.GetEvents, t.PersistSnapshot, t.GetSnapshot}
}

func (p *strange) GetState() persistence.ProviderState { return p }

func (p *strange) PersistEvent(id string, index int, event proto.Message) {
	p.persistEvent(id, index, event)
}

func (p *strange) GetEvents(id string, start, end int, callback func(any)) {
	p.getEvents(id, start, end, callback)
}

func (p *strange) PersistSnapshot(id string, index int, m proto.Message) {
	p.persistSnapshot(id, index, m)
}
func (p *strange) GetSnapshot(id string) (any, int, bool) { return p.getSnapshot(id) }

// problem waits until exactly one id has a problem.
func problem(t *testing.T, j *adopt.Journal) adopt.Problem {
	t.Helper()
	require.NoError(t, testkit.AwaitCondition(t.Context(), func() bool {
		_, err := j.Events(t.Context(), 0, query.Filter{}, query.Limits{Events: 10})
		return err == nil && len(j.Problems()) > 0
	}, 0))
	require.Len(t, j.Problems(), 1)
	return j.Problems()[0]
}

func TestAnEventThatWasNotPersistedIsNotPublished(t *testing.T) {
	p := newStrange()
	p.persistEvent = func(id string, index int, event proto.Message) {
		if id != "a" || index != 1 {
			p.table.PersistEvent(id, index, event)
		}
	}
	j := open(t, p, nil, adopt.WithConfirmWithin(20*time.Millisecond))
	persist(j, "a", 0, "stored")
	persist(j, "a", 1, "swallowed")
	persist(j, "b", 0, "stored")
	found := problem(t, j)
	require.Equal(t, "a", found.PersistenceID)
	require.ErrorIs(t, found.Err, adopt.ErrNotFound)
	require.ElementsMatch(t, []string{"a/1", "b/1"}, names(read(t, j, 0)))

	p.table.PersistEvent("a", 1, wrapperspb.String("came to light"))
	persist(j, "a", 2, "stored")
	require.NoError(t, testkit.AwaitCondition(t.Context(), func() bool { return len(read(t, j, 2)) == 2 }, 0))
	require.Empty(t, j.Problems())
}

func TestAnEventThatIsShownLateIsFound(t *testing.T) {
	p := newStrange()
	var shown sync.Map
	p.getEvents = func(id string, start, end int, callback func(any)) {
		if _, ok := shown.Load(id); ok {
			p.table.GetEvents(id, start, end, callback)
		}
	}
	j := open(t, p, nil)
	persist(j, "a", 0, "late")
	require.Empty(t, read(t, j, 0))
	shown.Store("a", true)
	require.NoError(t, testkit.AwaitCondition(t.Context(), func() bool { return len(read(t, j, 0)) == 1 }, 0))
}

func TestAnIDThatCannotBeReadLeavesTheOthersAlone(t *testing.T) {
	for name, misbehave := range map[string]func(callback func(any), hang <-chan struct{}){
		"it panics":           func(func(any), <-chan struct{}) { panic(errDown) },
		"it hangs":            func(_ func(any), hang <-chan struct{}) { <-hang },
		"it is no message":    func(callback func(any), _ <-chan struct{}) { callback("text") },
		"it is nil":           func(callback func(any), _ <-chan struct{}) { callback(nil) },
		"it is a nil message": func(callback func(any), _ <-chan struct{}) { callback((*wrapperspb.StringValue)(nil)) },
		"it is not UTF-8":     func(callback func(any), _ <-chan struct{}) { callback(wrapperspb.String("\xff")) },
	} {
		t.Run(name, func(t *testing.T) {
			p, hang := newStrange(), make(chan struct{})
			var healed sync.Map
			p.getEvents = func(id string, start, end int, callback func(any)) {
				if _, ok := healed.Load(id); id == "bad" && !ok {
					misbehave(callback, hang)
				}
				p.table.GetEvents(id, start, end, callback)
			}
			j := open(t, p, nil, adopt.WithCallTimeout(20*time.Millisecond))
			p.table.PersistEvent("bad", 0, wrapperspb.String("bad"))
			j.GetState().PersistEvent("good", 0, wrapperspb.String("good"))
			j.GetState().PersistEvent("bad", 1, wrapperspb.String("bad"))
			require.NoError(t, testkit.AwaitCondition(t.Context(), func() bool { return len(read(t, j, 0)) > 0 }, 0))
			require.Equal(t, []string{"good/1"}, names(read(t, j, 0)))
			require.Equal(t, "bad", problem(t, j).PersistenceID)
			j.GetState().PersistEvent("good", 1, wrapperspb.String("good"))
			require.NoError(t, testkit.AwaitCondition(t.Context(), func() bool { return len(read(t, j, 1)) > 0 }, 0))

			healed.Store("bad", true)
			close(hang)
			require.NoError(t, testkit.AwaitCondition(t.Context(), func() bool { return len(read(t, j, 2)) == 2 }, 0))
			require.Equal(t, []string{"bad/1", "bad/2"}, names(read(t, j, 2)))
			require.Empty(t, j.Problems())
		})
	}
}

func TestAProviderThatHangsDoesNotHangTheReader(t *testing.T) {
	p, hang := newStrange(), make(chan struct{})
	p.getSnapshot = func(id string) (any, int, bool) { <-hang; return p.table.GetSnapshot(id) }
	j := open(t, p, nil)
	defer close(hang)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := j.Acquire(ctx, key, 0, 0)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = j.Head(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestAStreamThatWasRewrittenIsNotPublishedOn(t *testing.T) {
	for name, rewrite := range map[string]func(*table){
		"its last event is another one": func(p *table) {
			p.events["a"][2] = wrapperspb.String("another")
			p.PersistEvent("a", 3, wrapperspb.String("next"))
		},
		"an event was put before it": func(p *table) {
			p.events["a"][4], p.events["a"][3] = wrapperspb.String("three"), wrapperspb.String("inserted")
			delete(p.events["a"], 2)
			p.events["a"][2] = wrapperspb.String("one too many")
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newTable()
			j := open(t, p, nil)
			for i, text := range []string{"one", "two", "three"} {
				persist(j, "a", i, text)
			}
			require.Len(t, read(t, j, 0), 3)
			rewrite(p)
			j.GetState().PersistEvent("a", 9, wrapperspb.String("and on"))
			found := problem(t, j)
			require.ErrorIs(t, found.Err, adopt.ErrRewritten)
			require.Empty(t, read(t, j, 3))
		})
	}
}

// An actor that deletes what its snapshot covers leaves a stream that does not begin at 1.
func TestAStreamWhoseFirstEventsWereDeleted(t *testing.T) {
	p := newTable()
	for i := range 10 {
		persist(p, "a", i, "a")
	}
	p.PersistSnapshot("a", 8, wrapperspb.String("state"))
	p.DeleteEvents("a", 5)
	j := open(t, p, []string{"a"})
	require.Equal(t, []string{"a/7", "a/8", "a/9", "a/10"}, names(read(t, j, 0)))
	persist(j, "a", 10, "a")
	require.Equal(t, []string{"a/11"}, names(read(t, j, 10)))
	require.Equal(t, []string{"a/7", "a/8", "a/9", "a/10", "a/11"}, names(read(t, j, 0)))
}

// Where a write was lost, a table's indexes run ahead of what a reader counts; each event keeps its number all the same.
func TestAStreamWithGaps(t *testing.T) {
	p := newTable()
	for _, i := range []int{0, 1, 3, 4, 7} {
		persist(p, "a", i, string(rune('0'+i)))
	}
	j := open(t, p, []string{"a"})
	acquire(t, j)
	all := read(t, j, 0)
	require.Equal(t, []string{"a/1", "a/2", "a/3", "a/4", "a/5"}, names(all))
	save(t, j, 1, 1, 0)
	persist(j, "a", 8, "8")
	require.Equal(t, []string{"a/6"}, names(read(t, j, 5)))
	require.Empty(t, read(t, j, 6))
	one := func(j *adopt.Journal) {
		for i, e := range all {
			some, _, err := j.EventsByPersistenceID(t.Context(), "a", int64(i+1), query.Limits{Events: 1})
			require.NoError(t, err)
			require.Equal(t, e.Data, some[0].Data)
		}
	}
	one(j)
	require.NoError(t, j.Close())

	again := open(t, p, []string{"a"})
	acquire(t, again)
	require.Equal(t, all, read(t, again, 0)[:5])
	one(again)
}

// swallowing has journal.Using's side of the journal meet a provider that loses some writes.
func TestAnActorHearsOfAWriteThatWasSwallowed(t *testing.T) {
	p := newStrange()
	swallow, writes := true, 0
	p.persistEvent = func(id string, index int, event proto.Message) {
		if writes++; !swallow {
			p.table.PersistEvent(id, index, event)
		}
	}
	j := open(t, p, nil)
	e := query.Event{PersistenceID: "a", SequenceNumber: 1, Type: "google.protobuf.StringValue", UID: [16]byte{1}, ContentType: "application/protobuf"}
	err := j.AppendEvent(t.Context(), e)
	require.ErrorIs(t, err, journal.ErrUnconfirmed)
	require.True(t, journal.IsFinal(err), "it is not tried again")

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.Error(t, j.AppendEvent(ctx, e), "and if it were, it would not be written again")
	require.Equal(t, 1, writes)

	swallow = false
	e.UID = [16]byte{2} // the actor has recovered, and persists something else
	require.NoError(t, testkit.AwaitCondition(t.Context(), func() bool { return j.AppendEvent(t.Context(), e) == nil }, 0))
	require.NoError(t, j.AppendEvent(t.Context(), e))
	require.Equal(t, 2, writes)

	e.SequenceNumber = 3
	require.ErrorIs(t, j.AppendEvent(t.Context(), e), journal.ErrSequenceConflict)
	e.SequenceNumber, e.Tags = 2, []string{"eu"}
	require.ErrorIs(t, j.AppendEvent(t.Context(), e), journal.ErrNotEncodable)
	e.Tags, e.PersistenceID = nil, adopt.ReservedPrefix+"x"
	require.ErrorIs(t, j.AppendEvent(t.Context(), e), query.ErrInvalidID)
}

// A provider keeps no uid: only this journal knows which events its own actors have tried to persist.
func TestAnEqualEventOfAnotherActivationIsAConflict(t *testing.T) {
	p := newTable()
	first, second := open(t, p, nil), open(t, p, nil)
	e := query.Event{PersistenceID: "a", SequenceNumber: 1, Type: "google.protobuf.StringValue", UID: [16]byte{1}}
	require.NoError(t, first.AppendEvent(t.Context(), e))
	require.NoError(t, first.AppendEvent(t.Context(), e), "the same once more")
	e.UID = [16]byte{2}
	require.ErrorIs(t, first.AppendEvent(t.Context(), e), journal.ErrSequenceConflict)
	require.ErrorIs(t, second.AppendEvent(t.Context(), e), journal.ErrSequenceConflict)
}
