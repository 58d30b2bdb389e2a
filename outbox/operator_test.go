package outbox_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

var errPoison = errors.New("poison")

// poisoned refuses one event for good until it is healed.
func poisoned(s *sink, event string) (heal func()) {
	var healed atomic.Bool
	s.fail = func(e publisher.Event, _ int) error {
		if e.ID() == event && !healed.Load() {
			return publisher.Permanent(errPoison)
		}
		return nil
	}
	return func() { healed.Store(true) }
}

func TestAParkedEventIsRedriven(t *testing.T) {
	j, s := memory.New(), &sink{}
	heal := poisoned(s, "a/2")
	write(t, j, "a", 1, 3)
	o := spawn(t, j, publisher.Props(publisher.Func(s.publish)))
	o.flush(t)
	require.Equal(t, []string{"a/1", "a/3"}, s.received("a"))

	events, err := o.Redrive(within(t), "a", 2)
	require.ErrorIs(t, err, outbox.ErrNotRedriven)
	require.ErrorContains(t, err, "a/2: poison")
	require.Zero(t, events)

	heal()
	events, err = o.Redrive(within(t), "", 0)
	require.NoError(t, err)
	require.Equal(t, 1, events)
	require.Equal(t, []string{"a/1", "a/3", "a/2"}, s.received("a"))
	require.NoError(t, o.WaitPublished(within(t), "a", 2))
	_, err = o.Redrive(within(t), "a", 2)
	require.ErrorIs(t, err, outbox.ErrConflict, "it is no longer parked")
	o.stop(t)

	again := spawnIn(t, o.system, j, publisher.Props(publisher.Func(s.publish)))
	again.flush(t)
	status, err := again.Status(within(t))
	require.NoError(t, err)
	require.Zero(t, status.GetParkedCount())
	require.Len(t, s.received("a"), 3)
}

func TestAParkedEventIsLetGoOf(t *testing.T) {
	j, s := memory.New(), &sink{}
	poisoned(s, "a/2")
	write(t, j, "a", 1, 3)
	o := spawn(t, j, publisher.Props(publisher.Func(s.publish)))
	o.flush(t)
	require.NoError(t, o.Skip(within(t), "a", 2))
	require.ErrorIs(t, o.Skip(within(t), "a", 2), outbox.ErrConflict)
	require.ErrorIs(t, o.Skip(within(t), "a", 99), outbox.ErrConflict)
	require.ErrorIs(t, o.Skip(within(t), "", 1), outbox.ErrNotFound)
	status, err := o.Status(within(t))
	require.NoError(t, err)
	require.Zero(t, status.GetParkedCount())
	require.EqualValues(t, 1, status.GetSkipped())
}

func TestPoisonIsHeldForAnOperator(t *testing.T) {
	for name, act := range map[string]func(*testing.T, running, func()){
		"who has it retried": func(t *testing.T, o running, heal func()) {
			heal()
			n, err := o.Retry(within(t), "a")
			require.NoError(t, err)
			require.Equal(t, 1, n)
		},
		"who has all retried": func(t *testing.T, o running, heal func()) {
			heal()
			n, err := o.Retry(within(t), "")
			require.NoError(t, err)
			require.Equal(t, 1, n)
		},
		"who skips it": func(t *testing.T, o running, _ func()) {
			require.ErrorIs(t, o.Skip(within(t), "a", 3), outbox.ErrConflict, "that is not the one that waits")
			require.NoError(t, o.Skip(within(t), "a", 2))
		},
	} {
		t.Run(name, func(t *testing.T) {
			j, s := memory.New(), &sink{}
			heal := poisoned(s, "a/2")
			write(t, j, "a", 1, 3)
			write(t, j, "b", 1, 3)
			o := spawn(t, j, publisher.Props(publisher.Func(s.publish)), outbox.WithOnPoison(outbox.Hold))
			await(t, "the others go on", func() bool { return len(s.received("b")) == 3 })
			waits := func() bool {
				status, err := o.Status(within(t))
				require.NoError(t, err)
				return len(status.GetHeld()) == 1 && status.GetHeld()[0].GetWaitsForOperator() && status.GetHeld()[0].GetNext() == 2
			}
			await(t, "it waits for an operator", waits)
			require.Equal(t, 1, s.attempts("a/2"), "nothing else has it tried again")
			_, err := o.Retry(within(t), "b")
			require.ErrorIs(t, err, outbox.ErrConflict)
			act(t, o, heal)
			o.flush(t)
			got := s.received("a")
			require.Equal(t, "a/3", got[len(got)-1])
		})
	}
}

