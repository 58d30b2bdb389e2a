package journaltest_test

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// trimView is what a rule of removal goes by.
type trimView struct {
	e         query.Event
	last      int64 // of its id
	hidden    bool
	record    bool // the event itself
	actorless bool // all events of its id
	keeps     []query.Keep
	retention journal.Retention
}

// unneeded is the right rule.
func (v trimView) unneeded() bool {
	return v.old() && v.ownerless() && !v.isLast() && v.passed() && !v.held() && !v.parked() && !v.anchor()
}

func (v trimView) old() bool       { return !v.retention.Spares(v.e.Time) }
func (v trimView) ownerless() bool { return v.hidden || v.actorless }
func (v trimView) isLast() bool    { return v.e.SequenceNumber == v.last }

func (v trimView) passed() bool {
	return !slices.ContainsFunc(v.keeps, func(k query.Keep) bool { return v.e.Offset > k.Watermark })
}

func (v trimView) held() bool {
	return slices.ContainsFunc(v.keeps, func(k query.Keep) bool {
		next, held := k.Held[v.e.PersistenceID]
		return held && v.e.SequenceNumber >= next
	})
}

func (v trimView) parked() bool {
	return slices.ContainsFunc(v.keeps, func(k query.Keep) bool { return slices.Contains(k.Parked, pointer(v.e)) })
}

func (v trimView) anchor() bool {
	return slices.ContainsFunc(v.keeps, func(k query.Keep) bool { return k.Anchor == pointer(v.e) })
}

// trimming is a way to remove events of its own, on a journal that keeps them: nothing that reads shows them any more.
type trimming struct {
	f *faulty
	// removes is the rule, between what is done when a call has looked for what to remove and when it has removed it.
	removes func(trimView) bool
	looked  func()
	// alone is whether one call waits for another.
	alone sync.Mutex

	mu      sync.Mutex
	keys    map[string]bool
	hidden  map[string]int64
	records map[query.Pointer]bool
	removed map[query.Pointer]bool
	events  func() []query.Event // all that were ever there
}

func newTrimming(f *faulty) *trimming {
	t := &trimming{
		f: f, removes: trimView.unneeded, looked: func() {}, keys: map[string]bool{}, hidden: map[string]int64{},
		records: map[query.Pointer]bool{}, removed: map[query.Pointer]bool{},
	}
	t.events = func() []query.Event {
		page, _ := f.memory.Events(context.Background(), 0, query.Filter{}, query.Limits{Events: math.MaxInt})
		return page.Events
	}
	f.acquire = func(ctx context.Context, key string, held, seen int64) (query.Saved, error) {
		saved, err := f.memory.Acquire(ctx, key, held, seen)
		if err == nil {
			t.note(func() { t.keys[key] = true })
		}
		return saved, err
	}
	f.unregister = func(ctx context.Context, key string) error {
		t.note(func() { delete(t.keys, key) })
		return f.memory.Unregister(ctx, key)
	}
	f.hide = func(ctx context.Context, id string, through int64) error {
		last, _ := f.memory.LastSequenceNumber(ctx, id)
		t.note(func() { t.hidden[id] = max(t.hidden[id], min(through, last)) })
		return f.memory.HideEvents(ctx, id, through)
	}
	f.onRecords(func(ctx context.Context, records []journal.Record, good recordFunc) ([]query.Pointer, error) {
		pointers, err := good(ctx, records...)
		t.note(func() {
			for _, p := range pointers {
				t.records[p] = true
			}
		})
		return pointers, err
	})
	f.trim = t.trim
	t.hideRemoved()
	return t
}

func (t *trimming) note(fn func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fn()
}

// hideRemoved leaves out what was removed, wherever events are read.
func (t *trimming) hideRemoved() {
	f, m := t.f, t.f.memory
	isRemoved := func(e query.Event) (removed bool) {
		t.note(func() { removed = t.removed[pointer(e)] })
		return removed
	}
	f.events = func(ctx context.Context, after query.Offset, filter query.Filter, limits query.Limits) (query.Page, error) {
		page, err := m.Events(ctx, after, filter, limits)
		page.Events = slices.DeleteFunc(page.Events, isRemoved)
		return page, err
	}
	f.byID = func(ctx context.Context, id string, from int64, limits query.Limits) ([]query.Event, bool, error) {
		all, _, err := m.EventsByPersistenceID(ctx, id, from, query.Limits{Events: math.MaxInt})
		all = slices.DeleteFunc(all, isRemoved)
		n := min(len(all), limits.Events)
		return all[:n], n < len(all), err
	}
}

