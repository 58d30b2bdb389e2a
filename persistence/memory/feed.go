package memory

import (
	"context"
	"fmt"
	"slices"
	"sort"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// ctxEvery is after how many events a long search looks whether its context has ended.
const ctxEvery = 4096

// Head implements query.Journal.
func (j *Journal) Head(ctx context.Context) (head query.Head, err error) {
	err = j.read(ctx, func() error {
		head = query.Head{Identity: j.identity, Offset: j.head()}
		return nil
	})
	return head, wrap("read the head", err)
}

// head is the greatest offset. It runs under the lock. The event that has it is never removed, being the last one of its id.
func (j *Journal) head() query.Offset {
	if len(j.events) == 0 {
		return 0
	}
	return j.events[len(j.events)-1].Offset
}

// Events implements query.Journal.
func (j *Journal) Events(ctx context.Context, after query.Offset, filter query.Filter, limits query.Limits) (query.Page, error) {
	page, err := j.feed(ctx, after, filter, limits)
	if err != nil {
		return query.Page{}, wrap(fmt.Sprintf("read the feed after %d", after), err)
	}
	return page, nil
}

func (j *Journal) feed(ctx context.Context, after query.Offset, filter query.Filter, limits query.Limits) (query.Page, error) {
	if err := checkLimits(limits); err != nil {
		return query.Page{}, err
	}
	var events []query.Event
	if err := j.read(ctx, func() error { events = j.events; return nil }); err != nil {
		return query.Page{}, err
	}
	after = max(after, 0)
	rest := events[sort.Search(len(events), func(i int) bool { return events[i].Offset > after }):]
	if len(rest) == 0 {
		return query.Page{Next: after}, nil
	}
	if filter.All() {
		n := fitting(len(rest), limits, func(i int) int { return rest[i].Size() })
		return query.Page{
			Events: slices.Clone(rest[:n]),
			Next:   rest[n-1].Offset,
			More:   n < len(rest),
		}, nil
	}
	return search(ctx, after, rest, filter, limits)
}

// search collects matching events of rest, which follows the offset after. It goes on from a full page to the next
// match, and the next page starts there, so that nothing is looked at twice.
func search(ctx context.Context, after query.Offset, rest []query.Event, filter query.Filter, limits query.Limits) (query.Page, error) {
	page := query.Page{Next: after}
	size := 0
	for i := range rest {
		if i%ctxEvery == ctxEvery-1 && ctx.Err() != nil {
			return query.Page{}, ctx.Err()
		}
		e := &rest[i]
		if filter.Matches(e) {
			size += e.Size()
			if n := len(page.Events); n == limits.Events || (n > 0 && limits.Bytes > 0 && size > limits.Bytes) {
				page.More = true
				return page, nil
			}
			page.Events = append(page.Events, *e)
		}
		page.Next = e.Offset
	}
	return page, nil
}

// fitting is how many of n events, of the given sizes, keep to the limits: at least one, if there is one.
func fitting(n int, limits query.Limits, size func(i int) int) int {
	n = min(n, limits.Events)
	if limits.Bytes <= 0 {
		return n
	}
	bytes := 0
	for i := range n {
		bytes += size(i)
		if i > 0 && bytes > limits.Bytes {
			return i
		}
	}
	return n
}

func checkLimits(limits query.Limits) error {
	if limits.Events < 1 {
		return fmt.Errorf("the limit of %d events is invalid: ask for at least 1", limits.Events)
	}
	return nil
}
