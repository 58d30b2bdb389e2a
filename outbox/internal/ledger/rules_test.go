package ledger

// One subject, one list: the ledger's rules, each told once, with no more than the inputs that it takes.

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// oneLane keeps the order of dispatches simple, and saves out of the way.
func oneLane() Config {
	cfg := testConfig()
	cfg.Lanes = 1
	cfg.SaveInterval = time.Minute
	return cfg
}

func TestAFailingIDIsHeldWhileOthersFlowAndCatchesUpByItself(t *testing.T) {
	b := newBench(t, oneLane(), Recovered{})
	b.feed(event("bad", 1, 1), event("good", 1, 2))
	b.answer(b.only("bad/1", "good/1"), OK, Result{Index: 0, Outcome: Retry})
	assert.Equal(t, NoticeHeld, one[Notice](b).Kind)
	assert.Equal(t, 2, b.watermark(), "a held id does not pin the watermark")

	b.wait(50 * time.Millisecond)
	b.feed(event("bad", 2, 3), event("good", 2, 4))
	b.answer(b.only("good/2"), OK)
	assert.Equal(t, 4, b.watermark(), "the feed passes over a held id")

	b.wait(50 * time.Millisecond)
	read := one[ReadStream](b)
	assert.Equal(t, "bad", read.PersistenceID)
	assert.EqualValues(t, 1, read.From)
	b.give(StreamPage{Read: read.Read, Events: []query.Event{event("bad", 1, 1), event("bad", 2, 3), event("bad", 3, 9)}})
	b.answer(b.only("bad/1"), OK) // what has failed is tried by itself
	b.answer(b.only("bad/2"), OK)
	assert.Equal(t, NoticeRejoined, one[Notice](b).Kind, "what lies beyond the feed's position is the feed's to deliver")
	assert.Empty(t, b.streams)
}

func TestAnIDThatRejoinedAheadOfTheWatermarkStaysInTheSnapshot(t *testing.T) {
	cfg := oneLane()
	cfg.Batch.Events = 1
	b := newBench(t, cfg, Recovered{Snapshot: Snapshot{Held: []HeldStream{{PersistenceID: "a", Next: 1}}}})
	first := one[ReadStream](b)
	b.feed(event("slow", 1, 1), event("a", 1, 2), event("a", 2, 3))
	slow := b.only("slow/1")
	b.give(StreamPage{Read: first.Read, Events: []query.Event{event("a", 1, 2), event("a", 2, 3)}})
	b.answer(b.only("a/1"), OK)
	b.answer(b.only("a/2"), OK)
	require.Equal(t, NoticeRejoined, one[Notice](b).Kind)

	b.cfg.SaveInterval = time.Second
	s := b.save(SaveOK)
	assert.EqualValues(t, 0, s.Watermark)
	assert.Equal(t, []HeldStream{{PersistenceID: "a", Next: 3, SettledOffset: 3}}, s.Held, "else a crash would repeat what was recorded")

	b.answer(slow, OK)
	s = b.save(SaveOK)
	assert.EqualValues(t, 3, s.Watermark)
	assert.Empty(t, s.Held, "the watermark says it all again")
}

func TestAnIDThatIsAheadIsNotSentAgainAfterACrash(t *testing.T) {
	b := newBench(t, oneLane(), Recovered{Snapshot: Snapshot{Held: []HeldStream{{PersistenceID: "a", Next: 3, SettledOffset: 3}}}, Index: 7})
	b.give(StreamPage{Read: one[ReadStream](b).Read})
	require.Equal(t, NoticeRejoined, one[Notice](b).Kind)
	b.feed(event("slow", 1, 1), event("a", 1, 2), event("a", 2, 3), event("a", 3, 4))
	b.answer(b.only("slow/1", "a/3"), OK)
	assert.Empty(t, b.streams)
}