// keeps returns what is to be kept for registered outboxes, and whose watermark is the lowest.
func (t *trimming) needs(ctx context.Context) (keeps []query.Keep, slowest journal.Trimmed, err error) {
	var keys []string
	t.note(func() {
		for key := range t.keys {
			keys = append(keys, key)
		}
	})
	if len(keys) == 0 {
		return nil, journal.Trimmed{}, journal.ErrNoOutbox
	}
	slices.Sort(keys)
	slowest.Watermark = math.MaxInt64
	for _, key := range keys {
		saved, err := t.f.memory.Load(ctx, key)
		if err != nil {
			return nil, journal.Trimmed{}, err
		}
		if keeps = append(keeps, saved.Keep); saved.Keep.Watermark < slowest.Watermark {
			slowest = journal.Trimmed{Watermark: saved.Keep.Watermark, Slowest: key}
		}
	}
	return keeps, slowest, nil
}

func (t *trimming) trim(ctx context.Context, r journal.Retention) (journal.Trimmed, error) {
	t.alone.Lock()
	defer t.alone.Unlock()
	return t.trimBeside(ctx, r)
}

// trimBeside is a call that does not wait for another.
func (t *trimming) trimBeside(ctx context.Context, r journal.Retention) (journal.Trimmed, error) {
	if err := ctx.Err(); err != nil {
		return journal.Trimmed{}, err
	}
	keeps, trimmed, err := t.needs(ctx)
	if err != nil {
		return journal.Trimmed{}, err
	}
	all := t.events()
	slices.SortFunc(all, func(a, b query.Event) int { return cmp.Compare(a.Offset, b.Offset) })
	last, withActor := map[string]int64{}, map[string]bool{}
	var doomed []query.Pointer
	t.note(func() {
		for _, e := range all {
			last[e.PersistenceID] = e.SequenceNumber
			withActor[e.PersistenceID] = withActor[e.PersistenceID] || !t.records[pointer(e)]
		}
		for _, e := range all {
			if !t.removed[pointer(e)] && t.removes(trimView{
				e, last[e.PersistenceID], e.SequenceNumber <= t.hidden[e.PersistenceID], t.records[pointer(e)], !withActor[e.PersistenceID], keeps, r,
			}) {
				doomed = append(doomed, pointer(e))
			}
		}
	})
	t.looked()
	t.note(func() {
		for _, p := range doomed {
			t.removed[p] = true
		}
	})
	trimmed.Events = int64(len(doomed))
	return trimmed, nil
}

// rule has events removed by another rule.
func rule(removes func(trimView) bool) func(*faulty) {
	return func(f *faulty) { newTrimming(f).removes = removes }
}

// hesitates has a while pass between the look for what to remove and the removal.
func hesitates(t *trimming) { t.looked = func() { <-time.After(3 * time.Millisecond) } }

