package adopt_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/adopt"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// imported moves everything.
func imported(t *testing.T, p *table, to adopt.Target) (adopt.Report, error) {
	t.Helper()
	return adopt.Import(t.Context(), p, func(context.Context) ([]string, error) { return append(p.ids(), p.ids()...), nil }, to,
		adopt.WithLogger(slog.New(slog.DiscardHandler)))
}

func TestImport(t *testing.T) {
	p := newTable()
	j := open(t, p, nil)
	acquire(t, j) // what an outbox has kept there stays behind
	for i := range 700 {
		persist(j, "long", i, fmt.Sprint(i))
	}
	for i := range 5 {
		persist(j, "cut", i, fmt.Sprint(i))
	}
	p.PersistSnapshot("cut", 4, wrapperspb.String("state"))
	p.DeleteEvents("cut", 2)
	var published []query.Event
	for page := read(t, j, 0); len(page) > 0; page = read(t, j, published[len(published)-1].Offset) {
		published = append(published, page...)
	}

	to := memory.New()
	defer func() { require.NoError(t, to.Close()) }()
	for range 2 { // to repeat it does no harm
		report, err := imported(t, p, to)
		require.NoError(t, err)
		require.Equal(t, adopt.Report{IDs: 2, Events: 702, Snapshots: 1, Unpublished: 702}, report)
	}
	persist(p, "long", 700, "written since")
	report, err := imported(t, p, to)
	require.NoError(t, err)
	require.Equal(t, 703, report.Events)

	events, _, err := to.EventsByPersistenceID(t.Context(), "cut", 1, query.Limits{Events: 10})
	require.NoError(t, err)
	require.Equal(t, []string{"cut/4", "cut/5"}, names(events))
	uids := map[string][16]byte{}
	for _, e := range read(t, to, 0) {
		uids[e.ID()] = e.UID
	}
	for _, e := range published {
		require.Equal(t, e.UID, uids[e.ID()], "as it was published: %s", e.ID())
	}

	// The actor goes on where it was.
	system := testkit.NewActorSystem(t)
	recovered := new(recoverer)
	pid, err := system.Root.SpawnNamed(actor.PropsFromProducer(func() actor.Actor { return recovered },
		actor.WithReceiverMiddleware(journal.Using(to))), "cut")
	require.NoError(t, err)
	_, err = system.Root.RequestFuture(pid, &add{"next"}, 5*time.Second).Result()
	require.NoError(t, err)
	require.NoError(t, system.Root.StopFuture(pid).Wait())
	require.Equal(t, []string{"state", "4"}, recovered.replayed)
	last, err := to.LastSequenceNumber(t.Context(), "cut")
	require.NoError(t, err)
	require.Equal(t, int64(6), last)
}

// recoverer remembers what it recovers from.
type recoverer struct {
	entity
	replayed []string
}

func (r *recoverer) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *wrapperspb.StringValue:
		r.replayed = append(r.replayed, m.GetValue())
	case *add:
		r.entity.Receive(c)
		c.Respond(m)
	}
}

func TestImportTellsWhatIsNotThere(t *testing.T) {
	p := newTable()
	for _, id := range []string{"good", "other", "ahead", "gone", "snapshot"} {
		persist(p, id, 0, id)
		persist(p, id, 1, id)
	}
	p.PersistSnapshot("gone", 2, wrapperspb.String("state"))
	p.DeleteEvents("gone", 1)
	p.PersistSnapshot("snapshot", 1, wrapperspb.String("state"))
	to := memory.New()
	defer func() { require.NoError(t, to.Close()) }()
	happened := func(id string, seq int64) query.Event {
		data, err := proto.Marshal(wrapperspb.String("written by somebody else"))
		require.NoError(t, err)
		return query.Event{PersistenceID: id, SequenceNumber: seq, UID: [16]byte{1}, Type: "google.protobuf.StringValue", Data: data}
	}
	require.NoError(t, to.AppendEvent(t.Context(), happened("other", 1)))
	_, err := imported(t, p, to)
	require.Error(t, err)
	require.NoError(t, to.AppendEvent(t.Context(), happened("ahead", 3)))
	require.NoError(t, to.SaveActorSnapshot(t.Context(), "snapshot", journal.ActorSnapshot{Index: 2, Type: "google.protobuf.StringValue"}))

	report, err := imported(t, p, to)
	require.ErrorContains(t, err, "4 of 5 ids")
	require.Equal(t, 1, report.IDs)
	failed := map[string]error{}
	for _, f := range report.Failed {
		failed[f.PersistenceID] = f.Err
	}
	require.Len(t, failed, 4)
	require.ErrorIs(t, failed["other"], journal.ErrSequenceConflict)
	require.ErrorIs(t, failed["ahead"], journal.ErrSequenceConflict)
	require.ErrorIs(t, failed["gone"], adopt.ErrNoEvents)
	require.ErrorIs(t, failed["snapshot"], journal.ErrSequenceConflict)
}

