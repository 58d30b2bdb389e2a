package ledger

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// publishAt answers everything that is read and sent until there is nothing more to answer. To which destination an event
// goes its id tells; tried counts the events that were sent there.
func (b *bench) publishAt(destination func(id string) string, down map[string]bool, tried map[string]int) {
	for {
		reads, batches := take[ReadStream](b), take[Dispatch](b)
		if len(reads) == 0 && len(batches) == 0 {
			return
		}
		for _, r := range reads {
			b.give(StreamPage{Read: r.Read, Events: []query.Event{event(r.PersistenceID, r.From, 1)}})
		}
		for _, d := range batches {
			in := Published{Generation: d.Generation, Batch: d.Batch, Outcome: OK}
			for i, e := range d.Events {
				name := destination(e.PersistenceID)
				tried[name]++
				in.Destinations = append(in.Destinations, name)
				if down[name] {
					in.Results = append(in.Results, Result{Index: i, Outcome: Retry, Err: "unreachable"})
				}
			}
			b.give(in)
		}
	}
}

// Where held events go is not saved. A thousand ids of a destination that is still down are tried once each, and are not in
// the way of the one that goes elsewhere, although it is the last.
func TestAfterARestartTheHeldIDsOfADeadDestinationAreTriedOnce(t *testing.T) {
	const ids = 1000
	cfg := testConfig()
	cfg.MaxUnsaved, cfg.MaxHeld = 4*ids, 2*ids
	var s Snapshot
	s.Watermark = 1
	for i := range ids {
		s.Held = append(s.Held, HeldStream{PersistenceID: fmt.Sprint("globex-", i), Next: 1})
	}
	s.Held = append(s.Held, HeldStream{PersistenceID: "acme", Next: 1})
	b := newBench(t, cfg, Recovered{Snapshot: s})
	destination := func(id string) string { return id[:4] }
	down, tried := map[string]bool{"glob": true}, map[string]int{}
	b.publishAt(destination, down, tried)
	require.Equal(t, map[string]int{"glob": ids, "acme": 1}, tried, "no time has passed")
	status := b.Status(10)
	require.Equal(t, ids, status.HeldCount)
	require.Len(t, status.Out, 1)
	require.Equal(t, ids, status.Out[0].Waiting)

	clear(tried)
	for range 1000 { // 1,000 s, at most one probe in half of BackoffMax
		b.wait(time.Second)
		b.publishAt(destination, down, tried)
	}
	require.Less(t, tried["glob"], 250)
	require.Greater(t, tried["glob"], 100)
	require.Equal(t, tried["glob"], b.Status(10).Out[0].FailedProbes)

	down["glob"] = false
	clear(tried)
	b.wait(cfg.BackoffMax)
	b.publishAt(destination, down, tried)
	require.Equal(t, map[string]int{"glob": ids}, tried)
	require.Zero(t, b.Status(10).HeldCount)
	require.Empty(t, b.destinations)
	require.Empty(t, b.out)
}

// A probe whose lane has no publisher, or whose event cannot be read, does not keep others from probing.
func TestAProbeThatCannotBeSentGivesItsTurnToAnother(t *testing.T) {
	for what, hinder := range map[string]func(b *bench, r ReadStream){
		"its events cannot be read": func(b *bench, r ReadStream) { b.give(StreamFailed{Read: r.Read, Err: errReadTimeout}) },
		"its publisher is gone before they are read": func(b *bench, r ReadStream) {
			b.give(LaneDown{Lane: b.streams[r.PersistenceID].lane})
			b.give(StreamPage{Read: r.Read, Events: []query.Event{event(r.PersistenceID, 1, 1)}})
		},
	} {
		t.Run(what, func(t *testing.T) {
			b := newBench(t, testConfig(), Recovered{})
			ids := []string{"a", "b", "c"} // of both lanes
			lanes := map[int]bool{}
			events := make([]query.Event, 0, len(ids))
			for i, id := range ids {
				events = append(events, event(id, 1, int64(i+1)))
			}
			b.feed(events...)
			for _, d := range take[Dispatch](b) {
				lanes[d.Lane] = true
				in := Published{Generation: 1, Batch: d.Batch, Outcome: Retry}
				for range d.Events {
					in.Destinations = append(in.Destinations, "globex")
				}
				b.give(in)
			}
			require.Len(t, lanes, 2)
			require.Len(t, b.out, 1)
			b.wait(time.Second)
			first := one[ReadStream](b)
			hinder(b, first)
			b.wait(time.Second)
			require.Empty(t, take[Dispatch](b))
			second := one[ReadStream](b)
			require.NotEqual(t, first.PersistenceID, second.PersistenceID)
			b.give(StreamPage{Read: second.Read, Events: []query.Event{event(second.PersistenceID, 1, 1)}})
			require.Equal(t, second.PersistenceID, one[Dispatch](b).Events[0].PersistenceID)
			require.LessOrEqual(t, b.catchUp.active, 1)
		})
	}
}

// The destination may ask for time. It does so for all of its events.
func TestADestinationThatAsksForTimeIsNotProbedBefore(t *testing.T) {
	b := newBench(t, testConfig(), Recovered{})
	b.feed(event("a", 1, 1), event("b", 1, 2), event("c", 1, 3))
	destination := func(string) string { return "globex" }
	b.publishAt(destination, map[string]bool{"globex": true}, map[string]int{})
	require.Len(t, b.out, 1)
	b.wait(time.Second)
	r := one[ReadStream](b)
	b.give(StreamPage{Read: r.Read, Events: []query.Event{event(r.PersistenceID, 1, 1)}})
	d := one[Dispatch](b)
	b.give(Published{Generation: 1, Batch: d.Batch, Results: []Result{{Outcome: Retry, RetryAfter: time.Hour, Destination: "globex"}}})
	b.wait(59 * time.Minute)
	require.Empty(t, take[ReadStream](b))
	b.wait(2 * time.Minute)
	require.NotEmpty(t, take[ReadStream](b))
}

// An operator, or a program in his place, that has all tried again and again does not keep the same one probing.
func TestWhoRetriesAllDoesNotKeepTheTurnsFromGoingRound(t *testing.T) {
	b := newBench(t, testConfig(), Recovered{})
	b.feed(event("a", 1, 1), event("b", 1, 2), event("c", 1, 3))
	b.publishAt(func(string) string { return "globex" }, map[string]bool{"globex": true}, map[string]int{})
	require.Len(t, b.out, 1)
	probed := map[string]bool{}
	retry := func(id string) string {
		b.give(RetryNow{PersistenceID: id})
		r := one[ReadStream](b)
		b.give(StreamPage{Read: r.Read, Events: []query.Event{event(r.PersistenceID, 1, 1)}})
		b.give(Published{Generation: 1, Batch: one[Dispatch](b).Batch, Outcome: Retry})
		return r.PersistenceID
	}
	for range 3 {
		probed[retry("")] = true
	}
	require.Len(t, probed, 3)
	require.Equal(t, "b", retry("b"))
	require.Equal(t, "c", retry("c"))
	require.Equal(t, "c", retry("c"), "whom he names is next")
}
