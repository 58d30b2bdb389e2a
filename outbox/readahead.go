package outbox

import (
	"context"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/ledger"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// readAhead reads on while the ledger takes in what was read: otherwise the journal would have nothing to do meanwhile. It is
// there while there is a backlog, and begins behind a page that was not the last one. The ledger knows nothing of it: it sees reads
// that are answered soon.
//
// A page is as good as one that is read when the ledger asks, only older: its events stay, and it is complete for good. It is
// not used once it is older than a read may take, or after a failure, as another server may have come since.
//
// It belongs to one read of the feed at a time.
type readAhead struct {
	position query.Offset // after which the next page begins
	failures uint64       // of reads, before it began
	pages    chan readPage
	rest     readPage // which did not fit
	ended    bool     // there is no page left, and no error that nobody has seen
	cancel   context.CancelFunc
}

// end has it read no more.
func (a *readAhead) end() {
	if a != nil {
		a.cancel()
	}
}

type readPage struct {
	page  query.Page
	began time.Time
	err   error
}

// nextPage answers the ledger, and returns what reads on, if something does. The page is doubtful if a read has failed of which
// nobody may have been told.
func (o *outbox) nextPage(ctx context.Context, e ledger.ReadFeed, ahead *readAhead, d doubt) (page query.Page, rest *readAhead, doubtful bool, err error) {
	doubtful = d.failures != d.allayed
	if ahead != nil {
		var ok bool
		if ahead.position == e.After && ahead.failures == d.failures && !doubtful {
			page, ok, err = ahead.take(ctx, e.Limits, o.settings.ledger.ReadTimeout)
		}
		if ok || err != nil {
			return page, ahead, false, err
		}
		ahead.end()
		doubtful = doubtful || !ahead.ended
	}
	page, err = o.journal.Events(ctx, e.After, o.settings.ledger.Filter, e.Limits)
	if err == nil && page.More {
		rest = o.readOn(page.Next, d.failures)
	}
	return page, rest, doubtful, err
}

// readOn reads what comes after an offset.
func (o *outbox) readOn(after query.Offset, failures uint64) *readAhead {
	cfg := &o.settings.ledger
	// Up to three pages are in memory, with the rest of one and the one that is being read. A quarter of the bytes for each keeps
	// them together below what one read of the ledger may bring.
	limits := query.Limits{Events: min(cfg.Page.Events, cfg.Window.Events), Bytes: max(1, min(cfg.Page.Bytes, cfg.Window.Bytes)/4)}
	ctx, cancel := context.WithCancel(o.background.scope)
	a := &readAhead{position: after, failures: failures, pages: make(chan readPage, 1), cancel: cancel}
	o.background.loop(func() {
		defer close(a.pages)
		for more := true; more; {
			p := readPage{began: time.Now()}
			p.err = within(ctx, cfg.ReadTimeout, func(ctx context.Context) (err error) {
				p.page, err = o.journal.Events(ctx, after, cfg.Filter, limits)
				return err
			})
			select {
			case a.pages <- p:
			case <-ctx.Done():
				return
			}
			after, more = p.page.Next, p.err == nil && p.page.More
		}
	})
	return a
}

// take returns what the limits allow of the next page. It reports false if there is none, or it is too old.
func (a *readAhead) take(ctx context.Context, limits query.Limits, timeout time.Duration) (page query.Page, ok bool, err error) {
	p := a.rest
	if len(p.page.Events) == 0 {
		select {
		case p, ok = <-a.pages:
		case <-ctx.Done():
			return query.Page{}, false, ctx.Err()
		}
		a.ended = !ok
		if !ok || p.err != nil {
			return query.Page{}, false, p.err
		}
	}
	if time.Since(p.began) > timeout {
		return query.Page{}, false, nil
	}
	page, a.rest = p.page, readPage{}
	if n := fitting(page.Events, limits); n < len(page.Events) {
		a.rest = p
		a.rest.page.Events = page.Events[n:]
		page.Events = page.Events[:n:n]
		page.Next = page.Events[n-1].Offset
	}
	a.position = page.Next
	// Whether it was the last one is out of date: a wake may have come since.
	page.More = true
	return page, true, nil
}

// fitting is how many events keep to the limits: at least one, if there is one.
func fitting(events []query.Event, limits query.Limits) int {
	bytes := 0
	for i := range events {
		bytes += events[i].Size()
		if i > 0 && (i == limits.Events || bytes > limits.Bytes) {
			return i
		}
	}
	return len(events)
}
