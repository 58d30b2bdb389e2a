package outbox

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// What an operator can do. Each of these returns once what it did is saved, so that it survives a crash (Retry has nothing
// to save); if ctx ends before, it may or may not have been done, and can be asked for again. They return [ErrConflict]
// where the outbox is in another state than the command supposes, and [ErrUnavailable] while it is [Blocked].

// Skip lets go of one event for good: it is not published, and its persistence id goes on. It must be parked, or be the
// first event of its id that is not published; otherwise, or while it is being sent, the error is [ErrConflict]. So two
// operators cannot skip two events when they mean one.
func (c *Client) Skip(ctx context.Context, persistenceID string, sequenceNumber int64) error {
	_, err := c.command(ctx, &outboxv1.Skip{PersistenceId: persistenceID, SequenceNumber: sequenceNumber})
	return err
}

// Retry has a persistence id that waits after a failure, or for an operator, tried again at once; all of them if the id is
// empty. It returns how many that were.
func (c *Client) Retry(ctx context.Context, persistenceID string) (ids int, err error) {
	r, err := c.command(ctx, &outboxv1.Retry{PersistenceId: persistenceID})
	return int(r.GetCount()), err
}

// Redrive publishes parked events after all, oldest first: one event, all of an id if the sequence number is 0, all there
// are if the id is empty too. It returns how many were published; these are no longer parked. The error is
// [ErrNotRedriven] if one was not: it stays parked, and those of its id behind it were not tried. A redriven event comes
// after later ones of its id. While the outbox is paused it waits.
func (c *Client) Redrive(ctx context.Context, persistenceID string, sequenceNumber int64) (events int, err error) {
	r, err := c.command(ctx, &outboxv1.Redrive{PersistenceId: persistenceID, SequenceNumber: sequenceNumber})
	return int(r.GetCount()), err
}

// Rewind publishes everything behind an offset again, in order, except what is parked. The offset must be below the
// watermark: a rewind only leads back. It waits for what is in flight.
func (c *Client) Rewind(ctx context.Context, to query.Offset) error {
	_, err := c.command(ctx, &outboxv1.Rewind{To: &outboxv1.Rewind_Offset{Offset: int64(to)}})
	return err
}

// RewindTo is [Client.Rewind] by the journal's clock: everything written at this time or later is published again. The
// journal must be a query.TimeFinder, otherwise the error is [ErrUnsupported].
func (c *Client) RewindTo(ctx context.Context, t time.Time) error {
	_, err := c.command(ctx, &outboxv1.Rewind{To: &outboxv1.Rewind_Time{Time: timestamppb.New(t)}})
	return err
}

// Pause stops reading and publishing until [Client.Resume], over restarts and takeovers too. What is in flight ends.
func (c *Client) Pause(ctx context.Context) error {
	_, err := c.command(ctx, &outboxv1.Pause{})
	return err
}

// Resume ends a pause.
func (c *Client) Resume(ctx context.Context) error {
	_, err := c.command(ctx, &outboxv1.Resume{})
	return err
}

// AcceptJournal tells an outbox that is [Blocked] that the journal that is there is the right one, and from where to go on:
// everything behind the offset is published, 0 means all that the journal has. The identity is that of this journal, as
// the status shows it. Whatever was held or parked behind the offset is read anew.
func (c *Client) AcceptJournal(ctx context.Context, identity string, from query.Offset) error {
	_, err := c.command(ctx, &outboxv1.AcceptJournal{Identity: identity, Offset: int64(from)})
	return err
}
