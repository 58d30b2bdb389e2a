package journaltest_test

// One subject, one list: journals that read wrongly in one thing each, beside the case of the suite that must find it.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// onPage has something else made of each page of the feed.
func (f *faulty) onPage(change func(page *query.Page, after query.Offset, filter query.Filter, limits query.Limits)) {
	good := f.events
	f.events = func(ctx context.Context, after query.Offset, filter query.Filter, limits query.Limits) (query.Page, error) {
		page, err := good(ctx, after, filter, limits)
		if err == nil {
			change(&page, after, filter, limits)
		}
		return page, err
	}
}

// onFilter has the feed filtered by something else.
func (f *faulty) onFilter(change func(*query.Filter)) {
	good := f.events
	f.events = func(ctx context.Context, after query.Offset, filter query.Filter, limits query.Limits) (query.Page, error) {
		filter.Types, filter.Tags = slices.Clone(filter.Types), slices.Clone(filter.Tags)
		change(&filter)
		return good(ctx, after, filter, limits)
	}
}

// onLimits has pages limited by something else.
func (f *faulty) onLimits(change func(*query.Limits)) {
	events, byID := f.events, f.byID
	f.events = func(ctx context.Context, after query.Offset, filter query.Filter, limits query.Limits) (query.Page, error) {
		change(&limits)
		return events(ctx, after, filter, limits)
	}
	f.byID = func(ctx context.Context, id string, from int64, limits query.Limits) ([]query.Event, bool, error) {
		change(&limits)
		return byID(ctx, id, from, limits)
	}
}

// soon waits a moment for a condition that others make true if they have something to do, so that what could happen
// between two steps does.
func soon(condition func() bool) {
	deadline := time.Now().Add(10 * time.Millisecond)
	for !condition() && time.Now().Before(deadline) {
		<-time.After(50 * time.Microsecond)
	}
}

var brokenReads = slices.Concat(brokenFeeds, brokenFilters, brokenStreams, brokenReplays, brokenListings)

