package outbox_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// A save lands when the next life has read what was stored before it, and the journal goes by it in what it removes. What
// that life stores in its place must not need what is gone.
func TestALateSaveByWhichTheJournalIsTrimmedIsNotTakenBack(t *testing.T) {
	t.Parallel()
	j, s := newSpy(), &sink{}
	write(t, j.Journal, "a", 1, 2)
	o := spawnTimed(t, j, publisher.Props(publisher.Func(s.publish)), exploding())
	o.flush(t)

	begun, release, landed := make(chan struct{}), make(chan struct{}), make(chan struct{})
	trimmed := make(chan error, 1)
	j.set(func(j *spy) {
		j.saving = func(ctx context.Context, saved query.Saved) error {
			switch saved.Index {
			case 1:
			case 2: // it stays on its way, whatever its context says
				close(begun)
				<-release
				defer close(landed)
				return j.Journal.Save(context.Background(), "outbox/test", saved)
			case 3: // of the next life, which has read snapshot 1
				close(release)
				<-landed
				_, err := j.Trim(ctx, journal.Retention{})
				trimmed <- err
			default:
				return errDown
			}
			return nil
		}
	})
	write(t, j.Journal, "a", 3, 5)
	require.NoError(t, o.WaitPublished(within(t), "a", 5))
	hide(j.Journal, "a", 4)
	flushed := async(func() error { return o.Flush(within(t)) })
	next(t, "a save that is late", begun)
	o.system.Root.Send(o.pid, boom{})
	require.NoError(t, next(t, "the trim", trimmed))
	require.ErrorIs(t, next(t, "the answer", flushed), outbox.ErrUnavailable)
	left, _, err := j.Journal.EventsByPersistenceID(within(t), "a", 1, query.Limits{Events: 10})
	require.NoError(t, err)
	require.Len(t, left, 1, "what the late save does not keep is gone")
	await(t, "the next life has saved, too", func() bool {
		saved, err := j.Journal.Load(within(t), "outbox/test")
		return err == nil && saved.Index == 3
	})
	o.stop(t)

	system := testkit.NewActorSystem(t)
	blocked := blockedIn(t, system)
	second := spawnIn(t, system, j.Journal, publisher.Props(publisher.Func(s.publish)))
	second.flush(t)
	require.Empty(t, blocked)
	require.Equal(t, ids("a", 1, 5), s.received("a"), "and nothing is repeated")
}

// hide deletes events up to a sequence number, as a persistent actor does that has taken a snapshot: they may be trimmed.
func hide(j *memory.Journal, id string, through int) {
	state := j.GetState()
	state.PersistSnapshot(id, through, wrapperspb.String("the state"))
	state.DeleteEvents(id, through-1)
}
