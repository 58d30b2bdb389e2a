package outbox_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// Each of these journals has the identity of the one that the offsets belong to.
func TestAJournalThatWasRestoredIsNoticedAtTheStart(t *testing.T) {
	for name, c := range map[string]struct {
		restored func(*spy)
		says     string
	}{
		"it ends before the watermark": {func(j *spy) { j.head = func(h *query.Head) { h.Offset-- } }, "the offsets have come to 3"},
		"another event has taken the place of the last one published": {
			func(j *spy) { j.event = func(e *query.Event) { e.UID[0] ^= 1 } }, "a/3 at offset 3",
		},
		"the last one published is not there": {
			func(j *spy) { j.event = func(e *query.Event) { e.SequenceNumber++ } }, "a/3 at offset 3",
		},
	} {
		t.Run(name, func(t *testing.T) {
			j, s := newSpy(), &sink{}
			write(t, j.Journal, "a", 1, 3)
			first := spawn(t, j, publisher.Props(publisher.Func(s.publish)))
			first.flush(t)
			first.stop(t)
			j.set(c.restored)
			saves := j.count("Save")

			stopped := stoppedIn(t, first.system)
			spawnIn(t, first.system, j, publisher.Props(publisher.Func(s.publish)))
			why := next(t, "the stop", stopped).Err
			require.ErrorIs(t, why, outbox.ErrJournalChanged)
			require.ErrorContains(t, why, c.says)
			require.Equal(t, ids("a", 1, 3), s.received("a"))
			require.Equal(t, saves, j.count("Save"))

			j.set(func(j *spy) { j.head, j.event = nil, nil }) // the right one is back
			third := spawnIn(t, first.system, j, publisher.Props(publisher.Func(s.publish)))
			third.flush(t)
			require.Equal(t, ids("a", 1, 3), s.received("a"))
		})
	}
}

func TestAJournalThatChangesUnderARunningOutboxIsNoticed(t *testing.T) {
	for name, c := range map[string]struct {
		head func(*query.Head)
		says string
	}{
		"it was replaced": {func(h *query.Head) { h.Identity = "another" }, `"another"`},
		"it was cut back": {func(h *query.Head) { h.Offset = 2 }, "ends at offset 2"},
	} {
		t.Run(name, func(t *testing.T) {
			j, s := newSpy(), &sink{}
			write(t, j.Journal, "a", 1, 3)
			o := spawnTimed(t, j, publisher.Props(publisher.Func(s.publish)))
			o.flush(t)
			o.until(t, "it has looked", func() bool { return j.count("Load") > 0 })
			stopped := stoppedIn(t, o.system)
			j.set(func(j *spy) { j.head = c.head })
			o.until(t, "it stops", func() bool { return len(stopped) > 0 })
			why := next(t, "the stop", stopped).Err
			require.ErrorIs(t, why, outbox.ErrJournalChanged)
			require.ErrorContains(t, why, c.says)
		})
	}
}

func TestALookThatFailsIsNotTakenForAnything(t *testing.T) {
	j, s := newSpy(), &sink{}
	write(t, j.Journal, "a", 1, 3)
	o := spawnTimed(t, j, publisher.Props(publisher.Func(s.publish)))
	o.flush(t)
	for _, method := range []string{"Load", "Head"} {
		j.fail(errDown, method)
		before := j.count(method)
		o.until(t, "it looks again", func() bool { return j.count(method) >= before+2 })
		j.fail(nil, method)
	}
	write(t, j.Journal, "a", 4, 4)
	o.flush(t)
	require.Equal(t, ids("a", 1, 4), s.received("a"))
}

func TestAClosedJournalStopsTheOutbox(t *testing.T) {
	t.Run("while it runs", func(t *testing.T) {
		j, s := memory.New(), &sink{}
		o := spawn(t, j, publisher.Props(publisher.Func(s.publish)))
		o.flush(t)
		stopped := stoppedIn(t, o.system)
		require.NoError(t, j.Close())
		require.ErrorIs(t, next(t, "the stop", stopped).Err, query.ErrClosed)
	})
	t.Run("from the start", func(t *testing.T) {
		j, s := memory.New(), &sink{}
		require.NoError(t, j.Close())
		system := testkit.NewActorSystem(t)
		stopped := stoppedIn(t, system)
		spawnIn(t, system, j, publisher.Props(publisher.Func(s.publish)))
		require.ErrorIs(t, next(t, "the stop", stopped).Err, query.ErrClosed)
	})
}

func TestAFilterLeavesOut(t *testing.T) {
	j, s := memory.New(), &sink{}
	write(t, j, "in", 1, 3)
	write(t, j, "out", 1, 3)
	slice := query.SliceOf("in")
	require.NotEqual(t, slice, query.SliceOf("out"))
	filter := query.Filter{Slices: query.SliceRange{From: slice, To: slice + 1}}
	o := spawn(t, j, publisher.Props(publisher.Func(s.publish)), outbox.WithFilter(filter))
	write(t, j, "out", 4, 6)
	write(t, j, "in", 4, 6)
	o.flush(t)
	require.Equal(t, ids("in", 1, 6), s.received("in"))
	require.Empty(t, s.received("out"))
	require.NoError(t, o.WaitPublished(within(t), "in", 6))
	require.ErrorIs(t, o.WaitPublished(within(t), "out", 6), outbox.ErrFiltered)
	require.ErrorIs(t, o.WaitPublished(within(t), "out", 0), outbox.ErrFiltered)
	require.ErrorIs(t, o.WaitPublished(within(t), "out", 7), outbox.ErrNotFound)
	status, err := o.Status(within(t))
	require.NoError(t, err)
	require.EqualValues(t, 6, status.GetPublished())
	require.EqualValues(t, 12, status.GetWatermark(), "what is left out does not hold up the rest")
}
