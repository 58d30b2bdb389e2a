package memory_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

func newJournal(t *testing.T, opts ...memory.Option) *memory.Journal {
	j := memory.New(opts...)
	t.Cleanup(func() { assert.NoError(t, j.Close()) })
	return j
}

func appendTo(t *testing.T, j *memory.Journal, id string, first, last int64) {
	t.Helper()
	for seq := first; seq <= last; seq++ {
		e := query.Event{PersistenceID: id, SequenceNumber: seq, UID: [16]byte{1, byte(seq)}, Type: "T", Tags: []string{id}, Data: []byte("data")}
		require.NoError(t, j.AppendEvent(t.Context(), e))
	}
}

func TestJournalsHaveIdentitiesOfTheirOwn(t *testing.T) {
	a, err := newJournal(t).Head(t.Context())
	require.NoError(t, err)
	b, err := newJournal(t).Head(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, a.Identity, b.Identity)
}

func TestWithClockGivesTheTimes(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 6_789, time.FixedZone("east", 3600))
	j := newJournal(t, memory.WithClock(func() time.Time { return now }))
	appendTo(t, j, "a", 1, 1)
	now = now.Add(time.Hour)
	appendTo(t, j, "a", 2, 2)
	page, err := j.Events(t.Context(), 0, query.Filter{}, query.Limits{Events: 10})
	require.NoError(t, err)
	require.Equal(t, time.Date(2026, 1, 2, 2, 4, 5, 6_000, time.UTC), page.Events[0].Time)
	require.Equal(t, time.Date(2026, 1, 2, 3, 4, 5, 6_000, time.UTC), page.Events[1].Time)

	require.PanicsWithError(t, "memory.WithClock: the function is nil", func() { memory.WithClock(nil) })
}

func TestAClockThatWasSetBackHidesNoEventFromASearchByTime(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 1, 2, 12, minute, 0, 0, time.UTC) }
	var now time.Time
	j := newJournal(t, memory.WithClock(func() time.Time { return now }))
	for i, minute := range []int{0, 10, 5, 15} {
		now = at(minute)
		appendTo(t, j, "a", int64(i+1), int64(i+1))
	}
	for minute, want := range map[int]query.Offset{0: 0, 1: 1, 5: 1, 10: 1, 11: 3, 15: 3, 16: 4} {
		offset, err := j.OffsetAt(t.Context(), at(minute))
		require.NoError(t, err)
		require.Equal(t, want, offset, "%d minutes past noon", minute)
	}
}

func TestInvalidLimitsAreErrors(t *testing.T) {
	j := newJournal(t)
	appendTo(t, j, "a", 1, 1)
	for _, limits := range []query.Limits{{}, {Events: -1}, {Bytes: 100}} {
		_, err := j.Events(t.Context(), 0, query.Filter{}, limits)
		require.ErrorContains(t, err, "at least 1")
		_, _, err = j.EventsByPersistenceID(t.Context(), "a", 1, limits)
		require.ErrorContains(t, err, "at least 1")
	}
	_, err := j.PersistenceIDs(t.Context(), "", 0)
	require.ErrorContains(t, err, "at least 1")
}

func TestAPageIsTheCallers(t *testing.T) {
	j := newJournal(t)
	appendTo(t, j, "a", 1, 3)
	page, err := j.Events(t.Context(), 0, query.Filter{}, query.Limits{Events: 10})
	require.NoError(t, err)
	stream, _, err := j.EventsByPersistenceID(t.Context(), "a", 1, query.Limits{Events: 10})
	require.NoError(t, err)
	require.Equal(t, page.Events, stream)
	clear(page.Events)
	again, err := j.Events(t.Context(), 0, query.Filter{}, query.Limits{Events: 10})
	require.NoError(t, err)
	require.Equal(t, stream, again.Events)
}

func TestAFilteredPageGivesOneEventEvenIfItIsTooLarge(t *testing.T) {
	j := newJournal(t)
	appendTo(t, j, "other", 1, 3)
	appendTo(t, j, "mine", 1, 3)
	appendTo(t, j, "other", 4, 6)
	filter := query.Filter{Tags: []string{"mine"}}
	var after query.Offset
	for seq := int64(1); seq <= 3; seq++ {
		page, err := j.Events(t.Context(), after, filter, query.Limits{Events: 10, Bytes: 1})
		require.NoError(t, err)
		require.Len(t, page.Events, 1)
		require.Equal(t, seq, page.Events[0].SequenceNumber)
		require.Equal(t, seq < 3, page.More)
		after = page.Next
	}
	require.Equal(t, query.Offset(9), after, "there is nothing more up to the head")
}