func TestPlacesFullOfThoseAheadDoNotStopTheReading(t *testing.T) {
	cfg := oneLane()
	cfg.MaxHeld = 1
	b := newBench(t, cfg, Recovered{Snapshot: Snapshot{Held: []HeldStream{{PersistenceID: "a", Next: 3, SettledOffset: 3}}}})
	b.give(StreamPage{Read: one[ReadStream](b).Read})
	b.wait(time.Second)
	assert.NotEmpty(t, take[ReadFeed](b), "only reading lets go of them")
}

func TestTheNextEventAfterAParkedOneWaitsUntilTheSaveIsKnown(t *testing.T) {
	b := newBench(t, oneLane(), Recovered{})
	b.feed(event("a", 1, 1), event("a", 2, 2))
	b.answer(b.only("a/1", "a/2"), Unknown, Result{Index: 0, Outcome: Permanent, Err: "poison"}, Result{Index: 1, Outcome: OK})
	save := one[Save](b)
	require.Len(t, save.Snapshot.Parked, 1, "it is saved at once")
	assert.Equal(t, "poison", save.Snapshot.Parked[0].Reason)
	ids, _ := b.sent()
	assert.Empty(t, ids)

	b.give(Saved{Index: save.Index, Result: SaveFailed, Err: errInjected})
	ids, _ = b.sent()
	assert.Empty(t, ids, "a failed save says nothing")

	b.wait(time.Second)
	b.give(Saved{Index: one[Save](b).Index, Result: SaveOK})
	b.answer(b.only("a/2"), OK)
	assert.Equal(t, 2, b.watermark())
}

func TestAFullParkedListHoldsInstead(t *testing.T) {
	cfg := oneLane()
	cfg.MaxParked = 1
	b := newBench(t, cfg, Recovered{Snapshot: Snapshot{Parked: []ParkedEvent{{Pointer: Pointer{PersistenceID: "x", SequenceNumber: 1}}}}})
	b.feed(event("a", 1, 1), event("b", 1, 2))
	b.answer(b.only("a/1", "b/1"), OK, Result{Index: 0, Outcome: Permanent})
	assert.Equal(t, NoticeHeld, one[Notice](b).Kind)
	assert.Equal(t, 1, b.Status(0).ParkedCount)
	assert.Equal(t, 2, b.watermark())
}

func TestAnUnknownBatchIsSentAgainOneEventAtATime(t *testing.T) {
	b := newBench(t, oneLane(), Recovered{})
	b.feed(event("a", 1, 1), event("a", 2, 2), event("b", 1, 3))
	b.answer(b.only("a/1", "a/2", "b/1"), Unknown)
	ids, batches := b.sent()
	assert.Equal(t, [][]string{{"a/1"}, {"b/1"}}, ids)
	assert.Empty(t, b.failing, "nobody is blamed for what happened to all")

	b.answer(batches[0], OK)
	b.answer(b.only("a/2"), OK)
	b.answer(batches[1], Unknown)
	assert.Len(t, b.failing, 1, "what fails alone has failed")
}

func TestAnOKAfterAFailureOfTheSameIDIsNotBelieved(t *testing.T) {
	b := newBench(t, oneLane(), Recovered{})
	b.feed(event("a", 1, 1), event("a", 2, 2))
	b.answer(b.only("a/1", "a/2"), OK, Result{Index: 0, Outcome: Unknown})
	b.answer(b.only("a/1"), OK)
	b.answer(b.only("a/2"), OK)
	assert.Equal(t, 2, b.watermark())
}

