package adopt_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/persistence"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/adopt"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

func deleted(p *table) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.deletes
}

func awaitDeleted(t *testing.T, p *table, want ...string) {
	t.Helper()
	require.NoError(t, testkit.AwaitCondition(t.Context(), func() bool { return len(deleted(p)) == len(want) }, 0), "%v", deleted(p))
	require.Equal(t, want, deleted(p))
}

func fill(t *testing.T) (*table, *adopt.Journal) {
	t.Helper()
	p := newTable()
	j := open(t, p, []string{"a", "b"})
	for i := range 6 {
		persist(j, "a", i, "a")
	}
	acquire(t, j)
	require.Len(t, read(t, j, 0), 6)
	return p, j
}

func TestDeletesWaitUntilTheEventsArePublished(t *testing.T) {
	p, j := fill(t)
	j.GetState().DeleteEvents("a", 3)
	require.Empty(t, deleted(p))
	save(t, j, 1, 1, 3)
	awaitDeleted(t, p, "a through 1") // the last one that is published stays: the next look begins with it
	save(t, j, 1, 2, 6)
	awaitDeleted(t, p, "a through 1", "a through 3")
	save(t, j, 1, 3, 6)

	persist(j, "a", 6, "a")
	require.Equal(t, []string{"a/7"}, names(read(t, j, 6)))
	require.NoError(t, j.Close())
	again := open(t, p, []string{"a"})
	acquire(t, again)
	require.Equal(t, []string{"a/7"}, names(read(t, again, 6)), "numbers are as before")
	require.Len(t, deleted(p), 2)
}

func TestTheLastEventIsNeverDeleted(t *testing.T) {
	p, j := fill(t)
	j.GetState().DeleteEvents("a", 5)
	save(t, j, 1, 1, 6)
	awaitDeleted(t, p, "a through 4")
}

func TestDeletesKeepWhatAnOutboxHolds(t *testing.T) {
	for name, keep := range map[string]query.Keep{
		"held":   {Watermark: 6, Held: map[string]int64{"a": 3}},
		"parked": {Watermark: 6, Parked: []query.Pointer{{PersistenceID: "b", SequenceNumber: 1}, {PersistenceID: "a", SequenceNumber: 3}}},
		"anchor": {Watermark: 6, Anchor: query.Pointer{PersistenceID: "a", SequenceNumber: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			p, j := fill(t)
			j.GetState().DeleteEvents("a", 5)
			require.NoError(t, j.Save(t.Context(), key, query.Saved{Epoch: 1, Index: 1, Keep: keep}))
			awaitDeleted(t, p, "a through 1")
		})
	}
}

func TestDeletesWaitForEveryOutbox(t *testing.T) {
	p, j := fill(t)
	billing := j.NewFeed()
	saved, err := billing.Acquire(t.Context(), "outbox/billing", 0, 0)
	require.NoError(t, err)
	require.Len(t, read(t, billing, 0), 6)
	j.GetState().DeleteEvents("a", 3)
	save(t, j, 1, 1, 6)
	require.NoError(t, billing.Save(t.Context(), "outbox/billing",
		query.Saved{Epoch: saved.Epoch, Index: 1, Keep: query.Keep{Watermark: 2}}))
	awaitDeleted(t, p, "a through 0")
	require.NoError(t, j.Close())

	// One that is registered and does not run here needs everything.
	again := open(t, p, []string{"a"})
	acquire(t, again)
	read(t, again, 6)
	again.GetState().DeleteEvents("a", 3)
	save(t, again, 2, 2, 6)
	require.Len(t, deleted(p), 1)
	require.NoError(t, again.NewFeed().Unregister(t.Context(), "outbox/billing"))
	save(t, again, 2, 3, 6)
	awaitDeleted(t, p, "a through 0", "a through 3")
}

// deleting tells when something is deleted.
type deleting struct {
	*strange
	before func()
}

func (p deleting) GetState() persistence.ProviderState { return p }

func (p deleting) DeleteEvents(id string, inclusiveToIndex int) {
	p.before()
	p.table.DeleteEvents(id, inclusiveToIndex)
}

func TestDeletesWaitForOutboxesThatOtherProcessesHaveStarted(t *testing.T) {
	p := newStrange()
	var registered atomic.Bool
	j := open(t, deleting{p, func() { assert.False(t, registered.Load()) }}, []string{"a"})
	for i := range 6 {
		persist(j, "a", i, "a")
	}
	acquire(t, j)
	require.Len(t, read(t, j, 0), 6)

	other := open(t, p, []string{"a"})
	_, err := other.Acquire(t.Context(), "outbox/billing", 0, 0)
	require.NoError(t, err)
	registered.Store(true)
	j.GetState().DeleteEvents("a", 3)
	asked := make(chan struct{}, 100)
	p.getSnapshot = func(id string) (any, int, bool) {
		if id == adopt.ReservedPrefix+"registry" {
			asked <- struct{}{}
		}
		return p.table.GetSnapshot(id)
	}
	save(t, j, 1, 1, 6)
	select {
	case <-asked:
	case <-time.After(5 * time.Second):
		require.Fail(t, "nobody has asked which outboxes there are")
	}
	registered.Store(false)
	require.NoError(t, other.Unregister(t.Context(), "outbox/billing"))
	index := int64(1)
	require.NoError(t, testkit.AwaitCondition(t.Context(), func() bool {
		index++
		save(t, j, 1, index, 6)
		return len(deleted(p.table)) > 0
	}, 0))
	require.Equal(t, []string{"a through 3"}, deleted(p.table))
}

func TestDeletesDoNotWaitForAnOutboxThatIsGone(t *testing.T) {
	p, j := fill(t)
	billing := j.NewFeed()
	_, err := billing.Acquire(t.Context(), "outbox/billing", 0, 0)
	require.NoError(t, err)
	require.NoError(t, billing.Unregister(t.Context(), "outbox/billing"))
	j.GetState().DeleteEvents("a", 3)
	save(t, j, 1, 1, 6)
	awaitDeleted(t, p, "a through 3")
}

func TestNothingIsDeletedTwice(t *testing.T) {
	p, j := fill(t)
	j.GetState().DeleteEvents("a", 5)
	save(t, j, 1, 1, 6)
	awaitDeleted(t, p, "a through 4")
	for i := range 5 {
		save(t, j, 1, int64(i+2), 6)
	}
	require.NoError(t, j.Close())
	require.Len(t, deleted(p), 1)
}
