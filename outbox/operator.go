package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/ledger"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// operate carries out what an operator asks for.
func (o *outbox) operate(c actor.Context, token uint64, message proto.Message) {
	o.log.Info("an operator's command", slog.String("command", string(message.ProtoReflect().Descriptor().Name())))
	switch m := message.(type) {
	case *outboxv1.Skip:
		o.locate(c, token, func(ctx context.Context) (ledger.Input, outboxv1.Code, error) {
			return o.locateSkip(ctx, token, m.GetPersistenceId(), m.GetSequenceNumber())
		})
	case *outboxv1.Retry:
		o.step(c, ledger.RetryNow{Token: token, PersistenceID: m.GetPersistenceId()})
	case *outboxv1.Redrive:
		o.step(c, ledger.Redrive{Token: token, PersistenceID: m.GetPersistenceId(), SequenceNumber: m.GetSequenceNumber()})
	case *outboxv1.Rewind:
		o.rewind(c, token, m)
	case *outboxv1.Pause:
		o.step(c, ledger.Pause{Token: token})
	case *outboxv1.Resume:
		o.step(c, ledger.Resume{Token: token})
	default:
		o.settle(c, token, outboxv1.Code_CODE_UNSUPPORTED, fmt.Errorf("this version does not know %s", message.ProtoReflect().Descriptor().FullName()))
	}
}

// locateSkip finds the event that is to be skipped. One that the journal no longer has can still be parked.
func (o *outbox) locateSkip(ctx context.Context, token uint64, id string, seq int64) (ledger.Input, outboxv1.Code, error) {
	events, _, err := o.journal.EventsByPersistenceID(ctx, id, seq, query.Limits{Events: 1})
	switch {
	case errors.Is(err, query.ErrInvalidID):
		return nil, outboxv1.Code_CODE_NOT_FOUND, err
	case err != nil:
		return nil, outboxv1.Code_CODE_UNAVAILABLE, err
	}
	skip := ledger.Skip{Token: token, PersistenceID: id, SequenceNumber: seq}
	if len(events) > 0 && events[0].SequenceNumber == seq {
		skip.Offset = events[0].Offset
	}
	return skip, 0, nil
}

func (o *outbox) rewind(c actor.Context, token uint64, m *outboxv1.Rewind) {
	switch to := m.GetTo().(type) {
	case *outboxv1.Rewind_Offset:
		o.step(c, ledger.Rewind{Token: token, To: query.Offset(to.Offset)})
	case *outboxv1.Rewind_Time:
		if !to.Time.IsValid() {
			o.settle(c, token, outboxv1.Code_CODE_CONFLICT, fmt.Errorf("%w: the time to go back to is missing or invalid", ErrConflict))
			return
		}
		o.locate(c, token, func(ctx context.Context) (ledger.Input, outboxv1.Code, error) {
			offset, err := offsetAt(ctx, o.journal, to.Time.AsTime())
			if errors.Is(err, errNoTimes) {
				return nil, outboxv1.Code_CODE_UNSUPPORTED, err
			}
			if err != nil {
				return nil, outboxv1.Code_CODE_UNAVAILABLE, err
			}
			return ledger.Rewind{Token: token, To: offset}, 0, nil
		})
	default:
		o.settle(c, token, outboxv1.Code_CODE_CONFLICT, fmt.Errorf("%w: a rewind needs an offset or a time to go back to", ErrConflict))
	}
}

// acceptJournal takes an operator's word that the journal that is there is the right one.
func (o *outbox) acceptJournal(c actor.Context, sender *actor.PID, m *outboxv1.AcceptJournal) {
	if o.blocked == nil {
		o.answer(c, sender, outboxv1.Code_CODE_CONFLICT, fmt.Errorf("%w: it is not blocked, its offsets belong to the journal that is there", ErrConflict))
		return
	}
	o.log.Warn("an operator accepts the journal", slog.String("journal", m.GetIdentity()), slog.Int64("offset", m.GetOffset()))
	o.commands.last++
	o.commands.pending[o.commands.last] = pendingCommand{sender: sender}
	if o.timer != nil {
		o.timer() // the next look of its own
		o.timer = nil
	}
	o.acquire(c, &acceptance{token: o.commands.last, identity: m.GetIdentity(), from: query.Offset(m.GetOffset())})
}
