package outbox_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// Between what an outbox has seen and its takeover somebody else takes over. It sees that, and tries again later.
func TestWhoIsForestalledLooksAgainAndTriesAgain(t *testing.T) {
	j, s := newSpy(), &sink{}
	write(t, j.Journal, "a", 1, 1)
	j.set(func(j *spy) {
		var once sync.Once
		j.hooks["Acquire"] = func(context.Context) error {
			once.Do(func() { takeOver(t, j.Journal) })
			return nil
		}
	})
	o := spawnTimed(t, j, publisher.Props(publisher.Func(s.publish)))
	await(t, "it was refused", func() bool { return j.count("Acquire") == 1 && o.state(t) == outboxv1.State_STATE_STARTING })
	status, err := o.Status(within(t))
	require.NoError(t, err)
	require.Contains(t, status.GetReason(), query.ErrTakenMeanwhile.Error())
	require.Equal(t, 1, j.count("Acquire"), "it waits, as after any failure")
	o.until(t, "it goes on", func() bool { return len(s.received("a")) == 1 })
	require.Equal(t, 2, j.count("Acquire"))
	saved, err := j.Journal.Load(within(t), "outbox/test")
	require.NoError(t, err)
	require.EqualValues(t, 2, saved.Epoch, "after the one who was faster")
}

// An attempt that hangs is followed by another one, which succeeds. When the first goes on at last, it must not take over.
func TestAnAttemptWhoseTimeIsOverDoesNotTakeOver(t *testing.T) {
	for _, hangs := range []string{"Load", "Head"} {
		simulated(t, "in "+hangs, func(t *testing.T) {
			j, s := newSpy(), &sink{}
			write(t, j.Journal, "a", 1, 1)
			release := make(chan struct{})
			var hung atomic.Bool
			j.set(func(j *spy) {
				j.hooks[hangs] = func(context.Context) error {
					if !hung.Swap(true) {
						<-release
					}
					return nil
				}
			})
			o := spawn(t, j, publisher.Props(publisher.Func(s.publish)))
			pass(time.Minute)
			require.Equal(t, ids("a", 1, 1), s.received("a"), "another attempt has succeeded")
			require.Equal(t, 1, j.count("Acquire"))
			close(release)
			synctest.Wait()
			require.Equal(t, 1, j.count("Acquire"))
			require.Equal(t, outboxv1.State_STATE_RUNNING, o.state(t))
		})
	}
}

// An operator's word has the name taken over in a store that was set back. Whoever has done so meanwhile stays the owner.
func TestAnOperatorsWordTakesOverFromTheStoreThatWasSeen(t *testing.T) {
	j, s := newSpy(), &sink{}
	write(t, j.Journal, "a", 1, 3)
	takeOver(t, j.Journal)
	takeOver(t, j.Journal)
	o := spawnTimed(t, j, publisher.Props(publisher.Func(s.publish)))
	o.flush(t)
	blocked := blockedIn(t, o.system)
	restored := memory.New()
	write(t, restored, "a", 1, 3)
	head, err := restored.Head(within(t))
	require.NoError(t, err)
	j.set(func(j *spy) { j.Journal = restored })
	o.until(t, "it is blocked", func() bool { return len(blocked) > 0 })

	var rival query.Saved
	proved := j.count("Acquire")
	j.set(func(j *spy) {
		j.hooks["Acquire"] = func(context.Context) error {
			if j.count("Acquire") == proved+2 { // it has shown that the epoch is not there, and seen which one is
				rival = takeOver(t, restored)
			}
			return nil
		}
	})
	err = o.AcceptJournal(within(t), head.Identity, 3)
	require.Error(t, err)
	require.ErrorContains(t, err, query.ErrTakenMeanwhile.Error())
	require.NotErrorIs(t, err, outbox.ErrConflict)
	saved, err := restored.Load(within(t), "outbox/test")
	require.NoError(t, err)
	require.EqualValues(t, 1, saved.Epoch)
	require.Equal(t, rival.Epoch, saved.Epoch)

	j.set(func(j *spy) { delete(j.hooks, "Acquire") })
	require.NoError(t, o.AcceptJournal(within(t), head.Identity, 3), "given again, it counts")
	saved, err = restored.Load(within(t), "outbox/test")
	require.NoError(t, err)
	require.EqualValues(t, 2, saved.Epoch)
}