// What the last import before a move is asked: may the next outbox start at the end?
func TestImportTellsWhatIsNotPublished(t *testing.T) {
	p, j := fill(t)
	persist(j, "b", 0, "b")
	read(t, j, 6)
	unpublished := func() int {
		to := memory.New()
		defer func() { require.NoError(t, to.Close()) }()
		report, err := imported(t, p, to)
		require.NoError(t, err)
		return report.Unpublished
	}
	require.Equal(t, 7, unpublished(), "nothing was saved")
	for i, c := range []struct {
		query.Keep
		want int
	}{
		{query.Keep{Watermark: 4}, 3},
		{query.Keep{Watermark: 7, Held: map[string]int64{"a": 5}}, 2},
		{query.Keep{Watermark: 7, Parked: []query.Pointer{{PersistenceID: "a", SequenceNumber: 2}}}, 1},
		{query.Keep{Watermark: 7}, 0},
	} {
		require.NoError(t, j.Save(t.Context(), key, query.Saved{Epoch: 1, Index: int64(i) + 1, Keep: c.Keep}))
		require.Equal(t, c.want, unpublished(), "%+v", c.Keep)
	}
	billing := j.NewFeed()
	_, err := billing.Acquire(t.Context(), "outbox/billing", 0, 0)
	require.NoError(t, err)
	require.Equal(t, 7, unpublished(), "another outbox needs them all")
	require.NoError(t, billing.Unregister(t.Context(), "outbox/billing"))

	persist(p, "b", 1, "of another process, and not swept up yet")
	require.Equal(t, 1, unpublished())
}

func TestImportComparesWithWhatWasPublished(t *testing.T) {
	p, j := fill(t)
	persist(j, "b", 0, "b")
	read(t, j, 6)
	save(t, j, 1, 1, 7)
	partly := func(ids ...string) (adopt.Report, error) {
		to := memory.New()
		defer func() { require.NoError(t, to.Close()) }()
		return adopt.Import(t.Context(), p, func(context.Context) ([]string, error) { return ids, nil }, to)
	}
	report, err := partly("a")
	require.NoError(t, err)
	require.Equal(t, 2, report.IDs, "an id that is not listed, and was published")

	p.DeleteEvents("a", 1) // without a snapshot, nothing tells the numbers of those that are left
	_, err = partly("a")
	require.ErrorIs(t, err, journal.ErrEventsMissing)
	persist(p, "a", 6, "7")
	persist(p, "a", 7, "8")
	_, err = partly("a")
	require.ErrorIs(t, err, adopt.ErrRewritten)
}

// The framework's provider loses events when it is called for one id twice at a time.
func TestImportWhileActorsPersist(t *testing.T) {
	j := open(t, newFramework(), nil)
	to := memory.New()
	defer func() { require.NoError(t, to.Close()) }()
	ids := func(context.Context) ([]string, error) { return []string{"a"}, nil }
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 300 {
			persist(j, "a", i, fmt.Sprint(i))
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		_, err := adopt.Import(t.Context(), j, ids, to)
		require.NoError(t, err)
	}
	require.Len(t, read(t, to, 0), 300)
	_, err := adopt.Import(t.Context(), j, ids, to, adopt.WithCallTimeout(time.Second))
	require.ErrorContains(t, err, "options")
}

func TestImportEndsWithItsContext(t *testing.T) {
	p := newTable()
	persist(p, "a", 0, "a")
	to := memory.New()
	defer func() { require.NoError(t, to.Close()) }()
	ctx, cancel := context.WithCancel(t.Context())
	report, err := adopt.Import(ctx, p, func(context.Context) ([]string, error) { cancel(); return p.ids(), nil }, to)
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, report)
}