var brokenFeeds = []broken{
	{name: "always has more", finds: []string{"feed/is empty at first", "feed/says at its end that there is no more"},
		says: "Should be false", breaks: func(f *faulty) {
			f.onPage(func(page *query.Page, _ query.Offset, _ query.Filter, _ query.Limits) { page.More = true })
		}},
	{name: "gives pages backwards", finds: []string{"feed/is in the order of the appends"}, says: "offsets rise", breaks: func(f *faulty) {
		f.onPage(func(page *query.Page, _ query.Offset, _ query.Filter, _ query.Limits) { slices.Reverse(page.Events) })
	}},
	{name: "reuses offsets", finds: []string{"feed/is in the order of the appends", "append/numbers each id from 1"}, says: "offsets rise",
		breaks: func(f *faulty) { f.onReads(func(e *query.Event) { e.Offset = (e.Offset + 1) / 2 }) }},
	{name: "skips an event after each full page", finds: []string{
		"feed/is the same in pages of every size", "feed/gives one event even if it is too large", "tail/misses and reorders nothing while writers append",
	}, says: "a/", breaks: func(f *faulty) {
		f.onPage(func(page *query.Page, _ query.Offset, _ query.Filter, _ query.Limits) {
			if page.More {
				page.Next++
			}
		})
	}},
	{name: "drops what has no room in a page", finds: []string{"feed/is the same in pages of any number of bytes"}, says: "pages of",
		breaks: func(f *faulty) {
			f.onLimits(func(l *query.Limits) { l.Bytes = 0 })
			f.onPage(func(page *query.Page, _ query.Offset, _ query.Filter, l query.Limits) {
				if l.Bytes > 0 {
					page.Events = page.Events[:min(1, len(page.Events))]
				}
			})
		}},
	{name: "gives half pages", finds: []string{"feed/fills pages up to their limits"}, says: "limits", breaks: func(f *faulty) {
		f.onLimits(func(l *query.Limits) { l.Events = (l.Events + 1) / 2 })
	}},
	{name: "gives no event that is larger than the limit", finds: []string{
		"feed/gives one event even if it is too large", "large event/comes alone where the limit of bytes is smaller", "large event/stands between small ones",
	}, says: "Next must move on", breaks: func(f *faulty) {
		events, byID := f.events, f.byID
		f.events = func(ctx context.Context, after query.Offset, filter query.Filter, limits query.Limits) (query.Page, error) {
			page, err := events(ctx, after, filter, limits)
			if len(page.Events) > 0 && limits.Bytes > 0 && page.Events[0].Size() > limits.Bytes {
				page.Events, page.Next, page.More = nil, after, true
			}
			return page, err
		}
		f.byID = func(ctx context.Context, id string, from int64, limits query.Limits) ([]query.Event, bool, error) {
			events, more, err := byID(ctx, id, from, limits)
			if len(events) > 0 && limits.Bytes > 0 && events[0].Size() > limits.Bytes {
				events, more = nil, true
			}
			return events, more, err
		}
	}},
	{name: "loads everything and cuts the page from it", finds: []string{"large event/is not loaded with a page that has no room for it"},
		says: "MiB allocated by", breaks: func(f *faulty) {
			f.onPage(func(_ *query.Page, after query.Offset, filter query.Filter, _ query.Limits) {
				all, _ := f.memory.Events(context.Background(), after, filter, query.Limits{Events: math.MaxInt})
				for i := range all.Events {
					runtime.KeepAlive(bytes.Clone(all.Events[i].Data))
				}
			})
		}},
	{name: "goes back to its head", finds: []string{"feed/never goes back behind the offset that was asked for"}, says: "Next",
		breaks: func(f *faulty) {
			f.onPage(func(page *query.Page, _ query.Offset, _ query.Filter, _ query.Limits) { page.Next = min(page.Next, 3) })
		}},
	{name: "takes no limit for a thousand", finds: []string{"feed/cannot be read without a limit of events"}, says: "a limit of 0 events",
		breaks: func(f *faulty) {
			f.onLimits(func(l *query.Limits) {
				if l.Events <= 0 {
					l.Events = 1000
				}
			})
		}},
	{name: "gives its own slices away", finds: []string{"feed/gives the returned slice away"}, says: "Not equal", breaks: func(f *faulty) {
		var cache sync.Map
		f.onPage(func(page *query.Page, after query.Offset, _ query.Filter, _ query.Limits) {
			own, _ := cache.LoadOrStore(fmt.Sprint(after, page.Next), page.Events)
			page.Events = own.([]query.Event)
		})
	}},
	{name: "reads its head after the page", finds: []string{"tail/misses and reorders nothing while writers append"},
		says: "what the reader of", breaks: func(f *faulty) {
			f.onPage(func(page *query.Page, _ query.Offset, _ query.Filter, _ query.Limits) {
				if !page.More {
					soon(func() bool { // what happens in between is missed
						head, _ := f.memory.Head(context.Background())
						page.Next, head.Offset = max(page.Next, head.Offset), page.Next
						return page.Next > head.Offset
					})
				}
			})
		}},
	{name: "has a head behind its feed", finds: []string{"head/is what the feed reaches", "tail/misses and reorders nothing while writers append"},
		says: "head", breaks: func(f *faulty) {
			good := f.head
			f.head = func(ctx context.Context) (query.Head, error) {
				head, err := good(ctx)
				head.Offset = max(head.Offset-1, 0)
				return head, err
			}
		}},
	{name: "changes its identity", finds: []string{
		"head/keeps its identity", "reopen/keeps the identity and the head", "crash/keeps the identity and the head", "several handles/are one journal",
	}, says: "another", breaks: func(f *faulty) {
		good, handle := f.head, time.Now().String()
		f.head = func(ctx context.Context) (query.Head, error) {
			head, err := good(ctx)
			head.Identity = fmt.Sprint("another ", head.Offset, handle)
			return head, err
		}
	}},
	{name: "has the identity of any other", finds: []string{"head/has an identity of its own"}, says: "another journal can be told from this one",
		breaks: func(f *faulty) {
			good := f.head
			f.head = func(ctx context.Context) (query.Head, error) {
				head, err := good(ctx)
				head.Identity = "journal"
				return head, err
			}
		}},
}