func TestAnOutageHoldsNobodyAndEndsWithAnySuccess(t *testing.T) {
	cfg := oneLane()
	cfg.LaneBatches = 4
	b := newBench(t, cfg, Recovered{})
	b.feed(event("a", 1, 1), event("b", 1, 2), event("c", 1, 3), event("d", 1, 4))
	batch := b.only("a/1", "b/1", "c/1", "d/1")
	b.answer(batch, Retry)
	require.Equal(t, NoticeOutageBegan, one[Notice](b).Kind, "three have failed and none got through")

	probed := map[string]bool{}
	for range 8 {
		b.wait(8 * time.Second) // the longest backoff, less than a timeout
		take[ReadFeed](b)       // which is not answered
		ids, batches := b.sent()
		for i := range ids {
			require.Len(t, ids[i], 1, "a probe is one event")
			probed[ids[i][0]] = true
			b.answer(batches[i], Retry)
		}
	}
	assert.Len(t, probed, 4, "probes rotate over ids: %v", probed)
	assert.Empty(t, b.held)

	b.wait(8 * time.Second)
	_, batches := b.sent()
	b.answer(batches[0], OK)
	require.Equal(t, NoticeOutageEnded, one[Notice](b).Kind)
	ids, _ := b.sent()
	assert.Len(t, ids, 3, "everybody else is sent at once: %v", ids)
}

// failAlone brings a ledger to the point where as many ids as make an outage have failed, and nothing else is in memory.
func failAlone(b *bench) {
	b.feed(event("a", 1, 1), event("b", 1, 2), event("c", 1, 3))
	b.answer(b.only("a/1", "b/1", "c/1"), Retry)
	require.True(b.t, b.Status(0).Outage)
}

func TestAFewFailingIDsCannotPassForAnOutageForLong(t *testing.T) {
	b := newBench(t, oneLane(), Recovered{})
	failAlone(b)
	b.wait(50 * time.Millisecond)
	b.feed(event("good", 1, 4))
	for range 4 {
		b.wait(time.Second)
		ids, batches := b.sent()
		for i := range ids {
			if ids[i][0] == "good/1" {
				b.answer(batches[i], OK)
				assert.False(t, b.Status(0).Outage)
				return
			}
			b.answer(batches[i], Retry)
		}
	}
	require.Fail(t, "an event that was never tried must get its turn among the probes")
}

func TestConvictedIDsDoNotMakeAnOutage(t *testing.T) {
	b := newBench(t, oneLane(), Recovered{})
	b.feed(event("a", 1, 1), event("b", 1, 2), event("good", 1, 3))
	b.answer(b.only("a/1", "b/1", "good/1"), OK, Result{Index: 0, Outcome: Retry}, Result{Index: 1, Outcome: Retry})
	b.wait(50 * time.Millisecond)
	b.feed(event("c", 1, 4))
	b.answer(b.only("c/1"), Retry) // the first to fail since "good" got through
	failed := map[string]bool{}
	for range 20 {
		b.wait(500 * time.Millisecond)
		for _, read := range take[ReadStream](b) {
			offset := int64(read.PersistenceID[0]-'a') + 1
			b.give(StreamPage{Read: read.Read, Events: []query.Event{event(read.PersistenceID, 1, offset)}})
		}
		ids, batches := b.sent()
		for i := range batches {
			failed[ids[i][0]] = true
			b.answer(batches[i], Retry)
		}
		require.False(t, b.Status(0).Outage, "a and b have failed before where good got through")
	}
	assert.Len(t, failed, 3)
}

func TestTheBudgetOfUnsavedEventsIsNeverExceeded(t *testing.T) {
	b := newBench(t, oneLane(), Recovered{})
	var events []query.Event
	for i := int64(1); i <= 8; i++ {
		events = append(events, event("a", i, i))
	}
	b.feed(events...)
	for {
		_, batches := b.sent()
		if len(batches) == 0 {
			break
		}
		for _, batch := range batches {
			b.answer(batch, OK)
		}
		if reads := take[ReadFeed](b); len(reads) > 0 {
			next := int64(reads[0].After)
			var more []query.Event
			for i := range int64(reads[0].Limits.Events) {
				more = append(more, event("a", next+i+1, next+i+1))
			}
			b.give(FeedPage{Read: reads[0].Read, Page: query.Page{Events: more, Next: query.Offset(next + int64(len(more))), More: true}})
		}
		require.LessOrEqual(t, b.Status(0).Unsaved, b.cfg.MaxUnsaved)
	}
	require.NotEmpty(t, take[Save](b), "nothing else frees the budget")
}