func TestPoisonIsSkippedByRule(t *testing.T) {
	j, s := memory.New(), &sink{}
	poisoned(s, "a/2")
	write(t, j, "a", 1, 3)
	o := spawn(t, j, publisher.Props(publisher.Func(s.publish)), outbox.WithOnPoison(outbox.Skip))
	waited := async(func() error { return o.WaitPublished(within(t), "a", 3) })
	o.flush(t)
	require.NoError(t, <-waited)
	require.Equal(t, []string{"a/1", "a/3"}, s.received("a"))
	status, err := o.Status(within(t))
	require.NoError(t, err)
	require.EqualValues(t, 1, status.GetSkipped())
	require.Zero(t, status.GetParkedCount())
}

func TestWhoWaitsForAnEventIsToldThatItWasSkipped(t *testing.T) {
	j, s := memory.New(), &sink{}
	poisoned(s, "a/1")
	write(t, j, "a", 1, 1)
	o := spawn(t, j, publisher.Props(publisher.Func(s.publish)), outbox.WithOnPoison(outbox.Hold))
	await(t, "it was tried", func() bool { return s.attempts("a/1") == 1 })
	waited := async(func() error { return o.WaitPublished(within(t), "a", 1) })
	await(t, "it is skipped", func() bool { return o.Skip(within(t), "a", 1) == nil })
	var skipped *outbox.SkippedError
	if err := <-waited; err != nil { // else it had asked after the skip
		require.ErrorAs(t, err, &skipped)
		require.Equal(t, int64(1), skipped.SequenceNumber)
	}
}

func TestAttemptsAreLimitedWhileOthersGetThrough(t *testing.T) {
	j, s := memory.New(), &sink{}
	var down atomic.Bool
	s.fail = func(e publisher.Event, _ int) error {
		if down.Load() || e.PersistenceID == "a" {
			return errDown
		}
		return nil
	}
	down.Store(true)
	write(t, j, "a", 1, 1)
	write(t, j, "b", 1, 1)
	o := spawn(t, j, publisher.Props(publisher.Func(s.publish)), outbox.WithMaxAttempts(3))
	await(t, "both have failed often", func() bool { return s.attempts("a/1") > 5 && s.attempts("b/1") > 5 })
	status, err := o.Status(within(t))
	require.NoError(t, err)
	require.Zero(t, status.GetParkedCount(), "a sink that takes nothing uses up nobody's attempts")

	down.Store(false)
	for seq := int64(2); ; seq++ {
		write(t, j, "b", seq, seq)
		require.NoError(t, o.WaitPublished(within(t), "b", seq))
		if status, err = o.Status(within(t)); err == nil && status.GetParkedCount() == 1 {
			break
		}
		require.Less(t, seq, int64(1000))
	}
	require.Contains(t, status.GetParked()[0].GetReason(), "it has failed 3 times while others got through")
}

func TestRewindPublishesAgain(t *testing.T) {
	for name, rewind := range map[string]func(*testing.T, running, time.Time) error{
		"to an offset": func(t *testing.T, o running, _ time.Time) error { return o.Rewind(within(t), 2) },
		"to a time":    func(t *testing.T, o running, at time.Time) error { return o.RewindTo(within(t), at) },
	} {
		t.Run(name, func(t *testing.T) {
			j, s := memory.New(), &sink{}
			write(t, j, "a", 1, 2)
			var at time.Time
			await(t, "the journal's clock has passed the last event", func() bool {
				at = time.Now().UTC().Truncate(time.Microsecond)
				offset, err := j.OffsetAt(within(t), at)
				return err == nil && offset == 2
			})
			write(t, j, "a", 3, 5)
			o := spawn(t, j, publisher.Props(publisher.Func(s.publish)))
			o.flush(t)
			require.ErrorIs(t, o.Rewind(within(t), 5), outbox.ErrConflict, "a rewind leads back")
			require.NoError(t, rewind(t, o, at))
			o.flush(t)
			require.Equal(t, append(ids("a", 1, 5), ids("a", 3, 5)...), s.received("a"))
			status, err := o.Status(within(t))
			require.NoError(t, err)
			require.EqualValues(t, 1, status.GetRewinds())
			require.EqualValues(t, 8, status.GetPublished())
			o.stop(t)
			again := spawnIn(t, o.system, j, publisher.Props(publisher.Func(s.publish)))
			again.flush(t)
			require.Len(t, s.received("a"), 8)
		})
	}
	t.Run("to a time, in a journal that has none", func(t *testing.T) {
		j, s := memory.New(), &sink{}
		o := spawn(t, mute{j}, publisher.Props(publisher.Func(s.publish)), outbox.WithSnapshots(j))
		require.ErrorIs(t, o.RewindTo(within(t), time.Now()), outbox.ErrUnsupported)
	})
}

