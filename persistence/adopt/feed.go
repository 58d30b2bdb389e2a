package adopt

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

var (
	_ query.Journal       = (*Feed)(nil)
	_ query.SnapshotStore = (*Feed)(nil)
	_ query.Notifier      = (*Feed)(nil)
)

// Feed is what one outbox reads from. Its offsets are given to events as they are discovered, and are kept with the
// outbox's snapshot: so the outbox keeps that here, not elsewhere. Without an outbox the offsets end with the Feed.
//
// A feed selects by slices and types. No event has tags.
type Feed struct {
	j     *Journal
	nonce []byte // of this feed; what it has saved carries it
	// unkept is the end of the identity while the offsets are not kept.
	unkept string

	mu    sync.Mutex
	key   string // of the outbox that it belongs to, empty if it does not yet
	index *index
	// bytes is what is kept in the streams' recent events, consumed the offset up to which they were read.
	bytes    int
	consumed query.Offset
	dirty    map[string]*dirt
	looking  map[string]chan struct{} // the looks under way, by id
	sweep    sweep
	round    chan struct{} // is closed when the round of looks that is under way has ended; nil if none is
	saved    savedPositions
	owned    bool // an outbox has taken it; else it was only looked at
	tried    int  // the last index under which it has tried to save a snapshot
}

func newFeed(j *Journal) *Feed {
	return &Feed{
		j: j, nonce: []byte(rand.Text()), unkept: "/unkept-" + rand.Text(),
		index: newIndex(0), dirty: make(map[string]*dirt), looking: make(map[string]chan struct{}),
	}
}

// ownedKey is that of the outbox which has taken the feed, empty if none has.
func (f *Feed) ownedKey() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.owned {
		return ""
	}
	return f.key
}

// anew begins the numbering behind an offset. The caller has the lock.
func (f *Feed) anew(x *index) {
	f.index, f.bytes, f.consumed = x, 0, x.base
	f.sweep = sweep{}
}

