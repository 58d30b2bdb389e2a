package adopt_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/persistence"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/adopt"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

const key = "outbox/shop"

// open wraps a provider as a process does that has just begun.
func open(t *testing.T, p persistence.Provider, ids []string, opts ...adopt.Option) *adopt.Journal {
	t.Helper()
	j, err := adopt.Wrap(p, func(context.Context) ([]string, error) { return ids, nil },
		append([]adopt.Option{adopt.WithLogger(slog.New(slog.DiscardHandler)), adopt.WithSweepInterval(time.Hour)}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, j.Close()) })
	return j
}

// persist writes as an actor would, through the journal or past it.
func persist(p persistence.Provider, id string, index int, text string) {
	p.GetState().PersistEvent(id, index, wrapperspb.String(text))
}

func read(t *testing.T, f query.Journal, after query.Offset) []query.Event {
	t.Helper()
	page, err := f.Events(t.Context(), after, query.Filter{}, query.Limits{Events: 1000})
	require.NoError(t, err)
	return page.Events
}

func names(events []query.Event) (names []string) {
	for i := range events {
		names = append(names, events[i].ID())
	}
	return names
}

func save(t *testing.T, f query.SnapshotStore, epoch, index int64, watermark query.Offset) {
	t.Helper()
	require.NoError(t, f.Save(t.Context(), key, query.Saved{Epoch: epoch, Index: index, Data: []byte("x"), Keep: query.Keep{Watermark: watermark}}))
}

func acquire(t *testing.T, f query.SnapshotStore) query.Saved {
	t.Helper()
	stored, err := f.Load(t.Context(), key)
	require.NoError(t, err)
	saved, err := f.Acquire(t.Context(), key, 0, stored.Epoch)
	require.NoError(t, err)
	return saved
}

func TestEventsOfOthersAreFoundBySweeping(t *testing.T) {
	p := newTable()
	persist(p, "a", 0, "before")
	j := open(t, p, []string{"a", "b", adopt.ReservedPrefix + "x"}, adopt.WithSweepInterval(time.Millisecond))
	require.Equal(t, []string{"a/1"}, names(read(t, j, 0)))
	persist(p, "b", 0, "past the journal")
	require.NoError(t, testkit.AwaitCondition(t.Context(), func() bool { return len(read(t, j, 1)) == 1 }, 0))
	require.Equal(t, []string{"a/1", "b/1"}, names(read(t, j, 0)))
	require.Empty(t, j.Problems())
}

func TestEventsOfActorsAreFoundAtOnce(t *testing.T) {
	p := newTable()
	j := open(t, p, nil) // not even listed
	require.Empty(t, read(t, j, 0))
	reads := p.reads
	persist(j, "a", 0, "one")
	persist(j, "a", 1, "two")
	events := read(t, j, 0)
	require.Equal(t, []string{"a/1", "a/2"}, names(events))
	require.Equal(t, reads+1, p.reads, "by one read, which also gives the events")
	require.Equal(t, "google.protobuf.StringValue", events[0].Type)
	require.NotEqual(t, events[0].UID, events[1].UID)
	require.True(t, events[0].Time.IsZero())

	for range 5 {
		require.Empty(t, read(t, j, 2))
	}
	require.Equal(t, reads+1, p.reads, "nothing is read where nothing was written")
}

// Whoever begins at the end must know where that is.
func TestTheFirstHeadCoversWhatWasThereBefore(t *testing.T) {
	p := newTable()
	var ids []string
	for i := range 700 { // more than a round of looks
		id := string(rune('a'+i%26)) + string(rune('0'+i/26))
		ids = append(ids, id)
		persist(p, id, 0, "before")
	}
	j := open(t, p, ids)
	acquire(t, j)
	head, err := j.Head(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 700, head.Offset)
	persist(j, "another", 0, "after")
	head, err = j.Head(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 701, head.Offset)
}