var brokenFilters = []broken{
	{name: "takes no notice of slices", finds: []string{"filter/selects what it says, in pages of every size"}, says: "does not match the filter",
		breaks: func(f *faulty) { f.onFilter(func(filter *query.Filter) { filter.Slices = query.SliceRange{} }) }},
	{name: "takes no notice of tags beside types", finds: []string{"filter/selects what it says, in pages of every size"}, says: "does not match the filter",
		breaks: func(f *faulty) {
			f.onFilter(func(filter *query.Filter) {
				if len(filter.Types) > 0 {
					filter.Tags = nil
				}
			})
		}},
	{name: "stops at the last event that matches", finds: []string{"filter/passes a tail of others"}, says: "Next must have reached the head",
		breaks: func(f *faulty) {
			f.onPage(func(page *query.Page, after query.Offset, _ query.Filter, _ query.Limits) {
				page.Next = after
				if n := len(page.Events); n > 0 {
					page.Next = page.Events[n-1].Offset
				}
			})
		}},
	{name: "passes an event that is yet to come", finds: []string{
		"filter/misses nothing that is appended after Next was read", "reopen/goes on where a reader was", "crash/goes on where a reader was",
	}, says: "Not equal", breaks: func(f *faulty) {
		f.onPage(func(page *query.Page, _ query.Offset, _ query.Filter, _ query.Limits) {
			if !page.More {
				page.Next++
			}
		})
	}},
	{name: "folds the case of types", finds: []string{"filter/matches types and tags as a whole"}, says: `type "a"`, breaks: func(f *faulty) {
		var given sync.Map
		f.onAppend(func(ctx context.Context, e query.Event, good appendFunc) error {
			given.Store(e.ID(), e.Type)
			e.Type = strings.ToLower(e.Type)
			return good(ctx, e)
		})
		f.onFilter(func(filter *query.Filter) {
			for i := range filter.Types {
				filter.Types[i] = strings.ToLower(filter.Types[i])
			}
		})
		f.onReads(func(e *query.Event) {
			if typ, ok := given.Load(e.ID()); ok && e.Type != "a" {
				e.Type = typ.(string)
			}
		})
	}},
	{name: "has room for a thousand parameters", finds: []string{"filter/takes long lists"}, says: "too many parameters", breaks: func(f *faulty) {
		good := f.events
		f.events = func(ctx context.Context, after query.Offset, filter query.Filter, limits query.Limits) (query.Page, error) {
			if len(filter.Types)+len(filter.Tags) > 999 {
				return query.Page{}, errors.New("too many parameters")
			}
			return good(ctx, after, filter, limits)
		}
	}},
}

var brokenStreams = []broken{
	{name: "does not know unknown ids", finds: []string{"stream/of an unknown id is empty", "replay/of an unknown id calls nobody"},
		says: "no such id", breaks: func(f *faulty) {
			byID, replay := f.byID, f.replay
			f.byID = func(ctx context.Context, id string, from int64, limits query.Limits) ([]query.Event, bool, error) {
				if id == "unknown" {
					return nil, false, errors.New("no such id")
				}
				return byID(ctx, id, from, limits)
			}
			f.replay = func(ctx context.Context, id string, from, to int64, fn func(query.Event) error) error {
				if id == "unknown" {
					return errors.New("no such id")
				}
				return replay(ctx, id, from, to, fn)
			}
		}},
	{name: "gives the events of other ids", finds: []string{"stream/has the events of its id alone"}, says: "c/1", breaks: func(f *faulty) {
		f.byID = func(ctx context.Context, _ string, from int64, limits query.Limits) ([]query.Event, bool, error) {
			page, err := f.events(ctx, query.Offset(from-1), query.Filter{}, limits)
			return page.Events, page.More, err
		}
	}},
	{name: "starts after the event that it is told", finds: []string{"stream/starts where it is told"}, says: "from", breaks: func(f *faulty) {
		good := f.byID
		f.byID = func(ctx context.Context, id string, from int64, limits query.Limits) ([]query.Event, bool, error) {
			if from == 3 {
				from++
			}
			return good(ctx, id, from, limits)
		}
	}},
	{name: "guesses whether there is more", finds: []string{"stream/says exactly whether there is more"}, says: "limit 4", breaks: func(f *faulty) {
		good := f.byID
		f.byID = func(ctx context.Context, id string, from int64, limits query.Limits) ([]query.Event, bool, error) {
			events, _, err := good(ctx, id, from, limits)
			return events, len(events) == limits.Events, err
		}
	}},
	{name: "takes no notice of a limit of bytes", finds: []string{
		"stream/keeps to a limit of bytes, but for a first event", "large event/comes alone where the limit of bytes is smaller",
	}, says: "bytes", breaks: func(f *faulty) { f.onLimits(func(l *query.Limits) { l.Bytes = 0 }) }},
	{name: "counts what it replays", finds: []string{"hidden events/still count"}, says: "expected: 3", breaks: func(f *faulty) {
		f.last = func(ctx context.Context, id string) (last int64, err error) {
			err = f.memory.Replay(ctx, id, 1, 0, func(query.Event) error { last++; return nil })
			return last, err
		}
	}},
	{name: "has a last sequence number that lags", finds: []string{"stream/has a last sequence number"}, says: "expected: 2", breaks: func(f *faulty) {
		good := f.last
		f.last = func(ctx context.Context, id string) (int64, error) {
			last, err := good(ctx, id)
			return min(last, 1), err
		}
	}},
}