func TestAPauseOutlivesRestartsAndTakeovers(t *testing.T) {
	j, s := memory.New(), &sink{}
	write(t, j, "a", 1, 2)
	o := spawn(t, j, publisher.Props(publisher.Func(s.publish)))
	o.flush(t)
	require.NoError(t, o.Pause(within(t)))
	write(t, j, "a", 3, 4)
	o.stop(t)

	again := spawnTimed(t, j, publisher.Props(publisher.Func(s.publish)))
	again.until(t, "it is paused", func() bool { return again.state(t) == outboxv1.State_STATE_PAUSED })
	again.pass(t, time.Minute, time.Second)
	require.Equal(t, ids("a", 1, 2), s.received("a"))
	require.NoError(t, again.Resume(within(t)))
	again.until(t, "it goes on", func() bool { return len(s.received("a")) == 4 })
	require.Equal(t, ids("a", 1, 4), s.received("a"))
	require.Equal(t, outboxv1.State_STATE_RUNNING, again.state(t))
}

func TestAPausedOutboxFindsOutThatItWasReplaced(t *testing.T) {
	j, s := newSpy(), &sink{}
	o := spawnTimed(t, j, publisher.Props(publisher.Func(s.publish)))
	o.flush(t)
	require.NoError(t, o.Pause(within(t)))
	stopped := stoppedIn(t, o.system)
	takeOver(t, j)
	o.until(t, "it stops", func() bool { return len(stopped) > 0 })
	require.ErrorIs(t, (<-stopped).Err, outbox.ErrFenced)
}

func TestAFirstStartAtTheEnd(t *testing.T) {
	j, s := newSpy(), &sink{}
	write(t, j.Journal, "a", 1, 3)
	j.fail(errDown, "Save")
	first := spawn(t, j, publisher.Props(publisher.Func(s.publish)), outbox.WithStartNow())
	await(t, "it wants to save where it begins", func() bool { return len(j.indexes()) > 0 })
	require.Zero(t, j.count("Events"), "before that is saved, it does not read: a crash would move the beginning")
	j.fail(nil, "Save")
	write(t, j.Journal, "a", 4, 5)
	first.flush(t)
	require.Equal(t, ids("a", 4, 5), s.received("a"))
	first.stop(t)

	write(t, j.Journal, "a", 6, 6)
	second := spawnIn(t, first.system, j, publisher.Props(publisher.Func(s.publish)), outbox.WithStartNow())
	second.flush(t)
	require.Equal(t, ids("a", 4, 6), s.received("a"), "it counts for the very first start only")
}

// open is a journal with a transaction that may still commit events below the head.
type open struct {
	*memory.Journal
	complete query.Offset
}

func (o open) OffsetAt(ctx context.Context, t time.Time) (query.Offset, error) {
	at, err := o.Journal.OffsetAt(ctx, t)
	return min(at, o.complete), err
}

func TestAFirstStartAtTheEndDoesNotPassWhatIsNotCommitted(t *testing.T) {
	j, s := memory.New(), &sink{}
	write(t, j, "a", 1, 3)
	o := spawn(t, open{j, 2}, publisher.Props(publisher.Func(s.publish)), outbox.WithStartNow())
	o.flush(t)
	require.Equal(t, ids("a", 3, 3), s.received("a"), "a later event at offset 2 would have been published, too")
}

func TestAFirstStartAtATime(t *testing.T) {
	j, s := memory.New(), &sink{}
	write(t, j, "a", 1, 3)
	events, _, err := j.EventsByPersistenceID(context.Background(), "a", 1, query.Limits{Events: 3})
	require.NoError(t, err)
	o := spawn(t, j, publisher.Props(publisher.Func(s.publish)), outbox.WithStartTime(events[2].Time))
	o.flush(t)
	require.Equal(t, "a/3", s.received("a")[len(s.received("a"))-1])
	offset, err := j.OffsetAt(context.Background(), events[2].Time)
	require.NoError(t, err)
	require.Len(t, s.received("a"), 3-int(offset), "all events of that time or later")
}

// A machine's clock is set back by an hour, and forward again.
func TestAClockThatIsSetDoesNotStopTheOutbox(t *testing.T) {
	for name, step := range map[string]time.Duration{"back": -time.Hour, "forward": time.Hour} {
		t.Run(name, func(t *testing.T) {
			j, s := memory.New(), &sink{}
			var offset atomic.Int64
			clock := func() time.Time { return time.Now().Round(0).Add(time.Duration(offset.Load())) }
			s.fail = func(_ publisher.Event, attempt int) error {
				if attempt < 3 {
					return errDown // it is tried again in a while, by the clock
				}
				return nil
			}
			o := spawn(t, j, publisher.Props(publisher.Func(s.publish)), outbox.WithClock(clock))
			write(t, j, "a", 1, 3)
			o.flush(t)
			offset.Store(int64(step))
			write(t, j, "a", 4, 6)
			o.flush(t)
			offset.Store(0)
			write(t, j, "a", 7, 9)
			o.flush(t)
			require.Equal(t, ids("a", 1, 9), s.received("a"))
		})
	}
}
