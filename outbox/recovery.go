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
)

// acquired is what an attempt to take over the name has come to.
type acquired struct {
	incarnation uint64
	saved       query.Saved
	recovered   recovered
	identity    string
	err         error
}

// acquire takes over the name, or proves that it is still ours after a restart, and reads where we are.
func (o *outbox) acquire(c actor.Context) {
	o.reason = "recovering its offsets"
	held, root, self, incarnation := lifeOf(c).epoch, c.ActorSystem().Root, c.Self(), o.incarnation
	o.background.run(o.settings.ledger.ReadTimeout, func(ctx context.Context) error {
		a := acquired{incarnation: incarnation}
		var err error
		if a.saved, err = o.snapshots.Acquire(ctx, o.key(), held); err != nil {
			return fmt.Errorf("acquire %q: %w", o.key(), err)
		}
		if a.recovered, err = decodeSnapshot(a.saved.Data); err != nil {
			return err
		}
		head, err := o.journal.Head(ctx)
		if err != nil {
			return fmt.Errorf("read the journal's head: %w", err)
		}
		a.identity = head.Identity
		if err := o.checkHistory(ctx, head, a.recovered); err != nil {
			return err
		}
		root.Send(self, a)
		return nil
	}, func(err error) { root.Send(self, acquired{incarnation: incarnation, err: err}) })
}

// checkHistory compares the journal with what the snapshot says about it.
func (o *outbox) checkHistory(ctx context.Context, head query.Head, r recovered) error {
	s := r.snapshot
	switch {
	case r.identity == "":
		return nil // never saved
	case head.Identity != r.identity:
		return fmt.Errorf("%w: it is journal %q, the offsets belong to %q", ErrJournalChanged, head.Identity, r.identity)
	case head.Offset < s.Watermark:
		return fmt.Errorf("%w: it ends at offset %d, the offsets have come to %d: it was restored from an older copy, or lost its tail",
			ErrJournalChanged, head.Offset, s.Watermark)
	case s.Anchor == ledger.Pointer{}:
		return nil
	}
	a := s.Anchor
	events, _, err := o.journal.EventsByPersistenceID(ctx, a.PersistenceID, a.SequenceNumber, query.Limits{Events: 1})
	if err != nil {
		return fmt.Errorf("read event %s/%d, which the offsets refer to: %w", a.PersistenceID, a.SequenceNumber, err)
	}
	if len(events) == 0 || events[0].SequenceNumber != a.SequenceNumber || events[0].UID != a.UID {
		return fmt.Errorf("%w: event %s/%d at offset %d is not the one that was published: the journal was restored from an older copy and written again",
			ErrJournalChanged, a.PersistenceID, a.SequenceNumber, a.Offset)
	}
	return nil
}

// final reports whether an error cannot be healed by trying again.
func final(err error) bool {
	return errors.Is(err, ErrFenced) || errors.Is(err, ErrCorruptSnapshot) || errors.Is(err, ErrNewerSnapshot) || errors.Is(err, ErrJournalChanged) ||
		errors.Is(err, ErrBrokenJournal) || errors.Is(err, query.ErrClosed)
}

func (o *outbox) acquired(c actor.Context, a acquired) {
	if a.err != nil {
		if final(a.err) {
			o.giveUp(c, a.err)
			return
		}
		o.attempts++
		wait := o.settings.ledger.Backoff(o.attempts)
		o.reason = a.err.Error()
		o.log.Warn("cannot recover the offsets yet", slog.Any("error", a.err), slog.Duration("retry_in", wait))
		o.later(c, wait, retry{o.incarnation})
		return
	}
	l := lifeOf(c)
	l.epoch = a.saved.Epoch
	o.owner.epoch, o.owner.lookAt = a.saved.Epoch, o.clock().Add(ownerLook)
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
	o.step(c, ledger.Recovered{Snapshot: a.recovered.snapshot, Index: max(a.saved.Index, l.index)})
	o.unstash(c)
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
	position    query.Offset // of the feed, when the look began
	head        query.Head
	err         error
}

// ownerLook is how often an owner looks whether it is still the owner, and the journal still the one that it knows.
const ownerLook = 5 * time.Second

func (o *outbox) lookAround(c actor.Context) {
	if o.ledger == nil || o.stopping || o.owner.look || o.clock().Before(o.owner.lookAt) {
		return
	}
	o.owner.look = true
	root, self := c.ActorSystem().Root, c.Self()
	found := looked{incarnation: o.incarnation, position: o.ledger.Position()}
	o.background.run(o.settings.ledger.ReadTimeout, func(ctx context.Context) error {
		saved, err := o.snapshots.Load(ctx, o.key())
		if err != nil {
			return err
		}
		found.epoch = saved.Epoch
		if found.head, err = o.journal.Head(ctx); err != nil {
			return err
		}
		root.Send(self, found)
		return nil
	}, func(err error) { root.Send(self, looked{incarnation: found.incarnation, err: err}) })
}

func (o *outbox) looked(c actor.Context, l looked) {
	o.owner.look, o.owner.lookAt = false, o.clock().Add(ownerLook)
	switch {
	case l.err != nil:
		o.log.Warn("cannot look whether another owner has taken over", slog.Any("error", l.err))
	case l.epoch != o.owner.epoch:
		o.step(c, ledger.Fenced{})
	case l.head.Identity != o.identity:
		o.giveUp(c, fmt.Errorf("%w: it has become journal %q, it was %q", ErrJournalChanged, l.head.Identity, o.identity))
	case l.head.Offset < l.position:
		o.giveUp(c, fmt.Errorf("%w: it ends at offset %d and was read up to %d: it was restored from an older copy, or lost its tail",
			ErrJournalChanged, l.head.Offset, l.position))
	}
}
