package ledger

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// Where rules meet: each of these was a bug.

// saves answers the saves that are waiting.
func (b *bench) saves() {
	for _, s := range take[Save](b) {
		b.give(Saved{Index: s.Index, Result: SaveOK})
	}
}

// gapWithoutPlace is a ledger whose only place for held streams is taken by one that is stuck, when the feed shows a/3
// after a/1. Everything else is settled.
func gapWithoutPlace(t *testing.T) *bench {
	cfg := oneLane()
	cfg.MaxHeld, cfg.OnPoison, cfg.Batch.Events, cfg.LaneBatches = 1, Hold, 1, 8
	b := newBench(t, cfg, Recovered{})
	b.feed(event("a", 1, 1), event("stuck", 1, 2), event("c", 1, 4))
	_, sent := b.sent()
	require.Len(t, sent, 3)
	b.wait(cfg.PollInterval)
	read := one[ReadFeed](b)
	b.answer(sent[1], Permanent)
	b.give(FeedPage{Read: read.Read, Page: query.Page{Events: []query.Event{event("a", 3, 6)}, Next: 6}})
	b.answer(sent[0], OK)
	b.answer(sent[2], OK)
	require.Equal(t, 1, b.watermark(), "a/2 may be right behind")
	return b
}

func TestADrainEndsAlthoughAGapPinsTheWatermark(t *testing.T) {
	b := gapWithoutPlace(t)
	b.give(Drain{Token: 1, Deadline: at(b.now + time.Second)})
	b.saves()
	b.wait(2 * time.Second)
	one[Stop](b)
}

func TestADrainHoldsTheStreamOfAGapOnceThereIsAPlace(t *testing.T) {
	b := gapWithoutPlace(t)
	b.saves()
	b.give(Skip{Token: 1, PersistenceID: "stuck", SequenceNumber: 1, Offset: 2})
	b.saves()
	b.give(Drain{Token: 2, Deadline: at(b.now + time.Second)})
	saved := one[Save](b).Snapshot
	assert.EqualValues(t, 4, saved.Watermark, "c/1 is settled")
	assert.Equal(t, []HeldStream{{PersistenceID: "a", Next: 2, SettledOffset: 1}}, saved.Held, "a/2 may be right behind a/1")
}

// While a/2 may be right behind a/1, of all reasons to hold a is one that lets it go again at once.
func TestAStreamWithAGapIsReadBeforeItRejoins(t *testing.T) {
	cfg := oneLane()
	cfg.MaxHeld, cfg.OnPoison, cfg.Batch.Events, cfg.LaneBatches, cfg.HoldAfter = 1, Hold, 1, 8, time.Second
	b := newBench(t, cfg, Recovered{})
	b.feed(event("stuck", 1, 1), event("a", 1, 2), event("c", 1, 4))
	_, sent := b.sent()
	b.wait(cfg.PollInterval)
	read := one[ReadFeed](b)
	b.answer(sent[0], Permanent)
	b.give(FeedPage{Read: read.Read, Page: query.Page{Events: []query.Event{event("a", 3, 6)}, Next: 6}})
	b.answer(sent[2], OK)
	b.give(Skip{Token: 1, PersistenceID: "stuck", SequenceNumber: 1, Offset: 1})
	b.saves()
	b.saves()
	b.wait(2 * time.Second) // a/1 is unanswered for so long that a is held, and the watermark moves on
	require.Equal(t, 4, b.watermark())
	b.answer(sent[1], OK)
	assert.EqualValues(t, 2, one[ReadStream](b).From)
	require.Len(t, b.held, 1, "until that read has told, a/2 would be lost")
}

func TestAnEventInAGapIsNotPublished(t *testing.T) {
	b := gapWithoutPlace(t)
	take[Reply](b)
	b.give(AwaitSettled{Token: 9, PersistenceID: "a", SequenceNumber: 2, Offset: 3})
	assert.Empty(t, take[Reply](b), "a/2 was never sent")
}

func TestAGapIsReadAgainAlthoughTheWindowIsFullBehindIt(t *testing.T) {
	cfg := oneLane()
	cfg.MaxHeld, cfg.OnPoison, cfg.Batch.Events, cfg.LaneBatches, cfg.MaxUnsaved = 1, Hold, 1, 64, 64
	cfg.Window.Events, cfg.Page.Events = 16, 16
	b := newBench(t, cfg, Recovered{})
	b.feed(event("stuck", 1, 1), event("a", 1, 2))
	_, sent := b.sent()
	b.wait(cfg.PollInterval)
	read := one[ReadFeed](b)
	b.answer(sent[0], Permanent)
	var events []query.Event
	for i := range int64(read.Limits.Events - 1) {
		events = append(events, event(fmt.Sprint("b", i), 1, 3+i))
	}
	events = append(events, event("a", 3, 30))
	b.give(FeedPage{Read: read.Read, Page: query.Page{Events: events, Next: 30, More: true}})
	b.answer(sent[1], OK)
	_, sent = b.sent()
	for _, d := range sent {
		b.answer(d, OK)
	}
	b.give(RetryNow{Token: 1})
	b.give(StreamPage{Read: one[ReadStream](b).Read, Events: []query.Event{event("stuck", 1, 1)}})
	b.answer(b.only("stuck/1"), OK)
	b.wait(time.Second)
	read = one[ReadFeed](b)
	b.give(FeedPage{Read: read.Read, Page: query.Page{Events: []query.Event{event("a", 3, 30)}, Next: 30}})
	assert.EqualValues(t, 2, one[ReadStream](b).From, "there is a place now, and a/2 is looked for")
	assert.Equal(t, 30, b.watermark())
}