var brokenRetentions = []broken{
	{name: "removes nothing", finds: []string{
		"retention/removes what its actor has deleted, and every outbox has published", "retention/removes what was written without an actor",
		"retention/removes many, behind many that stay", "retention/removes large events", "retention/removes for good",
		"retention/goes by no outbox that was unregistered", "retention/spares what is younger",
		"retention/may be called by several, beside those who append, delete and publish",
	}, says: "expected: 3", breaks: rule(func(trimView) bool { return false })},
	{name: "removes what it likes", finds: []string{"retention/keeps what its actor has not deleted", "retention/disturbs no reader"}, says: "a/3",
		breaks: rule(func(v trimView) bool { return !v.isLast() && v.passed() })},
	{name: "removes the last event of an id", finds: []string{
		"retention/keeps the last event of each id, and with it the number and the offset that come next", "retention/removes what was written without an actor",
	}, says: "a/3", breaks: rule(func(v trimView) bool { return v.ownerless() && v.passed() && !v.held() && !v.parked() && !v.anchor() })},
	{name: "takes an id for an actor's that has none", finds: []string{"retention/removes what was written without an actor"}, says: "expected: 3",
		breaks: rule(func(v trimView) bool { v.actorless = false; return v.unneeded() })},
	{name: "removes records from between an actor's events", finds: []string{"retention/keeps records of an id that has an actor"},
		says: `events removed: ["a/3"`, breaks: rule(func(v trimView) bool { v.actorless = v.record; return v.unneeded() })},
	{name: "goes by one outbox only", finds: []string{
		"retention/keeps what some outbox has yet to save past", "retention/keeps everything for an outbox that has not saved yet",
		"retention/keeps each outbox's anchor", "retention/keeps what a held id has yet to publish, whatever it is called",
	}, says: "events removed", breaks: rule(func(v trimView) bool { v.keeps = v.keeps[:1]; return v.unneeded() })},
	{name: "goes by outboxes that have saved", finds: []string{"retention/keeps everything for an outbox that has not saved yet"}, says: "Not equal",
		breaks: rule(func(v trimView) bool {
			v.keeps = slices.DeleteFunc(slices.Clone(v.keeps), func(k query.Keep) bool { return k.Watermark == 0 })
			return v.unneeded()
		})},
	{name: "removes what held ids have yet to publish", finds: []string{"retention/keeps what a held id has yet to publish, whatever it is called"}, says: "Not equal",
		breaks: rule(func(v trimView) bool {
			return v.old() && v.ownerless() && !v.isLast() && v.passed() && !v.parked() && !v.anchor()
		})},
	{name: "takes held ids for others that are similar", finds: []string{"retention/keeps what a held id has yet to publish, whatever it is called"},
		says: "events removed", breaks: rule(func(v trimView) bool { v.e.PersistenceID = strings.ToUpper(v.e.PersistenceID); return v.unneeded() })},
	{name: "removes what is parked", finds: []string{"retention/keeps what is parked"}, says: "Not equal",
		breaks: rule(func(v trimView) bool {
			return v.old() && v.ownerless() && !v.isLast() && v.passed() && !v.held() && !v.anchor()
		})},
	{name: "removes the anchors", finds: []string{"retention/keeps each outbox's anchor"}, says: "Not equal",
		breaks: rule(func(v trimView) bool {
			return v.old() && v.ownerless() && !v.isLast() && v.passed() && !v.held() && !v.parked()
		})},
	{name: "removes events of any age", finds: []string{"retention/spares what is younger"}, says: "none is before the first",
		breaks: rule(func(v trimView) bool { v.retention = journal.Retention{}; return v.unneeded() })},
	{name: "removes what is just as old", finds: []string{"retention/spares what is younger"}, says: "Should be zero", breaks: func(f *faulty) {
		good := f.trim
		f.trim = func(ctx context.Context, r journal.Retention) (journal.Trimmed, error) {
			if !r.Before.IsZero() {
				r.Before = r.Before.Add(time.Microsecond)
			}
			return good(ctx, r)
		}
	}},
	{name: "gives up where a thousand events stay", finds: []string{"retention/removes many, behind many that stay"}, says: "expected: 1494",
		breaks: rule(func(v trimView) bool { return v.e.Offset <= 1000 && v.unneeded() })},
	{name: "removes small events only", finds: []string{"retention/removes large events"}, says: "expected: 5",
		breaks: rule(func(v trimView) bool { return len(v.e.Data) < 65_536 && v.unneeded() })},
	{name: "removes everything where there is no outbox", finds: []string{"retention/is refused while no outbox is registered"}, says: "error",
		breaks: func(f *faulty) {
			good := f.trim
			f.trim = func(ctx context.Context, r journal.Retention) (journal.Trimmed, error) {
				trimmed, err := good(ctx, r)
				if errors.Is(err, journal.ErrNoOutbox) {
					err = nil
				}
				return trimmed, err
			}
		}},
	{name: "goes by outboxes that are gone", finds: []string{"retention/goes by no outbox that was unregistered"}, says: "expected: 2", breaks: func(f *faulty) {
		newTrimming(f)
		f.unregister = f.memory.Unregister
	}},
	{name: "registers an outbox before it looks whether it may take over", finds: []string{"retention/goes by no outbox that was refused"},
		says: "it registers nothing", breaks: func(f *faulty) {
			t := newTrimming(f)
			f.acquire = func(ctx context.Context, key string, held, seen int64) (query.Saved, error) {
				t.note(func() { t.keys[key] = true })
				return f.memory.Acquire(ctx, key, held, seen)
			}
		}},
	{name: "removes until it is closed", finds: []string{"retention/removes for good"}, says: "a/1", breaks: func(f *faulty) { newTrimming(f) }},
	{name: "does not look again before it removes", finds: []string{
		"retention/removes nothing from an outbox that registers meanwhile", "retention/removes nothing from an outbox that goes back meanwhile",
	}, says: "what was there when the outbox had claimed it", breaks: func(f *faulty) { hesitates(newTrimming(f)) }},
	{name: "removes the same twice", finds: []string{"retention/may be called by several, beside those who append, delete and publish"},
		says: "each event is either there or was removed, once", breaks: func(f *faulty) {
			t := newTrimming(f)
			hesitates(t)
			f.trim = t.trimBeside
		}},
	{name: "hides what stays while it removes", finds: []string{"retention/disturbs no reader"}, says: "loses nothing", breaks: func(f *faulty) {
		t := newTrimming(f)
		t.looked = func() {
			var kept []query.Pointer
			for _, e := range t.events() {
				if strings.HasPrefix(e.PersistenceID, "kept") && e.SequenceNumber < 5 {
					kept = append(kept, pointer(e))
				}
			}
			t.note(func() {
				for _, p := range kept {
					t.removed[p] = true
				}
			})
			<-time.After(3 * time.Millisecond)
			t.note(func() {
				for _, p := range kept {
					delete(t.removed, p)
				}
			})
		}
	}},
	{name: "trims when its context has ended", finds: []string{"context/that was cancelled stops every call"}, says: "Trim", breaks: func(f *faulty) {
		f.trim = func(_ context.Context, r journal.Retention) (journal.Trimmed, error) {
			return f.memory.Trim(context.Background(), r)
		}
	}},
}