func TestOffsetsBeyondTheWatermarkAreKept(t *testing.T) {
	p := newTable()
	first := open(t, p, []string{"a", "b", "c"})
	require.Equal(t, query.Saved{Epoch: 1}, acquire(t, first))
	for i := range 3 {
		persist(first, "a", i, "a")
		read(t, first, 0)
		persist(first, "b", i, "b")
		read(t, first, 0)
	}
	before := read(t, first, 0)
	require.Equal(t, []string{"a/1", "b/1", "a/2", "b/2", "a/3", "b/3"}, names(before))
	head, err := first.Head(t.Context())
	require.NoError(t, err)
	save(t, first, 1, 1, 3)
	persist(first, "a", 3, "known to nobody when the process ends")
	persist(first, "c", 0, "known to nobody when the process ends")
	read(t, first, 6)
	require.NoError(t, first.Close())

	second := open(t, p, []string{"c", "b", "a"})
	saved := acquire(t, second)
	require.Equal(t, int64(2), saved.Epoch)
	require.Equal(t, query.Offset(3), saved.Keep.Watermark)
	again, err := second.Head(t.Context())
	require.NoError(t, err)
	require.Equal(t, head.Identity, again.Identity)
	require.GreaterOrEqual(t, again.Offset, head.Offset)
	after := read(t, second, 3)
	require.Equal(t, before[3:], after[:3], "what was known keeps its offset")
	require.ElementsMatch(t, []string{"a/4", "c/1"}, names(after[3:]))

	events, more, err := second.EventsByPersistenceID(t.Context(), "a", 1, query.Limits{Events: 10})
	require.NoError(t, err)
	require.False(t, more)
	require.Equal(t, []string{"a/1", "a/2", "a/3", "a/4"}, names(events))
	for i := range events[1:] {
		require.Greater(t, events[i+1].Offset, events[i].Offset)
	}
	require.LessOrEqual(t, events[1].Offset, saved.Keep.Watermark)
}

// An outbox that is restarted before it has saved anything goes on from what it has tried to save.
func TestOffsetsThatWereGivenSinceTheLastSaveOutlastARestartOfTheOutbox(t *testing.T) {
	p := newTable()
	first := open(t, p, []string{"a", "b", "c"})
	acquire(t, first)
	persist(first, "a", 0, "one")
	read(t, first, 0)
	save(t, first, 1, 1, 1)
	require.NoError(t, first.Close())

	second := open(t, p, []string{"a", "b", "c"})
	epoch := acquire(t, second).Epoch
	persist(second, "c", 0, "one")
	read(t, second, 1)
	persist(second, "b", 0, "one")
	before := read(t, second, 1)
	require.Equal(t, []string{"c/1", "b/1"}, names(before))
	_, err := second.Acquire(t.Context(), key, epoch, epoch)
	require.NoError(t, err)
	head, err := second.Head(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 3, head.Offset)
	require.Equal(t, before, read(t, second, 1))
	save(t, second, epoch, 2, 2)
	require.Equal(t, []string{"b/1"}, names(read(t, second, 2)))
}

func TestARewindReadsEverythingAnew(t *testing.T) {
	p := newTable()
	j := open(t, p, []string{"a", "b"})
	acquire(t, j)
	for i := range 4 {
		persist(j, "a", i, "a")
		persist(j, "b", i, "b")
	}
	require.Len(t, read(t, j, 0), 8)
	save(t, j, 1, 1, 8)
	_, err := j.Events(t.Context(), 3, query.Filter{}, query.Limits{Events: 10})
	require.ErrorContains(t, err, "from offset 8 on", "nobody has rewound")

	save(t, j, 1, 2, 3)
	anew := read(t, j, 3)
	require.ElementsMatch(t, []string{"a/1", "a/2", "a/3", "a/4", "b/1", "b/2", "b/3", "b/4"}, names(anew))
	require.Equal(t, query.Offset(4), anew[0].Offset)
	require.NoError(t, j.Close())

	again := open(t, p, []string{"a", "b"})
	acquire(t, again)
	require.Len(t, read(t, again, 3), 8, "also after a restart")
}