func TestAnEventThatWasNeverSentDoesNotPinTheBudget(t *testing.T) {
	cfg := testConfig()
	cfg.SaveEvery, cfg.SaveInterval, cfg.MaxHeld = 100, time.Minute, 4
	b := newBench(t, cfg, Recovered{})
	pinned, other := "a", "b"
	for query.SliceOf(other)%2 == query.SliceOf(pinned)%2 {
		other += "b"
	}
	b.give(LaneDown{Lane: int(query.SliceOf(pinned) % 2)})
	b.feed(event(pinned, 1, 1), event(other, 1, 2), event(other, 2, 3), event(other, 3, 4), event(other, 4, 5))
	offset := int64(5)
	for seq := int64(5); ; {
		_, batches := b.sent()
		for _, batch := range batches {
			b.answer(batch, OK)
		}
		if b.Status(0).HeldCount == 1 {
			break
		}
		require.Less(t, seq, int64(100), "the budget is never used up")
		b.wait(50 * time.Millisecond)
		offset++
		b.feed(event(other, seq, offset))
		seq++
	}
	assert.Equal(t, pinned, b.Status(1).Held[0].PersistenceID, "it is held although it has not failed")
	assert.Greater(t, b.watermark(), 1, "so that the rest can be saved")
	b.wait(cfg.SaveInterval + cfg.PollInterval)
	assert.NotEmpty(t, take[Save](b))
}

func TestTheFrontIsSentFromTheReserve(t *testing.T) {
	cfg := oneLane()
	cfg.MaxUnsaved, cfg.MaxHeld, cfg.Batch.Events, cfg.LaneBatches = 4, 2, 1, 8
	b := newBench(t, cfg, Recovered{})
	b.feed(event("a", 1, 1), event("b", 1, 2), event("c", 1, 3))
	first := b.only("a/1") // all that is common; the other three places are for the front and the held
	ids, _ := b.sent()
	require.Empty(t, ids)
	b.answer(first, OK)
	b.only("b/1")
	assert.NotEmpty(t, take[Save](b))
}

func TestTheFrontFindsAPlaceToBeHeld(t *testing.T) {
	cfg := oneLane()
	cfg.MaxHeld = 2
	b := newBench(t, cfg, Recovered{})
	b.feed(event("a", 1, 1), event("b", 1, 2), event("c", 1, 3), event("good", 1, 4))
	b.answer(b.only("a/1", "b/1", "c/1", "good/1"), OK, Result{Index: 0, Outcome: Retry}, Result{Index: 1, Outcome: Retry})
	require.Equal(t, 1, b.Status(0).HeldCount, "half of the places are for those who pin the watermark")
	assert.Equal(t, 1, b.watermark())
	take[ReadStream](b) // which are not answered
	for range 12 {
		b.wait(cfg.HoldAfter / 10)
		take[ReadFeed](b)
		_, batches := b.sent()
		for _, batch := range batches {
			b.answer(batch, Retry)
		}
	}
	assert.Equal(t, 2, b.Status(0).HeldCount)
	assert.Equal(t, 4, b.watermark())
}

func TestAHotIDIsHeldSoThatItDoesNotFillTheWindow(t *testing.T) {
	cfg := oneLane()
	cfg.Page.Events, cfg.Window.Events = 16, 32
	b := newBench(t, cfg, Recovered{})
	events := []query.Event{event("calm", 1, 1)}
	for i := int64(1); i <= 10; i++ {
		events = append(events, event("hot", i, i+1))
	}
	b.feed(events...)
	assert.Equal(t, NoticeHeld, one[Notice](b).Kind)
	assert.Equal(t, "hot", b.Status(1).Held[0].PersistenceID)
}

