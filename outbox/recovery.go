package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

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
	recovered   recovered
	base        bool // the snapshot is a new beginning, which is not stored yet
	identity    string
	accept      *acceptance // of the operator, nil if he was not asked
	seen        *history    // what was read before a suspension
	err         error
}

// acceptance is an operator's word that the journal that is there is the right one.
type acceptance struct {
	token    uint64
	identity string
	from     query.Offset
}

// acquire takes over the name, or proves that it is still ours after a restart, and reads where we are.
func (o *outbox) acquire(c actor.Context, accept *acceptance) {
	if o.publishers.alive() { // those of the time before a suspension
		o.later(c, nameLook, retry{o.incarnation})
		return
	}
	if o.blocked == nil {
		o.reason = "recovering its offsets"
	}
	o.acquiring++
	o.armSpare(c, o.settings.ledger.ReadTimeout+lostTick) // in case that its outcome is lost
	held, root, self := lifeOf(c).epoch, c.ActorSystem().Root, c.Self()
	a := acquired{incarnation: o.incarnation, attempt: o.acquiring, accept: accept, seen: o.seen}
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

// recoverFrom reads what is stored, and whether it fits the journal.
func (o *outbox) recoverFrom(ctx context.Context, held int64, a *acquired) error {
	var err error
	if a.saved, err = o.snapshots.Acquire(ctx, o.key(), held); err != nil {
		return fmt.Errorf("acquire %q: %w", o.key(), err)
	}
	switch {
	case len(a.saved.Data) > 0:
		if a.recovered, err = decodeSnapshot(a.saved.Data); err != nil {
			return err
		}
	case a.saved.Index > 0:
		return fmt.Errorf("%w: snapshot %d was saved, and is empty now", ErrCorruptSnapshot, a.saved.Index)
	}
	head, err := o.journal.Head(ctx)
	if err != nil {
		return fmt.Errorf("read the journal's head: %w", err)
	}
	a.identity = head.Identity
	stored := a.recovered.snapshot
	if a.saved.Index > 0 {
		err = o.checkHistory(ctx, head, history{a.recovered.identity, stored.Watermark, stored.Anchor})
	}
	if err == nil && a.seen != nil {
		err = o.checkHistory(ctx, head, *a.seen)
	}
	if err == nil && a.saved.Index == 0 {
		a.recovered.snapshot.Watermark, a.base, err = o.settings.start.offset(ctx, o.journal, head)
	}
	if a.accept == nil || !errors.Is(err, ErrJournalChanged) {
		return err
	}
	switch {
	case a.accept.identity != head.Identity:
		return fmt.Errorf("%w: %w: the journal that is there is %q, not %q", err, ErrConflict, head.Identity, a.accept.identity)
	case a.accept.from < 0 || a.accept.from > head.Offset:
		return fmt.Errorf("%w: %w: offset %d is not between 0 and the journal's end, %d", err, ErrConflict, a.accept.from, head.Offset)
	}
	a.recovered.snapshot, a.base = stored.Rebased(a.accept.from), true
	return nil
}

// history is what is known of a journal: its identity, how far it was read, and an event that it had.
type history struct {
	identity string
	read     query.Offset
	anchor   ledger.Pointer
}

// checkHistory compares the journal with what is known of it.
func (o *outbox) checkHistory(ctx context.Context, head query.Head, h history) error {
	switch {
	case head.Identity != h.identity:
		return fmt.Errorf("%w: it is journal %q, the offsets belong to %q", ErrJournalChanged, head.Identity, h.identity)
	case head.Offset < h.read:
		return fmt.Errorf("%w: it ends at offset %d, the offsets have come to %d: it was restored from an older copy, or lost its tail",
			ErrJournalChanged, head.Offset, h.read)
	case h.anchor == ledger.Pointer{}:
		return nil
	}
	anchor := h.anchor
	events, _, err := o.journal.EventsByPersistenceID(ctx, anchor.PersistenceID, anchor.SequenceNumber, query.Limits{Events: 1})
	if err != nil {
		return fmt.Errorf("read event %s/%d, which the offsets refer to: %w", anchor.PersistenceID, anchor.SequenceNumber, err)
	}
	if len(events) == 0 || events[0].SequenceNumber != anchor.SequenceNumber || events[0].UID != anchor.UID {
		return fmt.Errorf("%w: event %s/%d at offset %d is not the one that was published: the journal was restored from an older copy and written again",
			ErrJournalChanged, anchor.PersistenceID, anchor.SequenceNumber, anchor.Offset)
	}
	return nil
}

// final reports whether an error cannot be healed by trying again.
func final(err error) bool {
	return errors.Is(err, ErrFenced) || errors.Is(err, ErrCorruptSnapshot) || errors.Is(err, ErrNewerSnapshot) ||
		errors.Is(err, ErrBrokenJournal) || errors.Is(err, query.ErrClosed)
}

func (o *outbox) acquired(c actor.Context, a acquired) {
	if a.attempt != o.acquiring || o.ledger != nil {
		return // a later attempt may have taken over from this one
	}
	l := lifeOf(c)
	if a.saved.Epoch != 0 {
		l.epoch = a.saved.Epoch // from now on it is proved, never taken over again
	}
	if a.err != nil {
		o.notAcquired(c, a)
		return
	}
	o.blocked, o.seen, o.attempts, o.revivals = nil, nil, 0, 0
	o.owner.epoch, o.owner.lookAt = a.saved.Epoch, o.now().Add(ownerLook)
	o.identity, o.unknown = a.identity, a.recovered.unknown
	cfg := o.settings.ledger
	cfg.Generation = rand.Uint64() // not to be guessed: whoever knows it can acknowledge events
	o.ledger = ledger.New(cfg)
	o.reason = ""
	o.log.Info("outbox is running", slog.Int64("epoch", a.saved.Epoch), slog.Int64("watermark", int64(a.recovered.snapshot.Watermark)),
		slog.Int("held", len(a.recovered.snapshot.Held)), slog.Int("parked", len(a.recovered.snapshot.Parked)))
	o.timer = nil
	o.subscribe(c)
	o.spawnPublishers(c)
	in := ledger.Recovered{Snapshot: a.recovered.snapshot, Index: max(a.saved.Index, l.index), Base: a.base}
	if a.accept != nil {
		in.Token = a.accept.token
	}
	o.step(c, in)
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

// history is what this instance knows of the journal.
func (o *outbox) history() history {
	return history{o.identity, o.ledger.Position(), o.ledger.Anchor()}
}

// ownership is when we last looked whether the epoch is ours and the journal is the same.
type ownership struct {
	epoch  int64
	lookAt time.Time // the next time
	look   bool      // one is under way
}

// looked is the answer to a look at the store and the journal.
type looked struct {
	incarnation uint64
	epoch       int64
	err         error // of the store or the journal, or ErrJournalChanged
}

// ownerLook is how often an owner looks whether it is still the owner, and the journal still the one that it knows.
const ownerLook = 5 * time.Second

func (o *outbox) lookAround(c actor.Context) {
	if o.ledger == nil || o.stopping || o.owner.look || o.now().Before(o.owner.lookAt) {
		return
	}
	o.owner.look = true
	root, self := c.ActorSystem().Root, c.Self()
	found := looked{incarnation: o.incarnation}
	seen := o.history()
	o.background.run(o.settings.ledger.ReadTimeout, func(ctx context.Context) error {
		saved, err := o.snapshots.Load(ctx, o.key())
		if err != nil {
			return err
		}
		found.epoch = saved.Epoch
		head, err := o.journal.Head(ctx)
		if err != nil {
			return err
		}
		if err := o.checkHistory(ctx, head, seen); err != nil {
			return err
		}
		root.Send(self, found)
		return nil
	}, func(err error) {
		found.err = err
		root.Send(self, found)
	})
}

func (o *outbox) looked(c actor.Context, l looked) {
	o.owner.look, o.owner.lookAt = false, o.now().Add(ownerLook)
	switch {
	case l.epoch != 0 && l.epoch != o.owner.epoch:
		o.step(c, ledger.Fenced{})
	case errors.Is(l.err, ErrJournalChanged):
		seen := o.history()
		o.suspend(c, 0, l.err)
		o.seen = &seen // it may be more than the stored offsets tell
	case l.err != nil:
		o.log.Warn("cannot look whether another owner has taken over, or the journal has changed", slog.Any("error", l.err))
	}
}