func TestAFeedIsForOneOutbox(t *testing.T) {
	j := open(t, newTable(), nil)
	acquire(t, j)
	for _, err := range []error{
		func() error { _, err := j.Acquire(t.Context(), "outbox/billing", 0, 0); return err }(),
		func() error { _, err := j.Load(t.Context(), "outbox/billing"); return err }(),
		j.Save(t.Context(), "outbox/billing", query.Saved{Epoch: 1, Index: 1}),
	} {
		require.ErrorContains(t, err, "NewFeed")
	}
	billing := j.NewFeed()
	_, err := billing.Acquire(t.Context(), "outbox/billing", 0, 0)
	require.NoError(t, err)
	persist(j, "a", 0, "for both")
	require.Equal(t, []string{"a/1"}, names(read(t, j, 0)))
	require.Equal(t, []string{"a/1"}, names(read(t, billing, 0)))
}

// An outbox whose offsets are kept elsewhere must not take those of another life for its own.
func TestOffsetsThatAreNotKeptHaveAnotherIdentity(t *testing.T) {
	p := newTable()
	identity := func(j query.Journal) string {
		head, err := j.Head(t.Context())
		require.NoError(t, err)
		return head.Identity
	}
	j := open(t, p, nil)
	require.NotEqual(t, identity(j), identity(j.NewFeed()))
	require.NotEqual(t, identity(j), identity(open(t, p, nil)))
	acquire(t, j)
	again := open(t, p, nil)
	acquire(t, again)
	require.Equal(t, identity(j), identity(again))
}

func TestIDsThatCannotBeListedAreAProblem(t *testing.T) {
	down := errors.New("the table of orders is gone")
	listing := func(context.Context) ([]string, error) { return nil, down }
	j, err := adopt.Wrap(newTable(), listing, adopt.WithLogger(slog.New(slog.DiscardHandler)))
	require.NoError(t, err)
	defer func() { require.NoError(t, j.Close()) }()
	persist(j, "a", 0, "found all the same")
	require.Equal(t, []string{"a/1"}, names(read(t, j, 0)))
	require.Len(t, j.Problems(), 1)
	require.ErrorIs(t, j.Problems()[0].Err, down)
	_, err = j.Head(t.Context())
	require.ErrorIs(t, err, down, "an outbox that has never run cannot begin")
}

func TestWrapNamesWhatIsWrong(t *testing.T) {
	ids := func(context.Context) ([]string, error) { return nil, nil }
	for text, wrap := range map[string]func() (*adopt.Journal, error){
		"the provider is nil":  func() (*adopt.Journal, error) { return adopt.Wrap(nil, ids) },
		"ids is nil":           func() (*adopt.Journal, error) { return adopt.Wrap(newTable(), nil) },
		"WithSweepInterval(0s": func() (*adopt.Journal, error) { return adopt.Wrap(newTable(), ids, adopt.WithSweepInterval(0)) },
		"WithCallTimeout(-1s": func() (*adopt.Journal, error) {
			return adopt.Wrap(newTable(), ids, adopt.WithCallTimeout(-time.Second))
		},
		"WithConfirmWithin(0s": func() (*adopt.Journal, error) { return adopt.Wrap(newTable(), ids, adopt.WithConfirmWithin(0)) },
		"WithTime":             func() (*adopt.Journal, error) { return adopt.Wrap(newTable(), ids, adopt.WithTime(nil)) },
		"WithLogger":           func() (*adopt.Journal, error) { return adopt.Wrap(newTable(), ids, adopt.WithLogger(nil)) },
	} {
		_, err := wrap()
		require.ErrorContains(t, err, text)
	}
}