func TestADrainWaitsForWhatIsInFlightAndSaves(t *testing.T) {
	b := newBench(t, oneLane(), Recovered{})
	b.feed(event("a", 1, 1), event("a", 2, 2))
	batch := b.only("a/1", "a/2")
	b.give(Drain{Token: 1, Deadline: at(time.Minute)})
	b.wait(3 * time.Second)
	assert.Empty(t, take[ReadFeed](b))
	assert.Empty(t, take[Reply](b))
	b.answer(batch, OK)
	save := one[Save](b)
	assert.EqualValues(t, 2, save.Snapshot.Watermark)
	assert.Empty(t, take[Stop](b))
	b.give(Saved{Index: save.Index, Result: SaveOK})
	assert.NoError(t, one[Reply](b).Err)
	assert.NoError(t, one[Stop](b).Err)
	b.give(Tick{})
	assert.Empty(t, b.effects, "a stopped ledger is silent")
}

func TestADrainRecordsWhatIsSettledBehindAnEventThatWasNeverSent(t *testing.T) {
	cfg := oneLane()
	cfg.Batch.Events, cfg.LaneBatches = 1, 2
	b := newBench(t, cfg, Recovered{})
	b.feed(event("a", 1, 1), event("a", 2, 2), event("b", 1, 3), event("c", 1, 4))
	_, batches := b.sent()
	require.Len(t, batches, 2, "a/1 and b/1")
	b.give(Drain{Token: 1, Deadline: at(time.Minute)})
	b.answer(batches[1], OK)
	assert.Empty(t, take[Save](b), "a/1 is unanswered")
	b.answer(batches[0], OK)
	assert.Empty(t, take[Dispatch](b))
	save := one[Save](b)
	assert.EqualValues(t, 3, save.Snapshot.Watermark, "b/1 is not to be published again; c/1 is the feed's to deliver")
	assert.Equal(t, []HeldStream{{PersistenceID: "a", Next: 2, SettledOffset: 1}}, save.Snapshot.Held)
	b.give(Saved{Index: save.Index, Result: SaveOK})
	assert.NoError(t, one[Stop](b).Err)

	b = newBench(t, oneLane(), Recovered{Snapshot: save.Snapshot, Index: save.Index})
	b.give(StreamPage{Read: one[ReadStream](b).Read, Events: []query.Event{event("a", 2, 2)}})
	b.only("a/2")
	b.feed(event("c", 1, 4))
	b.only("c/1")
}

func TestADrainEndsAtItsDeadline(t *testing.T) {
	b := newBench(t, oneLane(), Recovered{})
	b.feed(event("a", 1, 1))
	b.only("a/1")
	b.give(Drain{Token: 1, Deadline: at(b.now + 3*time.Second)})
	b.wait(4 * time.Second)
	assert.ErrorIs(t, one[Reply](b).Err, ErrDrainDeadline)
	assert.ErrorIs(t, one[Stop](b).Err, ErrDrainDeadline)
}