func TestNobodyIsHeldTwiceToMakeWay(t *testing.T) {
	inLane := func(lane, n int) (ids []string) {
		for i := 0; len(ids) < n; i++ {
			if id := fmt.Sprint("id", i); int(query.SliceOf(id))%2 == lane {
				ids = append(ids, id)
			}
		}
		return ids
	}
	cfg := testConfig()
	cfg.MaxHeld, cfg.OnPoison, cfg.Batch.Events, cfg.LaneBatches, cfg.MaxUnsaved = 2, Hold, 1, 32, 64
	cfg.Window.Events, cfg.Page.Events = 12, 12
	up, hot := inLane(0, 7), inLane(1, 1)[0]
	b := newBench(t, cfg, Recovered{})
	b.give(LaneDown{1})
	b.feed(event(up[0], 1, 1), event(hot, 1, 2), event(hot, 2, 3), event(hot, 3, 4), event(hot, 4, 5), event(up[1], 1, 6))
	_, sent := b.sent()
	require.Len(t, b.held, 1, "the hot one, whose lane is down")
	b.wait(cfg.PollInterval)
	read := one[ReadFeed](b)
	b.answer(sent[1], Permanent)
	require.Len(t, b.held, 2)
	var events []query.Event
	for i := range int64(5) {
		events = append(events, event(up[2+i], 1, 7+i))
	}
	b.give(FeedPage{Read: read.Read, Page: query.Page{Events: append(events, event(up[0], 3, 20)), Next: 20}})
	b.answer(sent[0], OK) // the front is now an event of the hot one, which is held
	_, sent = b.sent()
	for _, d := range sent {
		b.answer(d, OK)
	}
	b.wait(2 * time.Second)
	assert.Len(t, b.held, 2)
}

func TestWhatWasSentAndIsGoneFromTheJournalDoesNotCountForEver(t *testing.T) {
	b := newBench(t, oneLane(), Recovered{})
	b.cfg.SaveInterval = time.Second
	b.feed(event("x", 1, 1), event("x", 2, 2), event("x", 3, 3), event("good", 1, 4))
	b.answer(b.only("x/1", "x/2", "x/3", "good/1"), OK, Result{Index: 0, Outcome: Retry})
	b.wait(time.Second)
	for _, r := range take[ReadStream](b) {
		b.give(StreamPage{Read: r.Read}) // somebody has removed the rows
	}
	for range 2 {
		b.saves()
		b.wait(2 * time.Second)
	}
	assert.Zero(t, b.Status(0).Unsaved)
	assert.EqualValues(t, 3, b.Status(0).Missing)
}

func TestARedriveIsTriedInAnOutage(t *testing.T) {
	cfg := oneLane()
	cfg.Batch.Events, cfg.LaneBatches = 1, 8
	p := event("p", 1, 1)
	b := newBench(t, cfg, Recovered{Index: 1, Snapshot: Snapshot{Watermark: 1, Parked: []ParkedEvent{{Pointer: pointerTo(&p)}}}})
	b.feed(event("a", 1, 2), event("b", 1, 3), event("c", 1, 4))
	_, sent := b.sent()
	for _, d := range sent {
		b.answer(d, Retry)
	}
	require.True(t, b.Status(0).Outage)
	b.give(Redrive{Token: 20, PersistenceID: "p"})
	b.give(StreamPage{Read: one[ReadStream](b).Read, Events: []query.Event{p}})
	b.answer(b.only("p/1"), OK)
	assert.False(t, b.Status(0).Outage, "the sink takes events again")
}

// An operator has accepted another journal, in which an id that was held has fewer events.
func TestAHeldIDOfAnotherHistoryBeginsAnew(t *testing.T) {
	old := Snapshot{Watermark: 90, Held: []HeldStream{{PersistenceID: "x", Next: 5, SettledOffset: 40}}}
	b := newBench(t, oneLane(), Recovered{Index: 1, Snapshot: old.Rebased(50), Base: true})
	b.saves()
	read := one[ReadStream](b)
	b.feed(event("x", 2, 51), event("y", 1, 52))
	b.give(StreamPage{Read: read.Read}) // nothing from x/5 on
	b.answer(b.only("y/1"), OK)
	again := one[ReadStream](b)
	assert.EqualValues(t, 2, again.From)
	b.give(StreamPage{Read: again.Read, Events: []query.Event{event("x", 2, 51)}})
	b.answer(b.only("x/2"), OK)
	assert.Empty(t, b.held)
}

func TestASettledEventDoesNotAppearTwice(t *testing.T) {
	b := newBench(t, oneLane(), Recovered{})
	b.feed(event("slow", 1, 1), event("a", 1, 2), event("a", 2, 3))
	b.answer(b.only("slow/1", "a/1", "a/2"), OK, Result{Index: 0, Outcome: Unknown})
	b.wait(b.cfg.PollInterval)
	b.feed(event("a", 2, 4))
	require.ErrorIs(t, one[Stop](b).Err, ErrBrokenJournal)
}

func TestANumberAloneNamesNoParkedEvent(t *testing.T) {
	b := newBench(t, oneLane(), Recovered{})
	b.give(Redrive{Token: 1, SequenceNumber: 5})
	require.ErrorIs(t, one[Reply](b).Err, ErrConflict)
}
