package outbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/ledger"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// perform runs an effect off the mailbox; what it returns comes back as an input of this instance's ledger.
func (o *outbox) perform(c actor.Context, timeout time.Duration, do func(context.Context) (ledger.Input, error), failed func(error) ledger.Input) {
	root, self, incarnation := c.ActorSystem().Root, c.Self(), o.incarnation
	o.background.run(timeout, func(ctx context.Context) error {
		in, err := do(ctx)
		if err == nil {
			root.Send(self, happened{incarnation, in})
		}
		return err
	}, func(err error) { root.Send(self, happened{incarnation, failed(err)}) })
}

func (o *outbox) readStream(c actor.Context, e ledger.ReadStream) {
	o.perform(c, o.settings.ledger.ReadTimeout, func(ctx context.Context) (ledger.Input, error) {
		events, more, err := o.journal.EventsByPersistenceID(ctx, e.PersistenceID, e.From, e.Limits)
		return ledger.StreamPage{Read: e.Read, Events: events, More: more}, err
	}, func(err error) ledger.Input { return ledger.StreamFailed{Read: e.Read, Err: err} })
}

func (o *outbox) save(c actor.Context, e ledger.Save) {
	saved := o.encode(e)
	lifeOf(c).tried = saved
	scope := o.background.scope
	o.perform(c, o.settings.ledger.SaveTimeout, func(ctx context.Context) (ledger.Input, error) {
		result, err := o.store(ctx, scope, saved)
		return ledger.Saved{Index: e.Index, Result: result, Err: err}, nil
	}, func(err error) ledger.Input { return ledger.Saved{Index: e.Index, Err: err} })
}

// store saves a snapshot. Where the outcome is not known, it looks, with time of its own.
func (o *outbox) store(ctx, scope context.Context, s query.Saved) (ledger.SaveResult, error) {
	err := o.snapshots.Save(ctx, o.key(), s)
	switch {
	case err == nil:
		return ledger.SaveOK, nil
	case errors.Is(err, query.ErrFenced):
		if _, lost := o.setBack(ctx, s.Epoch); lost != nil {
			return ledger.SaveFailed, lost
		}
		return ledger.SaveFenced, err
	}
	err = fmt.Errorf("save snapshot %d: %w", s.Index, err)
	look, cancel := context.WithTimeout(scope, o.settings.ledger.ReadTimeout)
	defer cancel()
	now, loadErr := o.snapshots.Load(look, o.key())
	switch {
	case loadErr != nil:
		return ledger.SaveFailed, err
	case now.Epoch > s.Epoch:
		return ledger.SaveFenced, query.ErrFenced
	case now.Index == s.Index && bytes.Equal(now.Data, s.Data):
		return ledger.SaveOK, nil
	default:
		return ledger.SaveFailed, err
	}
}

func (o *outbox) dispatch(c actor.Context, e ledger.Dispatch) {
	c.Request(o.publishers.lanes[e.Lane].pid, &outboxv1.PublishRequest{
		Outbox:     o.name,
		Epoch:      o.owner.epoch,
		Generation: e.Generation,
		Batch:      e.Batch,
		Timeout:    o.publishers.timeout,
		Events:     publisher.WireEvents(e.Events),
	})
}

// published translates a publisher's answer. Whatever it does not say, or says in a way that we do not know, counts as
// unknown. A batch has at most limit events.
func published(m *outboxv1.PublishResponse, limit int) ledger.Published {
	p := ledger.Published{Generation: m.GetGeneration(), Batch: m.GetBatch(), Outcome: outcome(m.GetOutcome()), Err: text(m.GetError())}
	if n := len(m.GetResults()); n > 0 {
		p.Results = make([]ledger.Result, 0, n)
	}
	for _, r := range m.GetResults() {
		p.Results = append(p.Results, ledger.Result{
			Index:      int(r.GetIndex()),
			Outcome:    outcome(r.GetOutcome()),
			RetryAfter: max(0, r.GetRetryAfter().AsDuration()),
			Err:        text(r.GetError()),

			Destination: bounded(r.GetDestination(), maxDestination),
		})
	}
	p.Destinations = destinations(m, limit)
	return p
}

// destinations says where each event was to go, as far as the answer tells.
func destinations(m *outboxv1.PublishResponse, limit int) []string {
	numbers := m.GetEventDestinations()
	if len(numbers) == 0 || len(m.GetDestinations()) == 0 {
		return nil
	}
	names := make([]string, len(m.GetDestinations()))
	for i, name := range m.GetDestinations() {
		names[i] = bounded(name, maxDestination)
	}
	found := make([]string, min(len(numbers), limit))
	for i := range found {
		if n := int64(numbers[i]); n > 0 && n <= int64(len(names)) {
			found[i] = names[n-1]
		}
	}
	return found
}

func outcome(o outboxv1.Outcome) ledger.Outcome {
	switch o {
	case outboxv1.Outcome_OUTCOME_OK:
		return ledger.OK
	case outboxv1.Outcome_OUTCOME_RETRY:
		return ledger.Retry
	case outboxv1.Outcome_OUTCOME_PERMANENT:
		return ledger.Permanent
	default:
		return ledger.Unknown
	}
}
