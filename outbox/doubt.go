package outbox

import (
	"context"
	"errors"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/ledger"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// doubt is whether the journal still has the history that was read before. A server that comes after a failure may be a
// standby that was behind, or a backup, and soon be written beyond what was read: then no offset tells that something is
// different, and whatever has taken the place of what was lost would never be read. So after a failure, and when another server
// answers, a page is believed only once the journal, asked after it, has what it had.
type doubt struct {
	failures uint64 // to read, so far
	allayed  uint64 // how many there were when the journal was last compared
	instance string // that has answered
	last     ledger.Pointer
}

// pageRead is a page of the feed, and what it says of the journal.
type pageRead struct {
	incarnation uint64
	page        ledger.FeedPage
	compared    bool
	failures    uint64     // before it was read
	ahead       *readAhead // what follows; nil if that is not being read
}

// journalLost says that the journal does not have what it had.
type journalLost struct {
	incarnation uint64
	known       history
	err         error // wraps ErrJournalChanged
}

func (o *outbox) readFeed(c actor.Context, e ledger.ReadFeed) {
	var (
		root, self = c.ActorSystem().Root, c.Self()
		before     = o.doubt
		known      = o.history()
		ahead      = o.ahead
		read       = pageRead{incarnation: o.incarnation, failures: before.failures}
	)
	o.ahead = nil
	o.background.run(o.settings.ledger.ReadTimeout, func(ctx context.Context) error {
		page, rest, doubtful, err := o.nextPage(ctx, e, ahead, before)
		if err != nil {
			ahead.end()
			return err
		}
		if doubtful || page.Instance != before.instance {
			if err := o.compare(ctx, known, before.last); err != nil {
				rest.end()
				return err
			}
			read.compared = true
		}
		read.page, read.ahead = ledger.FeedPage{Read: e.Read, Page: page}, rest
		root.Send(self, read)
		return nil
	}, func(err error) {
		if errors.Is(err, ErrJournalChanged) {
			root.Send(self, journalLost{read.incarnation, known, err})
			return
		}
		root.Send(self, happened{read.incarnation, ledger.FeedFailed{Read: e.Read, Err: err}})
	})
}

// compare returns an error that wraps ErrJournalChanged if the journal does not have what is known of it, up to the last event
// that the feed has shown.
func (o *outbox) compare(ctx context.Context, known history, last ledger.Pointer) error {
	head, err := o.journal.Head(ctx)
	if err != nil {
		return err
	}
	if err := o.checkHistory(ctx, head, known, anchorMayGo); err != nil {
		return err
	}
	if last == known.anchor {
		return nil
	}
	return o.checkEvent(ctx, last, anchorMayGo)
}

// believe hands a page to the ledger.
func (o *outbox) believe(c actor.Context, r pageRead) {
	d, page := &o.doubt, r.page.Page
	o.ahead.end() // of a read that came first, and was the later one
	o.ahead = r.ahead
	if r.compared {
		d.allayed, d.instance = r.failures, page.Instance
	}
	if n := len(page.Events); n > 0 {
		d.last = pointerTo(&page.Events[n-1])
	}
	o.step(c, r.page)
}

func pointerTo(e *query.Event) ledger.Pointer {
	return ledger.Pointer{PersistenceID: e.PersistenceID, SequenceNumber: e.SequenceNumber, Offset: e.Offset, UID: e.UID}
}