func TestAMissingAnswerIsAnAnswer(t *testing.T) {
	cfg := oneLane()
	cfg.HoldAfter = time.Minute
	b := newBench(t, cfg, Recovered{})
	lost := one[ReadFeed](b)
	b.wait(b.cfg.ReadTimeout + 2*b.cfg.BackoffMin)
	again := take[ReadFeed](b)
	require.Len(t, again, 1)
	b.give(FeedPage{Read: lost.Read, Page: query.Page{Events: []query.Event{event("late", 1, 1)}, Next: 1}})
	ids, _ := b.sent()
	require.Empty(t, ids, "an answer that comes too late is ignored")

	b.give(FeedPage{Read: again[0].Read, Page: query.Page{Events: []query.Event{event("a", 1, 1)}, Next: 1}})
	first := b.only("a/1")
	b.wait(b.cfg.PublishTimeout + 200*time.Millisecond)
	second := b.only("a/1")
	b.answer(first, OK)
	require.Equal(t, 0, b.watermark(), "the first batch no longer counts")
	b.answer(second, OK)
	b.answer(second, Permanent)
	require.Equal(t, 1, b.watermark())
	require.Zero(t, b.Status(0).ParkedCount, "an answer counts once")

	b.cfg.SaveInterval = time.Second
	b.wait(2 * time.Second)
	save := one[Save](b)
	b.wait(b.cfg.SaveTimeout + 2*b.cfg.BackoffMin)
	outbid := one[Save](b)
	assert.Greater(t, outbid.Index, save.Index, "a save of unknown outcome is outbid")
	b.give(Saved{Index: save.Index, Result: SaveOK})
	assert.Equal(t, 1, b.Status(0).Unsaved, "and no longer counts")
	b.give(Saved{Index: outbid.Index, Result: SaveOK})
	assert.Zero(t, b.Status(0).Unsaved)
}

func TestAPublisherThatIsGoneLeavesItsBatchesUnknown(t *testing.T) {
	b := newBench(t, oneLane(), Recovered{})
	b.feed(event("a", 1, 1), event("a", 2, 2))
	b.only("a/1", "a/2")
	b.give(LaneDown{Lane: 0})
	b.wait(time.Second)
	ids, _ := b.sent()
	require.Empty(t, ids, "nobody is there to take it")
	b.give(LaneUp{Lane: 0})
	b.only("a/1")
}

func TestABrokenJournalStopsTheLedger(t *testing.T) {
	for name, page := range map[string]query.Page{
		"offsets go back":            {Events: []query.Event{event("a", 1, 5), event("b", 1, 4)}, Next: 5},
		"an offset was read before":  {Events: []query.Event{event("a", 1, 2)}, Next: 2},
		"complete up to before last": {Events: []query.Event{event("a", 1, 5)}, Next: 4},
		"next goes back":             {Next: 1},
		"sequence numbers go back":   {Events: []query.Event{event("a", 2, 5), event("a", 2, 6)}, Next: 6},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, oneLane(), Recovered{Snapshot: Snapshot{Watermark: 3}})
			b.give(FeedPage{Read: one[ReadFeed](b).Read, Page: page})
			assert.ErrorIs(t, one[Stop](b).Err, ErrBrokenJournal)
			ids, _ := b.sent()
			assert.Empty(t, ids)
		})
	}
}

func TestAFencedLedgerStopsHoweverLateItHears(t *testing.T) {
	b := newBench(t, oneLane(), Recovered{})
	b.feed(event("a", 1, 1), event("b", 1, 2))
	b.answer(b.only("a/1", "b/1"), Retry, Result{Index: 0, Outcome: OK})
	b.cfg.SaveInterval = time.Second
	b.wait(2 * time.Second)
	save := one[Save](b)
	b.give(Flush{Token: 1, Offset: 1})
	b.wait(b.cfg.SaveTimeout + 50*time.Millisecond) // it counts as failed
	b.effects = nil
	b.give(Saved{Index: save.Index, Result: SaveFenced})
	assert.ErrorIs(t, one[Reply](b).Err, ErrFenced)
	assert.ErrorIs(t, one[Stop](b).Err, ErrFenced)
	b.give(Tick{})
	b.give(LaneUp{Lane: 0})
	assert.Empty(t, b.effects)
	_, ok := b.Final()
	assert.False(t, ok, "it has no right to save any more")
}

