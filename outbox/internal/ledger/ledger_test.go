package ledger

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

func testConfig() Config {
	return Config{
		Generation: 1, Lanes: 2,
		PollInterval: 50 * time.Millisecond, IdlePollInterval: time.Second,
		Page: query.Limits{Events: 8, Bytes: 1 << 20}, Window: query.Limits{Events: 32, Bytes: 4 << 20},
		CatchUp: query.Limits{Events: 4, Bytes: 1 << 20}, CatchUps: 2,
		Batch: query.Limits{Events: 4, Bytes: 1 << 20}, LaneBatches: 2,
		MaxUnsaved: 16, MaxHeld: 4, MaxParked: 4,
		SaveEvery: 8, SaveInterval: time.Second, LazySaveInterval: time.Minute,
		ReadTimeout: 5 * time.Second, PublishTimeout: 10 * time.Second, SaveTimeout: 5 * time.Second,
		HoldAfter: 5 * time.Second, BackoffMin: 100 * time.Millisecond, BackoffMax: 10 * time.Second,
		OutageAfter: 3, Jitter: func() float64 { return 0.5 },
	}
}

// at is a moment on the test's clock.
func at(d time.Duration) time.Time { return time.Unix(1_000_000, 0).Add(d) }

func event(id string, seq, offset int64) query.Event {
	return query.Event{PersistenceID: id, SequenceNumber: seq, Offset: query.Offset(offset), Slice: query.SliceOf(id), Time: at(0)}
}

func effectsOf[E Effect](effects []Effect) []E {
	var found []E
	for _, e := range effects {
		if e, ok := e.(E); ok {
			found = append(found, e)
		}
	}
	return found
}

// bench is a ledger on a test's bench: it keeps the time and the effects that have not been looked at.
type bench struct {
	*Ledger
	t       *testing.T
	now     time.Duration
	effects []Effect
}

// newBench starts a ledger with its publishers up.
func newBench(t *testing.T, cfg Config, recovered Recovered) *bench {
	b := &bench{Ledger: New(cfg), t: t}
	for lane := range cfg.Lanes {
		b.give(LaneUp{Lane: lane})
	}
	b.give(recovered)
	return b
}

func (b *bench) give(in Input) { b.effects = append(b.effects, b.Step(at(b.now), in)...) }

// wait lets time pass, with a tick whenever the ledger wants one.
func (b *bench) wait(d time.Duration) {
	for end := b.now + d; b.now < end; {
		b.now = end
		if next := b.NextTick(); !next.IsZero() && next.Before(at(end)) {
			b.now = next.Sub(at(0))
		}
		b.give(Tick{})
	}
}

// take returns the effects of one kind that have not been looked at.
func take[E Effect](b *bench) []E {
	found := effectsOf[E](b.effects)
	b.effects = slices.DeleteFunc(b.effects, func(e Effect) bool { _, is := e.(E); return is })
	return found
}

// one returns the only effect of a kind.
func one[E Effect](b *bench) E {
	b.t.Helper()
	found := take[E](b)
	require.Len(b.t, found, 1, "%T", *new(E))
	return found[0]
}

// feed answers the read of the feed that is waiting.
func (b *bench) feed(events ...query.Event) {
	b.t.Helper()
	read := one[ReadFeed](b)
	next := read.After
	if n := len(events); n > 0 {
		next = events[n-1].Offset
	}
	b.give(FeedPage{Read: read.Read, Page: query.Page{Events: events, Next: next}})
}

// sent returns the ids of the events of the batches that were dispatched, and the batches.
func (b *bench) sent() (ids [][]string, batches []Dispatch) {
	batches = take[Dispatch](b)
	for _, d := range batches {
		var of []string
		for _, e := range d.Events {
			of = append(of, e.ID())
		}
		ids = append(ids, of)
	}
	return ids, batches
}

// only returns the one batch that was dispatched, which must be of these events.
func (b *bench) only(events ...string) Dispatch {
	b.t.Helper()
	ids, batches := b.sent()
	require.Equal(b.t, [][]string{events}, ids)
	return batches[0]
}

func (b *bench) answer(d Dispatch, outcome Outcome, results ...Result) {
	b.give(Published{Generation: d.Generation, Batch: d.Batch, Outcome: outcome, Results: results})
}

// save has the present state saved, and answers.
func (b *bench) save(result SaveResult) Snapshot {
	b.t.Helper()
	b.wait(b.cfg.SaveInterval + b.cfg.PollInterval)
	s := one[Save](b)
	b.give(Saved{Index: s.Index, Result: result})
	return s.Snapshot
}

func (b *bench) watermark() int { return int(b.Status(0).Watermark) }

func TestAnEventIsPublishedAndItsOffsetSaved(t *testing.T) {
	l := New(testConfig())
	l.Step(at(0), LaneUp{0})
	l.Step(at(0), LaneUp{1})
	reads := effectsOf[ReadFeed](l.Step(at(0), Recovered{}))
	require.Len(t, reads, 1)

	batches := effectsOf[Dispatch](l.Step(at(0), FeedPage{Read: reads[0].Read, Page: query.Page{
		Events: []query.Event{event("a", 1, 1), event("a", 2, 2)}, Next: 2,
	}}))
	require.Len(t, batches, 1)
	require.Len(t, batches[0].Events, 2)
	require.Equal(t, 2, l.Status(0).Unsaved)

	l.Step(at(0), Published{Generation: 1, Batch: batches[0].Batch, Outcome: OK})
	require.EqualValues(t, 2, l.Status(0).Watermark)

	saves := effectsOf[Save](l.Step(at(2*time.Second), Tick{}))
	require.Len(t, saves, 1)
	require.EqualValues(t, 2, saves[0].Snapshot.Watermark)
	require.EqualValues(t, 2, saves[0].Snapshot.Published)
	l.Step(at(2*time.Second), Saved{Index: saves[0].Index, Result: SaveOK})
	require.Zero(t, l.Status(0).Unsaved)
	require.Empty(t, effectsOf[Save](l.Step(at(time.Hour), Tick{})), "nothing is saved when nothing changed")
}
