package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/ledger"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// commands are those that are not yet answered.
type commands struct {
	last    uint64
	pending map[uint64]pendingCommand // by token
	early   []earlyCommand            // came before the offsets were recovered
}

type pendingCommand struct{ sender *actor.PID }

type earlyCommand struct {
	sender  *actor.PID
	message proto.Message
}

// located says where in the journal a command's event is.
type located struct {
	incarnation uint64
	token       uint64
	input       ledger.Input
	code        outboxv1.Code // if it is not
	err         error
}

const (
	defaultDrain = 10 * time.Second
	// maxCommands bounds those that wait for an answer: a client in another process cannot say that it has given up.
	maxCommands = 10_000
)

func (o *outbox) bareCommand(c actor.Context, message any) {
	if o.authorize == nil {
		o.answer(c, c.Sender(), outboxv1.Code_CODE_UNAUTHORIZED, errors.New("this outbox takes no bare commands: spawn it with WithAuthorize, or use a Client of its own actor system"))
		return
	}
	if err := o.authorize(c); err != nil {
		o.answer(c, c.Sender(), outboxv1.Code_CODE_UNAUTHORIZED, err)
		return
	}
	o.command(c, message.(proto.Message))
}

// waits reports whether the command may wait for long. Only these are limited in number: an operator must get in.
func waits(message proto.Message) bool {
	switch message.(type) {
	case *outboxv1.Flush, *outboxv1.WaitPublished:
		return true
	default:
		return false
	}
}

func (o *outbox) command(c actor.Context, message proto.Message) {
	o.carryOut(c, c.Sender(), message)
}

func (o *outbox) carryOut(c actor.Context, sender *actor.PID, message proto.Message) {
	if _, ok := message.(*outboxv1.GetStatus); ok {
		if sender != nil {
			c.Send(sender, o.status())
		}
		return
	}
	if o.stopping {
		o.answer(c, sender, outboxv1.Code_CODE_STOPPED, ErrStopped)
		return
	}
	_, drain := message.(*outboxv1.Drain)
	switch {
	case sender == nil && !drain:
		o.log.Warn("refused a command without sender: send it with Request, not with Send", slog.String("command", string(message.ProtoReflect().Descriptor().Name())))
		return
	case waits(message) && len(o.commands.pending)+len(o.commands.early) >= maxCommands:
		o.answer(c, sender, outboxv1.Code_CODE_UNAVAILABLE, errors.New("too many commands wait for an answer"))
		return
	}
	if accept, ok := message.(*outboxv1.AcceptJournal); ok {
		o.acceptJournal(c, sender, accept)
		return
	}
	if o.blocked != nil && !drain {
		o.answer(c, sender, outboxv1.Code_CODE_UNAVAILABLE, o.blocked) // it may be about another history than it will go on with
		return
	}
	if o.ledger == nil {
		if drain {
			o.answer(c, sender, outboxv1.Code_CODE_OK, nil) // there is nothing to wait for
			o.giveUp(c, nil)
			return
		}
		o.commands.early = append(o.commands.early, earlyCommand{sender, message})
		return
	}
	o.commands.last++
	token := o.commands.last
	o.commands.pending[token] = pendingCommand{sender: sender}
	switch m := message.(type) {
	case *outboxv1.Drain:
		deadline := defaultDrain
		if m.GetDeadline() != nil {
			deadline = m.GetDeadline().AsDuration()
		}
		o.log.Info("outbox drains", slog.Duration("deadline", deadline))
		o.step(c, ledger.Drain{Token: token, Deadline: o.now().Add(deadline)})
	case *outboxv1.Flush:
		o.locate(c, token, func(ctx context.Context) (ledger.Input, outboxv1.Code, error) {
			head, err := o.journal.Head(ctx)
			if err != nil {
				return nil, outboxv1.Code_CODE_UNAVAILABLE, err
			}
			return ledger.Flush{Token: token, Offset: head.Offset}, 0, nil
		})
	case *outboxv1.WaitPublished:
		o.locate(c, token, func(ctx context.Context) (ledger.Input, outboxv1.Code, error) {
			return o.locateEvent(ctx, token, m.GetPersistenceId(), m.GetSequenceNumber())
		})
	default:
		o.operate(c, token, m)
	}
}

// locate asks the journal about a command, off the mailbox.
func (o *outbox) locate(c actor.Context, token uint64, look func(context.Context) (ledger.Input, outboxv1.Code, error)) {
	root, self, incarnation := c.ActorSystem().Root, c.Self(), o.incarnation
	o.background.run(o.settings.ledger.ReadTimeout, func(ctx context.Context) error {
		in, code, err := look(ctx)
		root.Send(self, located{incarnation, token, in, code, err})
		return nil
	}, func(err error) {
		root.Send(self, located{incarnation, token, nil, outboxv1.Code_CODE_UNAVAILABLE, err})
	})
}

