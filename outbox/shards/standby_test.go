package shards

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// windowed answers as PostgreSQL does to who reads with a filter: it looks through so many offsets at a time, and says that
// there are more, however rare the events are.
type windowed struct {
	*faulty
	window query.Offset
	most   int64 // reads that are answered, if it is not 0; the next one fails, as if its context had ended
	on     atomic.Bool
	reads  atomic.Int64
}

func (f *windowed) Events(ctx context.Context, after query.Offset, filter query.Filter, limits query.Limits) (query.Page, error) {
	if !f.on.Load() {
		return f.faulty.Events(ctx, after, filter, limits)
	}
	if f.most > 0 && f.reads.Add(1)%(f.most+1) == 0 {
		return query.Page{}, context.DeadlineExceeded
	}
	page, err := f.faulty.Events(ctx, after, filter, limits)
	end := after + f.window
	if err != nil || (page.Next <= end && !page.More) || (len(page.Events) > 0 && page.Next <= end) {
		return page, err
	}
	if i := slices.IndexFunc(page.Events, func(e query.Event) bool { return e.Offset > end }); i >= 0 {
		page.Events = page.Events[:i]
	}
	page.Next, page.More = end, true
	return page, nil
}

// writeAs appends an event of another type or id than those that write does.
func (w *world) writeAs(id, eventType string, seq int64) {
	w.t.Helper()
	e := query.Event{PersistenceID: id, SequenceNumber: seq, Type: eventType, ContentType: "text/plain", Data: []byte("x")}
	e.UID[0], e.UID[1], e.UID[2], e.UID[3] = byte(seq), byte(seq>>8), 2, id[0]
	require.NoError(w.t, w.j.AppendEvent(context.Background(), e))
}

// dies ends a member's shard without a word: it can save nothing more.
func (n *node) dies() {
	n.w.t.Helper()
	n.store.onCall(func(string, string) (before, after error) { return errInjected, nil })
	n.stop(n.pid)
}

// The work that a dead owner has left may be far behind its watermark, after events that are not the shard's.
func TestWorkIsFoundWhereEventsAreRare(t *testing.T) {
	for name, c := range map[string]struct{ most int64 }{"in one look": {0}, "over many looks": {3}} {
		t.Run(name, func(t *testing.T) {
			simulated(t, func(t *testing.T, w *world) {
				only := WithFilter(query.Filter{Types: []string{"x"}})
				first, second := w.node(1, only), w.node(1, only)
				j := &windowed{faulty: first.store, window: 5, most: c.most}
				first.journal = j
				w.write()
				first.activate(0)
				pass(5 * time.Second)
				second.activate(0)
				pass(10 * time.Second)
				first.mustBe(standBy, "fenced")
				second.dies()
				for i := range 40 {
					w.writeAs("other", "y", int64(i+1))
				}
				w.write()
				j.on.Store(true) // nothing reads it but the shard's looks
				pass(5 * time.Minute)
				first.mustBe(running, "an event waits, and the owner is dead")
			})
		})
	}
}

// A held id is work, whether or not there are events behind the watermark.
func TestWhoStandsByTakesOverHeldIDs(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		var healed atomic.Bool
		var delivered atomic.Int64
		props := publisher.Props(publisher.Func(func(ctx context.Context, e publisher.Event) error {
			switch {
			case e.PersistenceID != "bad":
				return w.publish(ctx, e)
			case !healed.Load():
				return errors.New("down")
			}
			delivered.Add(1)
			return nil
		}))
		first, second := w.node(1), w.node(1)
		first.publisher, second.publisher = props, props
		w.write()
		first.activate(0)
		pass(5 * time.Second)
		second.activate(0)
		pass(10 * time.Second)
		first.mustBe(standBy, "fenced")
		w.writeAs("bad", "x", 1)
		w.write()
		pass(8 * time.Second)
		status := second.tell().GetOutbox()
		require.EqualValues(t, 1, status.GetHeldCount())
		require.EqualValues(t, 3, status.GetSavedWatermark(), "nothing is behind it")
		second.dies()
		healed.Store(true)
		pass(time.Minute)
		first.mustBe(running, "an id is held, and the owner is dead")
		require.EqualValues(t, 1, delivered.Load())
	})
}

// Who was fenced twice leaves changes of the cluster to the other for ten minutes, and not for longer.
func TestAChangeThatWasLeftToTheOtherIsHeededLater(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		first, second := w.two()
		first.changeTopology(7)
		pass(time.Minute)
		first.mustBe(running, "the first time")
		second.changeTopology(7)
		pass(10 * time.Second)
		second.mustBe(running, "in its turn")
		first.mustBe(standBy, "fenced again")
		first.changeTopology(8)
		pass(mostWait - time.Minute)
		first.mustBe(standBy, "it leaves the change to the other")
		pass(2 * time.Minute)
		first.mustBe(running, "nobody has told it of another change")
	})
}

// With a sink that takes nothing no owner gets anything done, and none is better than another.
func TestASinkThatIsDownIsNoReasonToTakeTurns(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		first, second := w.node(1), w.node(1)
		down := publisher.Props(publisher.Func(func(context.Context, publisher.Event) error { return errors.New("down") }))
		first.publisher, second.publisher = down, down
		w.write()
		first.activate(0)
		pass(5 * time.Second)
		second.activate(0)
		pass(time.Hour)
		before := w.epoch()
		pass(6 * time.Hour)
		require.LessOrEqual(t, w.epoch()-before, int64(6*time.Hour/(mostWait*3/4)+1), "a wait is three quarters of ten minutes at the least")
	})
}

// An owner who is paused does nothing, as he was told to. But somebody has to answer who wants to resume.
func TestAPausedOwnerIsTakenOverFromOnlyIfSomebodyAsks(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		first, second := w.two()
		c, l := second.inCluster()
		l.where[second.identity(0)] = second.pid
		require.NoError(t, second.Client(c).Pause(t.Context()))
		w.write()
		before := w.epoch()
		pass(24 * time.Hour)
		require.Equal(t, before, w.epoch(), "nothing moves, as it should be")
		first.mustBe(standBy, "the owner is paused")

		second.dies()
		c, l = first.inCluster()
		l.where[first.identity(0)] = first.pid
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		require.NoError(t, first.Client(c).Resume(ctx))
		pass(time.Second)
		require.Equal(t, 2, w.published())
	})
}

// What cannot even be spawned is tried less and less often, as what ends at once.
func TestAnOutboxThatCannotBeSpawnedIsTriedLessAndLessOften(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		n := w.node(1)
		n.activate(0)
		pass(2 * goodWhile)
		pong := n.ask(&outboxv1.PingShard{}).(*outboxv1.PongShard)
		n.outbox = append(n.outbox, outbox.WithLanes(0))
		n.system.Root.Stop(actor.NewPID(pong.GetOutboxAddress(), pong.GetOutboxId()))
		pass(30 * time.Minute)
		longest := time.Duration(0)
		for range 300 {
			pass(time.Second)
			longest = max(longest, n.mustBe(failed, "it has no lanes").GetSince().AsDuration())
		}
		require.Greater(t, longest, time.Minute)
	})
}