// known returns the ids of which something was found.
func (f *Feed) known() (ids []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, s := range f.index.streams {
		if s.last > 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

// Head implements query.Journal. Its offset covers every event that was persisted through the journal, and is shown by the
// provider; of what was persisted otherwise, what the sweep has found. Before an outbox's very first start the sweep is
// complete, which takes a read of everything.
func (f *Feed) Head(ctx context.Context) (query.Head, error) {
	const op = "read the head"
	r, err := f.j.registry.load(ctx, f.j)
	if err != nil {
		return query.Head{}, wrap(op, err)
	}
	if err := f.discoverAll(ctx); err != nil {
		return query.Head{}, wrap(op, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	head := query.Head{Identity: r.GetIdentity(), Offset: f.index.assigned}
	if f.key == "" {
		head.Identity += f.unkept
	}
	return head, nil
}

// Events implements query.Journal.
func (f *Feed) Events(ctx context.Context, after query.Offset, filter query.Filter, limits query.Limits) (query.Page, error) {
	page, err := f.events(ctx, max(after, 0), filter, limits)
	if err != nil {
		return query.Page{}, wrap(fmt.Sprintf("read the feed after %d", after), err)
	}
	return page, nil
}

func (f *Feed) events(ctx context.Context, after query.Offset, filter query.Filter, limits query.Limits) (query.Page, error) {
	if err := checkLimits(limits); err != nil {
		return query.Page{}, err
	}
	ahead, err := f.read(ctx, after)
	if err != nil {
		return query.Page{}, err
	}
	if ahead < query.Offset(limits.Events) {
		if err := f.discover(ctx); err != nil {
			return query.Page{}, err
		}
	}
	page := query.Page{Next: after}
	bytes := 0
	for {
		chunk, next, err := f.chunk(ctx, page.Next, query.Limits{Events: limits.Events - len(page.Events), Bytes: limits.Bytes})
		if err != nil && len(page.Events) > 0 {
			break // what was read is complete; the next call meets the error again
		}
		if err != nil {
			return query.Page{}, err
		}
		for i := range chunk {
			e := &chunk[i]
			if filter.Matches(e) {
				if bytes += e.Size(); len(page.Events) > 0 && limits.Bytes > 0 && bytes > limits.Bytes {
					page.More = true
					return page, nil
				}
				page.Events = append(page.Events, *e)
			}
			page.Next = e.Offset
		}
		if next == page.Next && len(chunk) == 0 {
			break // the end
		}
		page.Next = next
		if len(page.Events) == limits.Events {
			break
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	page.More = page.Next < f.index.assigned && page.Next > after
	return page, nil
}

// read notes that everything up to the offset was read, and returns how much is known beyond it.
func (f *Feed) read(ctx context.Context, after query.Offset) (ahead query.Offset, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if after < f.index.base {
		f.mu.Unlock()
		err := f.goBack(ctx)
		f.mu.Lock()
		if err != nil {
			return 0, err
		}
	}
	if after < f.index.base {
		return 0, fmt.Errorf("events are known from offset %d on", f.index.base)
	}
	f.consume(after)
	return f.index.assigned - after, nil
}

// consume lets go of the events that are kept up to the offset. The caller has the lock.
func (f *Feed) consume(through query.Offset) {
	x := f.index
	for i := x.after(f.consumed); i < len(x.runs) && x.runs[i].offset <= through; i++ {
		r := x.runs[i]
		f.bytes -= r.stream.recent.drop(min(r.last(), r.first+int64(through-r.offset)))
	}
	f.consumed = max(f.consumed, through)
}

// chunk reads events of one run: those that have the next offsets. It answers through which offset that is complete; that
// is the one it was asked after if there is none beyond.
func (f *Feed) chunk(ctx context.Context, after query.Offset, limits query.Limits) ([]query.Event, query.Offset, error) {
	f.mu.Lock()
	x := f.index
	i := x.after(after)
	if i == len(x.runs) {
		f.mu.Unlock()
		return nil, after, nil
	}
	r := x.runs[i]
	f.mu.Unlock()
	from := r.first + int64(max(0, after+1-r.offset))
	limits.Events = int(min(int64(limits.Events), r.last()-from+1))
	events, through, err := f.stream(ctx, x, r.stream, from, limits)
	if err != nil {
		return nil, 0, err
	}
	if through = min(through, r.last()); through < from {
		through = from
	}
	for len(events) > 0 && events[len(events)-1].SequenceNumber > r.last() {
		events = events[:len(events)-1]
	}
	return events, r.offset + query.Offset(through-r.first), nil
}

// stream reads events of one id which were discovered, with their offsets: those that are kept, or from the provider.
func (f *Feed) stream(ctx context.Context, x *index, s *stream, from int64, limits query.Limits) (events []query.Event, through int64, err error) {
	f.mu.Lock()
	events, through = within(s.recent.from(from), limits), from
	k, aligned := known{s.last, s.check}, from+int64(limits.Events)-1 <= s.aligned
	f.mu.Unlock()
	begins := false
	if len(events) == 0 {
		var answer struct {
			events  []query.Event
			through int64
			begins  bool
		}
		err := f.j.call(ctx, s.id, func() (err error) {
			answer.events, answer.through, answer.begins, err = f.j.page(s.id, k, from, aligned, limits)
			return err
		})
		if err != nil {
			return nil, 0, err
		}
		events, through, begins = answer.events, answer.through, answer.begins
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if begins {
		s.aligned = max(s.aligned, from)
	}
	for i := range events {
		events[i].Offset = x.offset(s, events[i].SequenceNumber)
		through = max(through, events[i].SequenceNumber)
	}
	return events, through, nil
}

// within returns a copy of as many events as keep to the limits: at least one, if there is one.
func within(events []query.Event, limits query.Limits) (some []query.Event) {
	bytes := 0
	for i := range events[:min(len(events), limits.Events)] {
		if bytes += events[i].Size(); i > 0 && limits.Bytes > 0 && bytes > limits.Bytes {
			break
		}
		some = append(some, events[i])
	}
	return some
}

func checkLimits(limits query.Limits) error {
	if limits.Events < 1 {
		return fmt.Errorf("the limit of %d events is invalid: ask for at least 1", limits.Events)
	}
	return nil
}
