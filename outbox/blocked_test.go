package outbox_test

import (
	"context"
	"errors"
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

// spawnBlocked spawns an outbox whose offsets belong to another journal, of which it has published a/1 to a/3. Its own has
// a/1 to a/5, and the identity that is returned.
func spawnBlocked(t *testing.T) (o running, j *spy, s *sink, identity string) {
	t.Helper()
	old, s := memory.New(), &sink{}
	write(t, old, "a", 1, 3)
	first := spawn(t, old, publisher.Props(publisher.Func(s.publish)))
	first.flush(t)
	first.stop(t)
	j = newSpy()
	write(t, j.Journal, "a", 1, 5)
	o = spawnIn(t, first.system, j, publisher.Props(publisher.Func(s.publish)), outbox.WithSnapshots(old))
	await(t, "it is blocked", func() bool { return o.state(t) == outboxv1.State_STATE_BLOCKED })
	head, err := j.Journal.Head(within(t))
	require.NoError(t, err)
	return o, j, s, head.Identity
}

func TestOfTwoAcceptancesAtOnceTheLastOneCounts(t *testing.T) {
	o, j, s, identity := spawnBlocked(t)
	release := make(chan struct{})
	j.set(func(j *spy) { j.hooks["Head"] = func(context.Context) error { <-release; return nil } })
	before := j.count("Head")
	earlier := async(func() error { return o.AcceptJournal(within(t), identity, 0) })
	await(t, "the first one is being carried out", func() bool { return j.count("Head") == before+1 })
	later := async(func() error { return o.AcceptJournal(within(t), identity, 4) })
	await(t, "the second one is, too", func() bool { return j.count("Head") == before+2 })
	close(release)
	require.ErrorIs(t, next(t, "an answer", earlier), outbox.ErrUnavailable)
	require.NoError(t, next(t, "the other answer", later))
	o.flush(t)
	require.Equal(t, append(ids("a", 1, 3), "a/5"), s.received("a"))
	require.Equal(t, 1, j.count("Subscribe"))
}

func TestAnAcceptanceThatIsNotNeededChangesNothing(t *testing.T) {
	j, s := newSpy(), &sink{}
	write(t, j.Journal, "a", 1, 3)
	first := spawn(t, j, publisher.Props(publisher.Func(s.publish)))
	first.flush(t)
	first.stop(t)
	j.set(func(j *spy) { j.head = func(h *query.Head) { h.Identity = "another" } })
	o := spawn(t, j, publisher.Props(publisher.Func(s.publish)))
	await(t, "it is blocked", func() bool { return o.state(t) == outboxv1.State_STATE_BLOCKED })
	j.set(func(j *spy) { j.head = nil }) // the right one is back, and it has not looked yet
	require.ErrorIs(t, o.AcceptJournal(within(t), "another", 0), outbox.ErrConflict)
	o.flush(t)
	require.Equal(t, ids("a", 1, 3), s.received("a"))
}

func TestACommandThatIsGivenToABlockedOutboxIsNotKeptForAnotherHistory(t *testing.T) {
	o, _, s, identity := spawnBlocked(t)
	require.ErrorIs(t, o.Rewind(within(t), 1), outbox.ErrUnavailable)
	require.ErrorIs(t, o.Flush(within(t)), outbox.ErrUnavailable)
	require.NoError(t, o.AcceptJournal(within(t), identity, 5))
	o.flush(t)
	require.Equal(t, ids("a", 1, 3), s.received("a"))
}

// A restored database has a smaller epoch, a new one has none: nobody has taken over.
func TestAJournalThatIsExchangedTogetherWithItsSnapshotsIsNotTakenForAnOwner(t *testing.T) {
	for name, notice := range map[string]func(*testing.T, *spy){
		"by a look": func(*testing.T, *spy) {},
		"by a save": func(t *testing.T, j *spy) { write(t, j.Journal, "b", 1, 5) },
	} {
		t.Run(name, func(t *testing.T) {
			j, s := newSpy(), &sink{}
			write(t, j.Journal, "a", 1, 3)
			o := spawnTimed(t, j, publisher.Props(publisher.Func(s.publish)))
			o.flush(t)
			blocked := blockedIn(t, o.system)
			restored := memory.New()
			write(t, restored, "a", 1, 3)
			head, err := restored.Head(within(t))
			require.NoError(t, err)
			j.set(func(j *spy) { j.Journal = restored })
			notice(t, j)
			o.until(t, "it is blocked", func() bool { return len(blocked) > 0 })
			require.ErrorIs(t, (<-blocked).Err, outbox.ErrJournalChanged)

			require.NoError(t, o.AcceptJournal(within(t), head.Identity, 3))
			write(t, restored, "a", 4, 4)
			o.until(t, "it goes on", func() bool { return len(s.received("a")) == 4 })
			o.stop(t)
			saved, err := restored.Load(within(t), "outbox/test")
			require.NoError(t, err)
			require.EqualValues(t, 1, saved.Epoch)
		})
	}
}

func TestWhoHasTheWrongJournalDoesNotTakeOver(t *testing.T) {
	j, s := newSpy(), &sink{}
	write(t, j.Journal, "a", 1, 3)
	rightful := spawnTimed(t, j, publisher.Props(publisher.Func(s.publish)))
	rightful.flush(t)
	elsewhere := testkit.NewActorSystem(t)
	blocked := blockedIn(t, elsewhere)
	spawnIn(t, elsewhere, memory.New(), publisher.Props(publisher.Func(s.publish)), outbox.WithSnapshots(j))
	next(t, "that it is blocked", blocked)
	write(t, j.Journal, "a", 4, 4)
	rightful.until(t, "the rightful one goes on", func() bool { return len(s.received("a")) == 4 })
	rightful.pass(t, time.Minute, time.Second)
	require.Equal(t, outboxv1.State_STATE_RUNNING, rightful.state(t))
}

func TestASubscriberThatPanicsAtTheNewsOfABlockedOutboxCostsNoRestart(t *testing.T) {
	old, s := memory.New(), &sink{}
	write(t, old, "a", 1, 3)
	first := spawn(t, old, publisher.Props(publisher.Func(s.publish)))
	first.flush(t)
	first.stop(t)
	subscription := first.system.EventStream.Subscribe(func(e any) {
		if _, ok := e.(*outbox.Blocked); ok {
			panic("the subscriber has a bug")
		}
	})
	defer first.system.EventStream.Unsubscribe(subscription)
	var seen log
	o := spawnIn(t, first.system, memory.New(), publisher.Props(publisher.Func(s.publish)), outbox.WithSnapshots(old), seen.option())
	await(t, "it is blocked", func() bool { return o.state(t) == outboxv1.State_STATE_BLOCKED })
	require.Zero(t, seen.count("*actor.Restarting"))
}

func TestACallThatNeverReturnsDoesNotKeepItFromRecovering(t *testing.T) {
	j, s := newSpy(), &sink{}
	release := make(chan struct{})
	j.set(func(j *spy) {
		j.hooks["Acquire"] = func(context.Context) error {
			if j.count("Acquire") == 1 {
				<-release
				return errDown
			}
			return nil
		}
	})
	write(t, j.Journal, "a", 1, 1)
	o := spawnTimed(t, j, publisher.Props(publisher.Func(s.publish)))
	o.until(t, "it has tried again", func() bool { return len(s.received("a")) == 1 })
	close(release)
	o.flush(t)
	require.Equal(t, ids("a", 1, 1), s.received("a"), "the first attempt counts no more")
}

func TestAnOperatorGetsInHoweverManyWait(t *testing.T) {
	j, s := memory.New(), &sink{}
	o := spawn(t, j, publisher.Props(publisher.Func(s.publish)), outbox.WithAuthorize(func(actor.Context) error { return nil }))
	o.flush(t)
	require.NoError(t, o.Pause(within(t)))
	write(t, j, "a", 1, 1)
	for range 10_000 { // clients elsewhere, who cannot say that they have given up
		o.system.Root.RequestWithCustomSender(o.pid, &outboxv1.Flush{}, actor.NewPID("nonhost", "nobody"))
	}
	// With the race detector and other work on the machine, so many take longer than anything else here.
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		return errors.Is(o.Flush(ctx), outbox.ErrUnavailable)
	}, 6*patience, time.Millisecond, "no more may wait")
	require.NoError(t, o.Resume(within(t)))
	await(t, "it goes on", func() bool { return len(s.received("a")) == 1 })
}

func TestARewindToNoTimeIsRefused(t *testing.T) {
	j, s := memory.New(), &sink{}
	write(t, j, "a", 1, 3)
	o := spawn(t, j, publisher.Props(publisher.Func(s.publish)), outbox.WithAuthorize(func(actor.Context) error { return nil }))
	o.flush(t)
	answer, err := o.system.Root.RequestFuture(o.pid, &outboxv1.Rewind{To: &outboxv1.Rewind_Time{}}, patience).Result()
	require.NoError(t, err)
	require.Equal(t, outboxv1.Code_CODE_CONFLICT, answer.(*outboxv1.Reply).GetCode())
	o.flush(t)
	require.Equal(t, ids("a", 1, 3), s.received("a"))
}