// onReplay has something else done in place of a replay.
func (f *faulty) onReplay(do func(ctx context.Context, id string, from, to int64, fn func(query.Event) error) error) {
	f.replay = do
}

var brokenReplays = []broken{
	{name: "replays beyond the end", finds: []string{"replay/keeps to its bounds"}, says: "from 1 to 2", breaks: func(f *faulty) {
		f.onReplay(func(ctx context.Context, id string, from, _ int64, fn func(query.Event) error) error {
			return f.memory.Replay(ctx, id, from, 0, fn)
		})
	}},
	{name: "replays one page", finds: []string{"replay/is complete for a long stream"}, says: "600 item", breaks: func(f *faulty) {
		f.onReplay(func(ctx context.Context, id string, from, to int64, fn func(query.Event) error) error {
			n := 0
			return f.memory.Replay(ctx, id, from, to, func(e query.Event) error {
				if n++; n > 256 {
					return nil
				}
				return fn(e)
			})
		})
	}},
	{name: "goes on when the callback fails", finds: []string{"replay/ends with the error that it is given"}, says: "broken", breaks: func(f *faulty) {
		f.onReplay(func(ctx context.Context, id string, from, to int64, fn func(query.Event) error) error {
			return f.memory.Replay(ctx, id, from, to, func(e query.Event) error { _ = fn(e); return nil })
		})
	}},
	{name: "replays on when its context has ended", finds: []string{"replay/ends with its context"}, says: "context canceled", breaks: func(f *faulty) {
		f.onReplay(func(ctx context.Context, id string, from, to int64, fn func(query.Event) error) error {
			return f.memory.Replay(context.WithoutCancel(ctx), id, from, to, fn)
		})
	}},
	{name: "locks itself during a replay", finds: []string{"replay/lets the callback use the journal"}, says: "whose callback uses the journal, does not return",
		breaks: func(f *faulty) {
			var mu sync.Mutex
			f.onAppend(func(ctx context.Context, e query.Event, good appendFunc) error {
				mu.Lock()
				defer mu.Unlock()
				return good(ctx, e)
			})
			f.onReplay(func(ctx context.Context, id string, from, to int64, fn func(query.Event) error) error {
				mu.Lock()
				defer mu.Unlock()
				return f.memory.Replay(ctx, id, from, to, fn)
			})
		}},
	{name: "forgets what is hidden", finds: []string{
		"hidden events/are not replayed", "hidden events/still count", "hidden events/are those that exist by then", "hidden events/may be hidden again, and fewer of them",
		"persistent actor/recovers from its snapshot and the events after it", "unknown commit/is settled where others go on appending", "provider/keeps snapshots",
	}, says: "Not equal", breaks: func(f *faulty) { f.hide = func(context.Context, string, int64) error { return nil } }},
	{name: "removes what is hidden", finds: []string{"hidden events/stay in the feed and in their stream"}, says: "Not equal", breaks: func(f *faulty) {
		hidden := map[string]int64{}
		f.hide = func(ctx context.Context, id string, through int64) error {
			hidden[id] = through
			return f.memory.HideEvents(ctx, id, through)
		}
		f.onPage(func(page *query.Page, _ query.Offset, _ query.Filter, _ query.Limits) {
			page.Events = slices.DeleteFunc(page.Events, func(e query.Event) bool { return e.SequenceNumber <= hidden[e.PersistenceID] })
		})
	}},
	{name: "hides what is yet to come", finds: []string{"hidden events/are those that exist by then"}, says: "a/4", breaks: func(f *faulty) {
		hidden := map[string]int64{}
		f.hide = func(_ context.Context, id string, through int64) error {
			hidden[id] = max(hidden[id], through)
			return nil
		}
		f.onReplay(func(ctx context.Context, id string, from, to int64, fn func(query.Event) error) error {
			return f.memory.Replay(ctx, id, max(from, hidden[id]+1), to, fn)
		})
	}},
	{name: "shows again what was hidden", finds: []string{"hidden events/may be hidden again, and fewer of them"}, says: "a/2", breaks: func(f *faulty) {
		hidden := map[string]int64{}
		f.hide = func(_ context.Context, id string, through int64) error {
			hidden[id] = through
			return nil
		}
		f.onReplay(func(ctx context.Context, id string, from, to int64, fn func(query.Event) error) error {
			return f.memory.Replay(ctx, id, max(from, hidden[id]+1), to, fn)
		})
	}},
}