// ending is a context that ends after it has been asked for its error a number of times.
type ending struct {
	context.Context //nolint:containedctx // it is one itself
	left            int
}

func (c *ending) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

func TestALongSearchEndsWithItsContext(t *testing.T) {
	j := newJournal(t)
	appendTo(t, j, "a", 1, 10_000)
	_, err := j.Events(&ending{Context: t.Context(), left: 1}, 0, query.Filter{Types: []string{"unknown"}}, query.Limits{Events: 10})
	require.ErrorIs(t, err, context.Canceled)
	_, err = j.OffsetAt(&ending{Context: t.Context(), left: 1}, time.Now().Add(time.Hour))
	require.ErrorIs(t, err, context.Canceled)
}

func TestAPageCostsOneAllocation(t *testing.T) {
	j := newJournal(t)
	appendTo(t, j, "a", 1, 10_000)
	ctx := t.Context()
	for name, limits := range map[string]query.Limits{"events": {Events: 500}, "events and bytes": {Events: 500, Bytes: 1 << 20}} {
		after := query.Offset(0)
		allocs := testing.AllocsPerRun(15, func() {
			page, err := j.Events(ctx, after, query.Filter{}, limits)
			if err != nil || len(page.Events) != 500 {
				t.Fatal(len(page.Events), err)
			}
			after = page.Next
		})
		require.LessOrEqual(t, allocs, 2.0, name) // the page, and what the lock's closure holds
	}
}

func TestASubscriberThatIsSlowHoldsUpNobody(t *testing.T) {
	j := newJournal(t)
	called, release := make(chan struct{}, 100), make(chan struct{})
	cancel := j.Subscribe(func() { called <- struct{}{}; <-release })
	other := make(chan struct{}, 100)
	defer j.Subscribe(func() { other <- struct{}{} })()

	appendTo(t, j, "a", 1, 1)
	await(t, called)
	appendTo(t, j, "a", 2, 50) // while it is being called
	await(t, other)
	close(release)
	await(t, called) // again, for all of them
	cancel()
	require.LessOrEqual(t, len(called), 1, "calls are merged")
}

func TestCloseEndsSubscriptions(t *testing.T) {
	j := memory.New()
	called, release := make(chan struct{}), make(chan struct{})
	cancel := j.Subscribe(func() { called <- struct{}{}; <-release })
	appendTo(t, j, "a", 1, 1)
	await(t, called)

	closed := make(chan struct{})
	go func() {
		defer close(closed)
		assert.NoError(t, j.Close())
	}()
	require.Eventually(t, func() bool { return j.Ping(context.Background()) != nil }, 10*time.Second, time.Millisecond)
	select {
	case <-closed:
		require.FailNow(t, "Close returned while a subscriber was being called")
	default:
	}
	close(release)
	await(t, closed)

	cancel()                                              // is no error afterwards
	j.Subscribe(func() { t.Error("called after Close") }) // leaves no goroutine
}

func await[T any](t *testing.T, c <-chan T) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(10 * time.Second):
		require.FailNow(t, "it did not happen within 10 s")
	}
}

func BenchmarkEvents(b *testing.B) {
	j := memory.New()
	defer j.Close()
	const n = 200_000
	last := map[string]int64{}
	for i := range n {
		id := fmt.Sprintf("entity-%d", i%1000)
		last[id]++
		e := query.Event{PersistenceID: id, SequenceNumber: last[id], UID: [16]byte{1}, Type: "T", Data: make([]byte, 256)}
		if err := j.AppendEvent(b.Context(), e); err != nil {
			b.Fatal(err)
		}
	}
	for name, filter := range map[string]query.Filter{"all": {}, "half": {Slices: query.SliceRange{To: query.NumSlices / 2}}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			events := 0
			after := query.Offset(0)
			for b.Loop() {
				page, err := j.Events(b.Context(), after, filter, query.Limits{Events: 1000, Bytes: 4 << 20})
				if err != nil {
					b.Fatal(err)
				}
				events += len(page.Events)
				if after = page.Next; !page.More {
					after = 0
				}
			}
			b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	j := memory.New()
	defer j.Close()
	e := query.Event{PersistenceID: "a", UID: [16]byte{1}, Type: "T", Data: make([]byte, 256)}
	b.ReportAllocs()
	for b.Loop() {
		e.SequenceNumber++
		if err := j.AppendEvent(b.Context(), e); err != nil {
			b.Fatal(err)
		}
	}
}
