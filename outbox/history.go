package outbox

import (
	"context"
	"fmt"

	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/ledger"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// history is what is known of a journal: its identity, how far it was read, and an event that it had.
type history struct {
	identity string
	read     query.Offset
	anchor   ledger.Pointer
}

// stays says whether the journal keeps an event.
type stays bool

const (
	anchorStays stays = true  // a stored snapshot names it
	anchorMayGo stays = false // a later snapshot may have been stored, by which the journal is trimmed
)

// checkHistory compares the journal with what is known of it.
func (o *outbox) checkHistory(ctx context.Context, head query.Head, h history, anchor stays) error {
	switch {
	case head.Identity != h.identity:
		return fmt.Errorf("%w: it is journal %q, the offsets belong to %q", ErrJournalChanged, head.Identity, h.identity)
	case head.Offset < h.read:
		return fmt.Errorf("%w: it ends at offset %d, the offsets have come to %d: it was restored from an older copy, or lost its tail",
			ErrJournalChanged, head.Offset, h.read)
	}
	return o.checkEvent(ctx, h.anchor, anchor)
}

// checkEvent looks for an event that was there. Unless it stays, it may have been removed since, but not replaced, nor may its
// id end before it.
func (o *outbox) checkEvent(ctx context.Context, p ledger.Pointer, s stays) error {
	if p == (ledger.Pointer{}) {
		return nil
	}
	events, _, err := o.journal.EventsByPersistenceID(ctx, p.PersistenceID, p.SequenceNumber, query.Limits{Events: 1})
	if err != nil {
		return fmt.Errorf("read event %s/%d, which the offsets refer to: %w", p.PersistenceID, p.SequenceNumber, err)
	}
	there := len(events) > 0 && events[0].SequenceNumber == p.SequenceNumber
	switch {
	case there && events[0].UID == p.UID:
		return nil
	case !there && s == anchorMayGo:
		if last, err := o.journal.LastSequenceNumber(ctx, p.PersistenceID); err != nil || last >= p.SequenceNumber {
			return err
		}
	}
	return fmt.Errorf("%w: event %s/%d at offset %d is not the one that was there: the journal was restored from an older copy and written again",
		ErrJournalChanged, p.PersistenceID, p.SequenceNumber, p.Offset)
}

// history is what this instance knows of the journal.
func (o *outbox) history() history {
	return history{o.identity, o.ledger.Position(), o.ledger.Anchor()}
}
