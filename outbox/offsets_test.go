package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

func TestWhileNoOffsetsCanBeSavedPublishingStopsAtTheBound(t *testing.T) {
	const bound = 16
	j, s := newSpy(), &sink{}
	j.fail(errDown, "Save")
	for i := range 40 {
		write(t, j.Journal, fmt.Sprintf("id-%d", i), 1, 3)
	}
	o := spawn(t, j, publisher.Props(publisher.Func(s.publish)), outbox.WithMaxUnsaved(bound))
	sent := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(firsts(s.got))
	}
	await(t, "it tries to save, again and again", func() bool { return j.count("Save") > 8 })
	require.Positive(t, sent())
	require.LessOrEqual(t, sent(), bound)
	status, err := o.Status(within(t))
	require.NoError(t, err)
	require.LessOrEqual(t, status.GetUnsaved(), int64(bound))

	j.fail(nil, "Save")
	o.flush(t)
	require.Equal(t, 120, sent())
}

func TestAnIDGoesOnBehindAParkedEventOnlyWhenThatIsSaved(t *testing.T) {
	j := newSpy()
	s := &sink{fail: func(e publisher.Event, _ int) error {
		if e.ID() == "a/1" {
			return publisher.Permanent(errors.New("no such customer"))
		}
		return nil
	}}
	saving, answers := make(chan struct{}), make(chan error)
	j.hooks["Save"] = func(ctx context.Context) error {
		select {
		case saving <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case err := <-answers:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	write(t, j.Journal, "a", 1, 2)
	o := spawn(t, j, publisher.Props(publisher.Func(s.publish)), outbox.WithLanes(1), outbox.WithBatch(1, 1<<20))
	for round, answer := range []error{errDown, errDown, nil} {
		next(t, "a save that records the parked event", saving)
		seq := int64(round) + 1
		write(t, j.Journal, "b", seq, seq)
		require.NoError(t, o.WaitPublished(within(t), "b", seq))
		require.Zero(t, s.attempts("a/2"), "others go on, its own id does not, after %d saves that failed", round)
		answers <- answer
	}
	j.fail(nil, "Save")
	require.NoError(t, o.WaitPublished(within(t), "a", 2))
	require.Equal(t, []string{"a/2"}, s.received("a"))
}

func TestASaveThatIsFencedStopsTheOutboxAtOnce(t *testing.T) {
	for name, prepare := range map[string]func(*spy){
		"the store says so": func(j *spy) { j.fail(errDown, "Load") },
		"the answer was lost, a look at the store tells": func(j *spy) { j.fail(errDown, "Save") },
	} {
		t.Run(name, func(t *testing.T) {
			j, s := newSpy(), &sink{}
			o := spawnTimed(t, j, publisher.Props(publisher.Func(s.publish)))
			o.flush(t)
			stopped := stoppedIn(t, o.system)
			takeOver(t, j.Journal)
			prepare(j)
			write(t, j.Journal, "a", 1, 3)
			flushed := async(func() error { return o.Flush(within(t)) })
			// No time passes: it is not the look at the store every few seconds that finds out.
			require.ErrorIs(t, next(t, "the stop", stopped).Err, outbox.ErrFenced)
			require.ErrorIs(t, next(t, "the answer", flushed), outbox.ErrStopped)
			require.Equal(t, 1, j.count("Save"), "who is fenced saves nothing more")
		})
	}
}

// A call into the store that does not return in time stays behind, and may do its work when its outbox has long
// been restarted.
func TestASaveOfAnEarlierLifeIsNotTakenForThisOnes(t *testing.T) {
	t.Parallel()
	j, s := newSpy(), &sink{}
	begun, release := make(chan struct{}), make(chan struct{})
	var saves atomic.Int32
	j.saving = func(context.Context, query.Saved) error {
		if saves.Add(1) == 1 {
			close(begun)
			<-release
		}
		return nil
	}
	var seen log
	write(t, j.Journal, "a", 1, 3)
	o := spawn(t, j, publisher.Props(publisher.Func(s.publish)), exploding(), seen.option())
	next(t, "the first save", begun)
	o.system.Root.Send(o.pid, boom{})
	write(t, j.Journal, "a", 4, 6)
	o.flush(t)
	handled := seen.count("outbox.happened")
	close(release)
	await(t, "the late answer has come", func() bool { return seen.count("outbox.happened") > handled })
	saved, err := j.Journal.Load(within(t), "outbox/test")
	require.NoError(t, err)
	require.EqualValues(t, 6, saved.Keep.Watermark)
	write(t, j.Journal, "a", 7, 9)
	o.flush(t)

	all := j.indexes()
	require.True(t, slices.IsSorted(all))
	require.Len(t, slices.Compact(all), j.count("Save"), "no index is used twice, whatever life it belongs to")
	saved, err = j.Journal.Load(within(t), "outbox/test")
	require.NoError(t, err)
	require.EqualValues(t, 9, saved.Keep.Watermark)
	require.Equal(t, ids("a", 1, 9), firsts(s.received("a")))
}

func TestAnotherSnapshotUnderTheSameIndexIsNotTakenForItsOwn(t *testing.T) {
	j, s := newSpy(), &sink{}
	j.saving = func(ctx context.Context, saved query.Saved) error {
		if saved.Index == 1 { // what an earlier attempt has left on the way arrives just before
			saved.Data, saved.Keep = nil, query.Keep{}
			return j.Journal.Save(ctx, "outbox/test", saved)
		}
		return nil
	}
	write(t, j.Journal, "a", 1, 3)
	o := spawn(t, j, publisher.Props(publisher.Func(s.publish)))
	o.flush(t)
	saved, err := j.Journal.Load(within(t), "outbox/test")
	require.NoError(t, err)
	require.EqualValues(t, 3, saved.Keep.Watermark, "what a flush says is saved is saved")
	require.Equal(t, []int64{1, 2}, j.indexes())
}

func TestAStopSavesOnlyWhatIsNotSaved(t *testing.T) {
	j, s := newSpy(), &sink{}
	write(t, j.Journal, "a", 1, 3)
	o := spawnTimed(t, j, publisher.Props(publisher.Func(s.publish)))
	o.flush(t)
	o.stop(t)
	require.Equal(t, 1, j.count("Save"), "there was nothing new to say")

	write(t, j.Journal, "a", 4, 4)
	o = spawnTimed(t, j, publisher.Props(publisher.Func(s.publish)))
	require.NoError(t, o.WaitPublished(within(t), "a", 4))
	require.Equal(t, 1, j.count("Save"))
	o.stop(t)
	require.Equal(t, 2, j.count("Save"))
}

func TestARestartSavesNothing(t *testing.T) {
	j, s := newSpy(), &sink{}
	write(t, j.Journal, "a", 1, 3)
	o := spawnTimed(t, j, publisher.Props(publisher.Func(s.publish)), exploding())
	require.NoError(t, o.WaitPublished(within(t), "a", 3))
	o.system.Root.Send(o.pid, boom{})
	require.NoError(t, o.WaitPublished(within(t), "a", 3))
	require.Zero(t, j.count("Save"), "a save could make permanent what was wrong")
	require.Equal(t, ids("a", 1, 3), firsts(s.received("a")))
	require.Greater(t, len(s.received("a")), 3)
}

func TestOffsetsAreSavedInTimeWithoutBeingAskedFor(t *testing.T) {
	j, s := newSpy(), &sink{}
	write(t, j.Journal, "a", 1, 3)
	o := spawnTimed(t, j, publisher.Props(publisher.Func(s.publish)))
	require.NoError(t, o.WaitPublished(within(t), "a", 3))
	o.until(t, "they are", func() bool {
		status, err := o.Status(within(t))
		return err == nil && status.GetSavedWatermark() == 3 && status.GetUnsaved() == 0
	})
}
