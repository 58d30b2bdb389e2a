package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/ledger"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// acquired is what an attempt to take over the name has come to.
type acquired struct {
	incarnation uint64
	attempt     int
	saved       query.Saved // the epoch is ours, even if there is an error
	tried       query.Saved // by this life, before
	recovered   recovered
	base        bool         // the snapshot is a new beginning, which is not stored yet
	identity    string       // of the journal that is there
	head        query.Offset // of that journal
	accept      *acceptance  // of the operator, nil if he was not asked
	seen        *history     // what was read before a suspension
	err         error
}

// acceptance is an operator's word that the journal that is there is the right one.
type acceptance struct {
	token    uint64
	identity string
	from     query.Offset
	needless bool // the right journal was there
}

// acquire takes over the name, or proves that it is still ours after a restart, and reads where we are. Of several
// attempts only the last one counts.
func (o *outbox) acquire(c actor.Context, accept *acceptance) {
	if o.accepting != nil {
		o.settle(c, o.accepting.token, outboxv1.Code_CODE_UNAVAILABLE, errors.New("it was asked again before this was done"))
	}
	o.accepting = accept
	if o.publishers.alive() { // those of the time before a suspension
		if accept != nil {
			o.accepting = nil
			o.settle(c, accept.token, outboxv1.Code_CODE_UNAVAILABLE, errors.New("its publishers have yet to stop"))
		}
		o.later(c, nameLook, retry{o.incarnation})
		return
	}
	if o.blocked == nil {
		o.reason = "recovering its offsets"
	}
	o.acquiring++
	o.armSpare(c, o.settings.ledger.ReadTimeout+lostTick) // in case that its outcome is lost
	l, root, self := lifeOf(c), c.ActorSystem().Root, c.Self()
	held := l.epoch
	a := acquired{incarnation: o.incarnation, attempt: o.acquiring, accept: accept, seen: o.seen, tried: l.tried}
	o.background.run(o.settings.ledger.ReadTimeout, func(ctx context.Context) error {
		if err := o.recoverFrom(ctx, held, &a); err != nil {
			return err
		}
		root.Send(self, a)
		return nil
	}, func(err error) {
		a.err = err
		root.Send(self, a)
	})
}

// recoverFrom takes the name and reads what is stored, and whether it fits the journal.
func (o *outbox) recoverFrom(ctx context.Context, held int64, a *acquired) error {
	var seen int64
	if held == 0 {
		saved, err := o.snapshots.Load(ctx, o.key())
		if err != nil {
			return fmt.Errorf("look who has %q: %w", o.key(), err)
		}
		seen = saved.Epoch
		if a.accept == nil {
			// Whoever cannot go on anyway must not take over from one who can.
			err = guarded(ctx, func(ctx context.Context) error { return o.examineStored(ctx, saved, a) })
			if errors.Is(err, ErrJournalChanged) || final(err) {
				return err
			}
		}
	}
	lost, err := o.take(ctx, held, seen, a)
	if err != nil {
		return err
	}
	if err = o.examineStored(ctx, a.saved, a); err == nil {
		err = lost
	}
	switch {
	case a.accept == nil:
		return err
	case err == nil:
		a.accept.needless = true
		return nil
	case !errors.Is(err, ErrJournalChanged):
		return err
	case a.accept.identity != a.identity:
		return fmt.Errorf("%w: %w: the journal that is there is %q, not %q", err, ErrConflict, a.identity, a.accept.identity)
	case a.accept.from < 0 || a.accept.from > a.head:
		return fmt.Errorf("%w: %w: offset %d is not between 0 and the journal's end, %d", err, ErrConflict, a.accept.from, a.head)
	}
	a.recovered.snapshot, a.base = a.recovered.snapshot.Rebased(a.accept.from), true
	return nil
}

// take acquires the name, from the epoch that was seen. If the store has a smaller epoch than the one that we were given, it is
// not that somebody has taken over, but that the store was set back; this is lost. With an operator's word, the name is taken
// anew, from the epoch that shows it: one who has taken over the store that is there stays its owner.
func (o *outbox) take(ctx context.Context, held, seen int64, a *acquired) (lost, err error) {
	a.saved, err = o.acquireInTime(ctx, held, seen)
	if errors.Is(err, ErrFenced) && held != 0 {
		seen, lost = o.setBack(ctx, held)
	}
	if lost != nil && a.accept != nil {
		a.tried.Data = nil // it belongs to what was lost
		a.saved, err = o.acquireInTime(ctx, 0, seen)
	}
	switch {
	case lost != nil && a.accept == nil:
		if head, err := o.journal.Head(ctx); err == nil {
			a.identity = head.Identity
		}
		return nil, lost
	case err != nil:
		return nil, fmt.Errorf("acquire %q: %w", o.key(), err)
	}
	return lost, nil
}

// acquireInTime acquires, unless the attempt is over: by now a later one may have the name.
func (o *outbox) acquireInTime(ctx context.Context, held, seen int64) (query.Saved, error) {
	if err := ctx.Err(); err != nil {
		return query.Saved{}, err
	}
	return o.snapshots.Acquire(ctx, o.key(), held, seen)
}

// setBack returns the store's epoch, and an error that wraps ErrJournalChanged if that is smaller than one that was given to us.
func (o *outbox) setBack(ctx context.Context, epoch int64) (now int64, lost error) {
	saved, err := o.snapshots.Load(ctx, o.key())
	if err == nil && saved.Epoch < epoch {
		return saved.Epoch, fmt.Errorf("%w: epoch %d was given to this outbox, and the store of its offsets knows only %d: it was restored from an older copy, or exchanged",
			ErrJournalChanged, epoch, saved.Epoch)
	}
	return 0, nil
}

