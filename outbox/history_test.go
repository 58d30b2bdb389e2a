package outbox_test

import (
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// blockedIn returns the outboxes of the system that are blocked from now on.
func blockedIn(t *testing.T, system *actor.ActorSystem) <-chan *outbox.Blocked {
	t.Helper()
	blocked := make(chan *outbox.Blocked, 16)
	subscription := system.EventStream.Subscribe(func(event any) {
		if b, ok := event.(*outbox.Blocked); ok {
			blocked <- b
		}
	})
	t.Cleanup(func() { system.EventStream.Unsubscribe(subscription) })
	return blocked
}

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

			system := testkit.NewActorSystem(t)
			blocked := blockedIn(t, system)
			second := spawnTimedIn(t, system, j, publisher.Props(publisher.Func(s.publish)))
			second.until(t, "it is blocked", func() bool { return second.state(t) == outboxv1.State_STATE_BLOCKED })
			second.pass(t, time.Minute, time.Second)
			status, err := second.Status(within(t))
			require.NoError(t, err)
			require.Contains(t, status.GetReason(), c.says)
			require.Len(t, blocked, 1, "it says so once")
			require.Equal(t, ids("a", 1, 3), s.received("a"))
			require.Equal(t, saves, j.count("Save"))

			j.set(func(j *spy) { j.head, j.event = nil, nil }) // the right one is back
			write(t, j.Journal, "a", 4, 4)
			second.until(t, "it goes on by itself", func() bool { return len(s.received("a")) == 4 })
			require.Equal(t, ids("a", 1, 4), s.received("a"))
		})
	}
}

func TestAJournalThatChangesUnderARunningOutboxIsNoticed(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*spy)
		says   string
	}{
		"it was replaced":                 {func(j *spy) { j.head = func(h *query.Head) { h.Identity = "another" } }, `"another"`},
		"it was cut back":                 {func(j *spy) { j.head = func(h *query.Head) { h.Offset = 2 } }, "ends at offset 2"},
		"it was cut back, and grew again": {func(j *spy) { j.event = func(e *query.Event) { e.UID[0] ^= 1 } }, "a/3 at offset 3"},
	} {
		t.Run(name, func(t *testing.T) {
			j, s := newSpy(), &sink{}
			write(t, j.Journal, "a", 1, 3)
			o := spawnTimed(t, j, publisher.Props(publisher.Func(s.publish)))
			o.flush(t)
			blocked := blockedIn(t, o.system)
			j.set(c.change)
			o.until(t, "it is blocked", func() bool { return len(blocked) > 0 })
			b := <-blocked
			require.ErrorIs(t, b.Err, outbox.ErrJournalChanged)
			require.ErrorContains(t, b.Err, c.says)
			require.Equal(t, "test", b.Name)
			require.True(t, o.pid.Equal(b.PID))
			reads := j.count("Events")
			write(t, j.Journal, "a", 4, 4)
			o.pass(t, time.Minute, time.Second)
			require.Equal(t, reads, j.count("Events"), "it reads nothing more")
			require.Equal(t, ids("a", 1, 3), s.received("a"))

			j.set(func(j *spy) { j.head, j.event = nil, nil })
			o.until(t, "it goes on by itself", func() bool { return len(s.received("a")) == 4 })
			require.Equal(t, ids("a", 1, 4), s.received("a"))
		})
	}
}

// What was read is more than what was saved: a journal that lost only that must not pass for the same one.
func TestAJournalThatLostWhatWasNotSavedIsNoticed(t *testing.T) {
	j, s := newSpy(), &sink{}
	o := spawnTimed(t, j, publisher.Props(publisher.Func(s.publish)))
	o.flush(t)
	j.fail(errDown, "Save")
	write(t, j.Journal, "a", 1, 3)
	o.until(t, "they are published", func() bool { return len(s.received("a")) == 3 })
	j.set(func(j *spy) { j.head = func(h *query.Head) { h.Offset = 1 } })
	o.until(t, "it is blocked", func() bool { return o.state(t) == outboxv1.State_STATE_BLOCKED })
	o.pass(t, time.Minute, time.Second)
	require.Equal(t, outboxv1.State_STATE_BLOCKED, o.state(t))
}

func TestAnOperatorAcceptsAnotherJournal(t *testing.T) {
	for name, c := range map[string]struct {
		from     query.Offset
		received []string
	}{
		"from its beginning": {0, append(ids("a", 1, 3), ids("a", 1, 5)...)},
		"from an offset":     {3, ids("a", 1, 5)},
		"from its end":       {5, ids("a", 1, 3)},
	} {
		t.Run(name, func(t *testing.T) {
			old, s := memory.New(), &sink{}
			write(t, old, "a", 1, 3)
			first := spawn(t, old, publisher.Props(publisher.Func(s.publish)))
			first.flush(t)
			require.ErrorIs(t, first.AcceptJournal(within(t), "any", 0), outbox.ErrConflict, "it is not blocked")
			first.stop(t)

			other := memory.New()
			write(t, other, "a", 1, 5)
			o := spawnIn(t, first.system, other, publisher.Props(publisher.Func(s.publish)), outbox.WithSnapshots(old))
			await(t, "it is blocked", func() bool { return o.state(t) == outboxv1.State_STATE_BLOCKED })
			status, err := o.Status(within(t))
			require.NoError(t, err)
			head, err := other.Head(within(t))
			require.NoError(t, err)
			require.Equal(t, head.Identity, status.GetJournalIdentity())
			require.ErrorIs(t, o.AcceptJournal(within(t), "yet another", c.from), outbox.ErrConflict)
			require.ErrorIs(t, o.AcceptJournal(within(t), head.Identity, 6), outbox.ErrConflict, "the journal does not reach as far")
			require.Equal(t, outboxv1.State_STATE_BLOCKED, o.state(t))

			require.NoError(t, o.AcceptJournal(within(t), head.Identity, c.from))
			o.flush(t)
			require.Equal(t, c.received, s.received("a"))
			o.stop(t)

			write(t, other, "a", 6, 6)
			again := spawnIn(t, first.system, other, publisher.Props(publisher.Func(s.publish)), outbox.WithSnapshots(old))
			again.flush(t)
			require.Equal(t, append(c.received, "a/6"), s.received("a"), "the word was kept")
		})
	}
}

// A life that waits for the right journal, or whose recovery failed halfway, owns its name once: it never takes it back
// from whoever came after.
func TestAnOutboxThatCannotRecoverDoesNotFightBack(t *testing.T) {
	j, s := newSpy(), &sink{}
	j.fail(errDown, "Head")
	first := spawnTimed(t, j, publisher.Props(publisher.Func(s.publish)))
	first.until(t, "it has tried", func() bool { return j.count("Head") > 0 })
	stopped := stoppedIn(t, first.system)
	saved := takeOver(t, j.Journal)
	first.until(t, "it stops", func() bool { return len(stopped) > 0 })
	require.ErrorIs(t, (<-stopped).Err, outbox.ErrFenced)
	now, err := j.Journal.Load(within(t), "outbox/test")
	require.NoError(t, err)
	require.Equal(t, saved.Epoch, now.Epoch)
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
