package outboxtest_test

import (
	"errors"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/persistence"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/outboxtest"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
)

var errDown = errors.New("the broker is down")

// list is a persistent actor: it remembers what it was told, and tells how much that is.
type list struct {
	persistence.Mixin
	items []string
}

func newList() actor.Actor { return &list{} }

func (l *list) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case string:
		if m == "panic" {
			panic("it was told to")
		}
		l.PersistReceive(wrapperspb.String(m))
		l.items = append(l.items, m)
		c.Respond(journal.LastSequence(c))
	case int:
		c.Respond(len(l.items))
	case *wrapperspb.StringValue:
		l.items = append(l.items, m.GetValue())
	}
}

// add has the list persist items.
func add(k *outboxtest.Kit, list *actor.PID, items ...string) {
	for _, item := range items {
		k.Request(list, item)
	}
}

func TestTimePassesOnlyByHand(t *testing.T) {
	k := outboxtest.New(t)
	a := k.Spawn("a", newList)
	add(k, a, "one", "two")
	require.Empty(t, k.Published())
	k.Advance(0)
	require.Empty(t, k.Published())
	k.Advance(49 * time.Millisecond)
	require.Empty(t, k.Published())
	k.Advance(time.Millisecond)
	require.Equal(t, []string{"a/1", "a/2"}, outboxtest.EventIDs(k.Published()))
	add(k, a, "three")
	k.Tick()
	require.Equal(t, []string{"a/1", "a/2", "a/3"}, outboxtest.EventIDs(k.PublishedOf("a")))
	require.Equal(t, "three", outboxtest.Decode[*wrapperspb.StringValue](t, k.Published()[2]).GetValue())
}

func TestAFlushSaves(t *testing.T) {
	k := outboxtest.New(t)
	add(k, k.Spawn("a", newList), "one", "two")
	k.Flush()
	s := k.Status()
	require.EqualValues(t, 2, s.GetSavedWatermark())
	require.Zero(t, s.GetUnsaved())
	before := k.Now()
	k.Flush()
	require.Equal(t, before, k.Now(), "there is nothing to wait for")
}

func TestBackoffPassesByTheKitsTime(t *testing.T) {
	k := outboxtest.New(t)
	a, b := k.Spawn("a", newList), k.Spawn("b", newList)
	add(k, a, "one", "two")
	add(k, b, "one")
	k.FailNext("a", errDown, errDown)
	k.Tick()
	require.Equal(t, []string{"b/1"}, outboxtest.EventIDs(k.Published()))
	k.Advance(99 * time.Millisecond)
	require.Equal(t, 1, k.Faults().Struck(outboxtest.Publish))
	k.Advance(time.Millisecond)
	require.Equal(t, 2, k.Faults().Struck(outboxtest.Publish))
	k.Advance(199 * time.Millisecond)
	require.Empty(t, k.PublishedOf("a"))
	k.Advance(time.Millisecond)
	require.Equal(t, []string{"b/1", "a/1", "a/2"}, outboxtest.EventIDs(k.Published()))
}

func TestAPermanentFailureParks(t *testing.T) {
	k := outboxtest.New(t)
	add(k, k.Spawn("a", newList), "one", "two", "three")
	k.FailNext("a", publisher.Permanent(errDown))
	k.Flush()
	require.Equal(t, []string{"a/2", "a/3"}, outboxtest.EventIDs(k.Published()))
	require.Len(t, k.Parked(), 1)
	n, err := k.Client().Redrive(t.Context(), "a", 1)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, []string{"a/2", "a/3", "a/1"}, outboxtest.EventIDs(k.Published()))
	require.Empty(t, k.Parked())
	t.Log(k)
}