var brokenListings = []broken{
	{name: "lists an id that it does not have", finds: []string{"listing/is empty at first"}, says: "Should be empty", breaks: func(f *faulty) {
		f.ids = func(context.Context, string, int) ([]string, error) { return []string{"a"}, nil }
	}},
	{name: "lists ids without their case", finds: []string{"listing/gives every id once, in byte order, in pages of every size"}, says: "pages of",
		breaks: func(f *faulty) {
			f.ids = func(ctx context.Context, after string, limit int) ([]string, error) {
				ids, err := f.memory.PersistenceIDs(ctx, after, limit)
				slices.SortFunc(ids, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
				return ids, err
			}
		}},
	{name: "lists the id that it starts after", finds: []string{"listing/starts after any text"}, says: "Not equal", breaks: func(f *faulty) {
		f.ids = func(ctx context.Context, after string, limit int) ([]string, error) {
			ids, err := f.memory.PersistenceIDs(ctx, after, limit)
			if after == "a" {
				ids = append([]string{after}, ids...)
			}
			return ids, err
		}
	}},
	{name: "lists no id of which everything is hidden", finds: []string{"listing/has ids whose events are all hidden"}, says: "Not equal",
		breaks: func(f *faulty) {
			f.ids = func(ctx context.Context, after string, limit int) (ids []string, err error) {
				all, err := f.memory.PersistenceIDs(ctx, after, limit)
				for _, id := range all {
					_ = f.memory.Replay(ctx, id, 1, 1, func(query.Event) error { ids = append(ids, id); return nil })
				}
				return ids, err
			}
		}},
	{name: "lists ids of snapshots", finds: []string{"listing/has no ids without events"}, says: "Should be empty", breaks: func(f *faulty) {
		f.ids = func(ctx context.Context, after string, limit int) ([]string, error) {
			ids, err := f.memory.PersistenceIDs(ctx, after, limit)
			if _, ok, _ := f.memory.LoadActorSnapshot(ctx, "a"); ok && len(ids) == 0 {
				ids = []string{"a"}
			}
			return ids, err
		}
	}},
	{name: "finds every time at the beginning", finds: []string{
		"time/is found just before the first event of it or later", "time/is found over pages, ids and hidden events",
		"time/that is yet to come is found before what is appended next",
	}, says: "Not equal", breaks: func(f *faulty) {
		f.offsetAt = func(context.Context, time.Time) (query.Offset, error) { return 0, nil }
	}},
	{name: "finds the end of time elsewhere", finds: []string{
		"time/of an empty journal is at its head", "time/that is yet to come is found before what is appended next",
	}, says: "Should be", breaks: func(f *faulty) {
		f.offsetAt = func(ctx context.Context, t time.Time) (query.Offset, error) {
			offset, err := f.memory.OffsetAt(ctx, t)
			return offset + 1, err
		}
	}},
}