// examineStored is examine for offsets that somebody may replace meanwhile: an owner that is at work, or a late save of this
// life. Then the journal may be trimmed by what is stored now, and what it does not have tells nothing.
func (o *outbox) examineStored(ctx context.Context, saved query.Saved, a *acquired) error {
	err := o.examine(ctx, saved, a)
	if !errors.Is(err, ErrJournalChanged) {
		return err
	}
	now, loadErr := o.snapshots.Load(ctx, o.key())
	switch {
	case loadErr != nil:
		return loadErr
	case now.Index != saved.Index:
		return fmt.Errorf("the offsets were replaced while the journal was compared with them: %v", err) //nolint:errorlint // it may be the right one
	}
	return err
}

// examine decodes what is stored, or what this life has tried to store since, and compares the journal with it, and with
// what was seen before a suspension.
func (o *outbox) examine(ctx context.Context, saved query.Saved, a *acquired) (err error) {
	a.recovered, a.base = recovered{}, false
	if a.tried.Index > saved.Index && len(a.tried.Data) > 0 {
		saved = a.tried // it says no less than whatever may still be stored, and have the journal remove events
	}
	switch {
	case len(saved.Data) > 0:
		if a.recovered, err = decodeSnapshot(saved.Data); err != nil {
			return err
		}
	case saved.Index > 0:
		return fmt.Errorf("%w: snapshot %d was saved, and is empty now", ErrCorruptSnapshot, saved.Index)
	}
	head, err := o.journal.Head(ctx)
	if err != nil {
		return fmt.Errorf("read the journal's head: %w", err)
	}
	a.identity, a.head = head.Identity, head.Offset
	stored := a.recovered.snapshot
	if saved.Index > 0 {
		err = o.checkHistory(ctx, head, history{a.recovered.identity, stored.Watermark, stored.Anchor}, anchorStays)
	}
	if err == nil && a.seen != nil {
		err = o.checkHistory(ctx, head, *a.seen, anchorMayGo)
	}
	if err == nil && saved.Index == 0 {
		a.recovered.snapshot.Watermark, a.base, err = o.settings.start.offset(ctx, o.journal, head)
	}
	return err
}

// final reports whether an error cannot be healed by trying again.
func final(err error) bool {
	return errors.Is(err, ErrFenced) || errors.Is(err, ErrCorruptSnapshot) || errors.Is(err, ErrNewerSnapshot) || errors.Is(err, ErrSharded) ||
		errors.Is(err, ErrBrokenJournal) || errors.Is(err, query.ErrClosed)
}

func (o *outbox) acquired(c actor.Context, a acquired) {
	if a.attempt != o.acquiring || o.ledger != nil {
		return // a later attempt may have taken over from this one
	}
	o.accepting = nil
	l := lifeOf(c)
	if a.saved.Epoch != 0 {
		l.epoch, l.tried = a.saved.Epoch, a.tried // from now on it is proved, never taken over again
	}
	if a.err != nil {
		o.notAcquired(c, a)
		return
	}
	o.blocked, o.seen, o.attempts, o.runningSince = nil, nil, 0, o.now()
	o.owner.epoch, o.owner.lookAt = a.saved.Epoch, o.now().Add(ownerLook)
	o.identity, o.unknown = a.identity, a.recovered.unknown
	cfg := o.settings.ledger
	cfg.Generation = rand.Uint64() // not to be guessed: whoever knows it can acknowledge events
	o.ledger = ledger.New(cfg)
	o.reason = ""
	o.verified = history{a.identity, a.recovered.snapshot.Watermark, a.recovered.snapshot.Anchor}
	o.log.Info("outbox is running", slog.Bool("paused", a.recovered.snapshot.Paused), slog.Int64("epoch", a.saved.Epoch), slog.Int64("watermark", int64(a.recovered.snapshot.Watermark)),
		slog.Int("held", len(a.recovered.snapshot.Held)), slog.Int("parked", len(a.recovered.snapshot.Parked)))
	o.timer = nil
	o.subscribe(c)
	o.spawnPublishers(c)
	in := ledger.Recovered{Snapshot: a.recovered.snapshot, Index: a.saved.Index, Tried: l.tried.Index, Base: a.base}
	if a.accept != nil && !a.accept.needless {
		in.Token = a.accept.token
	}
	o.step(c, in)
	if a.accept != nil && a.accept.needless {
		o.settle(c, a.accept.token, outboxv1.Code_CODE_CONFLICT, fmt.Errorf("%w: the right journal was back, and it goes on", ErrConflict))
	}
	o.unstash(c)
}

// notAcquired tries again later, or waits for the right journal, or gives up.
func (o *outbox) notAcquired(c actor.Context, a acquired) {
	if a.accept != nil {
		code := outboxv1.Code_CODE_UNAVAILABLE
		if errors.Is(a.err, ErrConflict) {
			code = outboxv1.Code_CODE_CONFLICT
		}
		o.settle(c, a.accept.token, code, a.err)
	}
	switch {
	case errors.Is(a.err, ErrConflict): // of an operator: what we know is as before
		o.later(c, ownerLook, retry{o.incarnation})
	case errors.Is(a.err, ErrJournalChanged):
		o.identity = a.identity
		o.block(c, a.err)
	case final(a.err):
		o.giveUp(c, a.err)
	default:
		o.attempts++
		wait := o.settings.ledger.Backoff(o.attempts)
		o.reason = a.err.Error()
		o.log.Warn("cannot recover the offsets yet", slog.Any("error", a.err), slog.Duration("retry_in", wait))
		o.later(c, wait, retry{o.incarnation})
	}
}