func (o *outbox) locateEvent(ctx context.Context, token uint64, id string, seq int64) (ledger.Input, outboxv1.Code, error) {
	if seq == 0 {
		last, err := o.journal.LastSequenceNumber(ctx, id)
		if errors.Is(err, query.ErrInvalidID) {
			return nil, outboxv1.Code_CODE_NOT_FOUND, err
		}
		if err != nil {
			return nil, outboxv1.Code_CODE_UNAVAILABLE, err
		}
		seq = last
	}
	events, _, err := o.journal.EventsByPersistenceID(ctx, id, seq, query.Limits{Events: 1})
	switch {
	case errors.Is(err, query.ErrInvalidID):
		return nil, outboxv1.Code_CODE_NOT_FOUND, err
	case err != nil:
		return nil, outboxv1.Code_CODE_UNAVAILABLE, err
	case len(events) == 0:
		return nil, outboxv1.Code_CODE_NOT_FOUND, fmt.Errorf("%q has no event %d", id, seq)
	case events[0].SequenceNumber > seq && seq > 0:
		// Retention has removed it, and removes only what nobody waits for: it is settled, unless it is known otherwise.
		return ledger.AwaitSettled{Token: token, PersistenceID: id, SequenceNumber: seq}, 0, nil
	case events[0].SequenceNumber != seq:
		return nil, outboxv1.Code_CODE_NOT_FOUND, fmt.Errorf("%q has no event %d", id, seq)
	case !o.settings.ledger.Filter.Matches(&events[0]):
		return nil, outboxv1.Code_CODE_FILTERED, fmt.Errorf("event %s", events[0].ID())
	}
	return ledger.AwaitSettled{Token: token, PersistenceID: id, SequenceNumber: seq, Offset: events[0].Offset}, 0, nil
}

func (o *outbox) located(c actor.Context, m located) {
	if m.input == nil {
		o.settle(c, m.token, m.code, m.err)
		return
	}
	if _, waits := o.commands.pending[m.token]; waits { // else it was abandoned
		o.step(c, m.input)
	}
}

// unstash carries out what came before the offsets were recovered.
func (o *outbox) unstash(c actor.Context) {
	early := o.commands.early
	o.commands.early = nil
	for _, e := range early {
		o.carryOut(c, e.sender, e.message)
	}
}

func (o *outbox) reply(c actor.Context, e ledger.Reply) {
	p, ok := o.commands.pending[e.Token]
	if !ok {
		return
	}
	delete(o.commands.pending, e.Token)
	var (
		parked  *ParkedError
		skipped *SkippedError
		code    = outboxv1.Code_CODE_STOPPED
		err     = e.Err
	)
	switch {
	case err == nil:
		code = outboxv1.Code_CODE_OK
	case errors.As(err, &parked):
		o.answerReply(c, p.sender, &outboxv1.Reply{Code: outboxv1.Code_CODE_PARKED, Error: text(parked.Reason), SequenceNumber: parked.SequenceNumber})
		return
	case errors.As(err, &skipped):
		o.answerReply(c, p.sender, &outboxv1.Reply{Code: outboxv1.Code_CODE_SKIPPED, Error: text(skipped.Reason), SequenceNumber: skipped.SequenceNumber})
		return
	case errors.Is(err, ErrDrainDeadline):
		code, err = outboxv1.Code_CODE_DEADLINE, nil
	case errors.Is(err, ErrConflict):
		code = outboxv1.Code_CODE_CONFLICT
	case errors.Is(err, ErrNotRedriven):
		code = outboxv1.Code_CODE_NOT_REDRIVEN
	}
	o.answerCount(c, p.sender, code, e.Count, err)
}

// settle answers a command that did not come to the ledger.
func (o *outbox) settle(c actor.Context, token uint64, code outboxv1.Code, err error) {
	if p, ok := o.commands.pending[token]; ok {
		delete(o.commands.pending, token)
		o.answer(c, p.sender, code, err)
	}
}

func (o *outbox) answer(c actor.Context, to *actor.PID, code outboxv1.Code, err error) {
	o.answerCount(c, to, code, 0, err)
}

func (o *outbox) answerCount(c actor.Context, to *actor.PID, code outboxv1.Code, count int, err error) {
	r := &outboxv1.Reply{Code: code, Count: int64(count)}
	if err != nil {
		r.Error = text(err.Error())
	}
	o.answerReply(c, to, r)
}

func (o *outbox) answerReply(c actor.Context, to *actor.PID, r *outboxv1.Reply) {
	if to != nil { // else it was sent without asking for an answer
		c.Send(to, r)
	}
}

// abandon forgets what the sender had asked for; its Client has stopped waiting.
func (o *outbox) abandon(c actor.Context) {
	sender := c.Sender()
	o.commands.early = slices.DeleteFunc(o.commands.early, func(e earlyCommand) bool { return same(sender, e.sender) })
	for token, p := range o.commands.pending {
		if same(sender, p.sender) {
			delete(o.commands.pending, token)
			o.step(c, ledger.Cancel{Token: token})
		}
	}
}

func same(a, b *actor.PID) bool { return a != nil && b != nil && a.Equal(b) }

// refusePending answers those who still wait when this instance ends.
func (o *outbox) refusePending(c actor.Context, code outboxv1.Code, why error) {
	for _, p := range o.commands.pending {
		o.answer(c, p.sender, code, why)
	}
	for _, e := range o.commands.early {
		o.answer(c, e.sender, code, why)
	}
	o.commands.pending, o.commands.early = nil, nil
}