func TestAfterARestartAHeldIDRejoinsOnlyOnceAReadHasTold(t *testing.T) {
	b := newBench(t, oneLane(), Recovered{Snapshot: Snapshot{Watermark: 10, Held: []HeldStream{{PersistenceID: "a", Next: 2, SettledOffset: 1}}}, Index: 3})
	read := one[ReadStream](b)
	assert.EqualValues(t, 2, read.From)
	b.give(StreamFailed{Read: read.Read, Err: errInjected})
	b.feed(event("a", 3, 11))
	ids, _ := b.sent()
	require.Empty(t, ids, "its second event comes first")
	b.wait(time.Second)
	b.give(StreamPage{Read: one[ReadStream](b).Read, Events: []query.Event{event("a", 2, 5), event("a", 3, 11)}})
	b.answer(b.only("a/2", "a/3"), OK)
	require.Equal(t, NoticeRejoined, one[Notice](b).Kind)
	b.cfg.SaveInterval = time.Second
	b.wait(2 * time.Second)
	assert.EqualValues(t, 4, one[Save](b).Index, "saves go on from the stored index")
}

func TestWhatTheJournalWasToldToRemoveIsCountedAndPassed(t *testing.T) {
	b := newBench(t, oneLane(), Recovered{Snapshot: Snapshot{Held: []HeldStream{{PersistenceID: "a", Next: 1}}}})
	early := one[ReadStream](b)
	b.feed(event("a", 1, 1))
	b.give(StreamPage{Read: early.Read})
	assert.Empty(t, take[Notice](b), "that read was issued before the feed came by")
	b.give(StreamPage{Read: one[ReadStream](b).Read})
	notices := take[Notice](b)
	require.Len(t, notices, 2)
	assert.Equal(t, NoticeMissing, notices[0].Kind)
	assert.Equal(t, NoticeRejoined, notices[1].Kind)
	assert.EqualValues(t, 1, b.Status(0).Missing)
}

func TestFlushAndAwaitAreAnsweredWhenTheyAreTrue(t *testing.T) {
	b := newBench(t, oneLane(), Recovered{})
	b.give(Flush{Token: 1, Offset: 2})
	b.give(AwaitSettled{Token: 2, PersistenceID: "a", SequenceNumber: 1, Offset: 1})
	b.give(AwaitSettled{Token: 3, PersistenceID: "bad", SequenceNumber: 1, Offset: 2})
	b.feed(event("a", 1, 1), event("bad", 1, 2))
	require.Empty(t, take[Reply](b))
	b.answer(b.only("a/1", "bad/1"), OK, Result{Index: 1, Outcome: Permanent, Err: "poison"})
	replies := take[Reply](b)
	require.Len(t, replies, 2)
	assert.Equal(t, Reply{Token: 2}, replies[0])
	var parked *ParkedError
	require.ErrorAs(t, replies[1].Err, &parked)
	assert.Equal(t, "poison", parked.Reason)

	b.give(Saved{Index: one[Save](b).Index, Result: SaveOK})
	assert.Equal(t, Reply{Token: 1}, one[Reply](b), "a flush also waits for the save")
}

func TestAnIdleLedgerOnlyLooksAtTheJournal(t *testing.T) {
	b := newBench(t, oneLane(), Recovered{})
	b.feed(event("a", 1, 1))
	b.answer(b.only("a/1"), OK)
	b.cfg.SaveInterval = time.Second
	b.save(SaveOK)
	looks := 0
	for range 20 {
		b.wait(b.cfg.IdlePollInterval / 2)
		for _, read := range take[ReadFeed](b) {
			looks++
			b.give(FeedPage{Read: read.Read, Page: query.Page{Next: read.After}})
		}
	}
	assert.InDelta(t, 10, looks, 1, "once per idle interval")
	assert.Empty(t, b.effects)
}

func TestAWakeIsNotForgottenWhileAReadIsUnderWay(t *testing.T) {
	b := newBench(t, oneLane(), Recovered{})
	read := one[ReadFeed](b)
	b.give(Wake{})
	b.give(FeedPage{Read: read.Read, Page: query.Page{}})
	one[ReadFeed](b)
}
