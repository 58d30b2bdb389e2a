package shards

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/stored"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// Resize changes the number of shards of an outbox, while no member runs; 0 is an outbox without shards, on either side. It
// is called by a command of the application, with the journal, the publisher and the options that members have:
//
//  1. It stores that the number is being changed. From then on no member runs a shard.
//  2. It publishes, by the old shards, everything up to the journal's end of that moment, held and parked events apart.
//  3. It stores the offsets of the new shards, all at that end; what is held or parked goes to the shard of its id.
//  4. It stores the new number. That is one save, and decides: before it the old number holds, after it the new one.
//  5. It removes the old offsets.
//
// It returns when that is done. If it fails, at a sink that is down, say, or because ctx ends, or the process dies, call it again
// with the same numbers: it goes on from what is published, wherever it was. Or take it back with [Abort]. Called again after
// it has succeeded, it does nothing. No event is lost, and none repeated but those of a crash, as ever.
//
// For an outbox without shards nothing can be stored beside its offsets while it is changed: what keeps it from being run
// meanwhile is that it is fenced when it is, or else this is, which then fails.
func Resize(ctx context.Context, root *actor.RootContext, name string, from, to int, journal query.Journal, publisher *actor.Props, opts ...Option) error {
	r, err := newResize(name, from, to, journal, publisher, opts)
	if err != nil {
		return err
	}
	r.root = root
	if err := r.change(ctx); err != nil {
		return fmt.Errorf("change outbox %q from %d to %d shards: %w", name, from, to, err)
	}
	return nil
}

// Abort takes back a [Resize] that is not complete: members run the old number of shards again. What was published for it stays
// so. It returns ErrLayout if the change is complete, and does nothing if there is none.
func Abort(ctx context.Context, name string, from, to int, journal query.Journal, publisher *actor.Props, opts ...Option) error {
	r, err := newResize(name, from, to, journal, publisher, opts)
	if err != nil {
		return err
	}
	if err := r.abort(ctx); err != nil {
		return fmt.Errorf("take back the change of outbox %q from %d to %d shards: %w", name, from, to, err)
	}
	return nil
}

type resize struct {
	*Shards // with the old number
	to      names
	root    *actor.RootContext
}

func newResize(name string, from, to int, journal query.Journal, publisher *actor.Props, opts []Option) (*resize, error) {
	// Whatever else is wrong with the arguments is found with a number that is possible.
	s, err := New(name, max(1, from), journal, publisher, opts...)
	if err != nil {
		return nil, err
	}
	s.shards = from
	for option, n := range map[string]int{"from": from, "to": to} {
		if n < 0 || n > query.NumSlices {
			return nil, &outbox.OptionError{Option: option, Problem: fmt.Sprintf("%d is not between 0 and %d", n, query.NumSlices)}
		}
	}
	if from == to {
		return nil, &outbox.OptionError{Option: "to", Problem: fmt.Sprintf("it is as many as before: %d", to)}
	}
	return &resize{Shards: s, to: names{name, to}}, nil
}

// stage is how far a change is, by what is stored.
type stage int

const (
	before stage = iota
	begun
	complete
)

// stageOf reads how far the change is. ErrLayout says that what is stored is about other numbers.
func (r *resize) stageOf(saved query.Saved) (stage, error) {
	switch {
	case saved.Index == 0 && r.plain():
		return before, nil // it may have run, and saved nothing yet
	case saved.Index == 0:
		return 0, fmt.Errorf("%w: nothing is stored of outbox %q: start it with %d shards", ErrLayout, r.name, r.to.shards)
	}
	now := 0
	layout, err := stored.OpenLayout(saved.Data)
	switch {
	case err == nil:
		now = int(layout.GetShards())
	case !errors.Is(err, stored.ErrKind):
		return 0, err
	}
	change := layout.GetResize()
	switch {
	case change != nil && now == r.shards && int(change.GetTo()) == r.to.shards:
		return begun, nil
	case change != nil:
		return 0, fmt.Errorf("%w: it is being changed from %d to %d shards: complete that, or take it back with shards.Abort", ErrLayout, now, change.GetTo())
	case now == r.shards:
		return before, nil
	case now == r.to.shards:
		return complete, nil
	}
	return 0, fmt.Errorf("%w: the outbox has %d shards", ErrLayout, now)
}

// change carries the change out, from wherever it is.
func (r *resize) change(ctx context.Context) error {
	record, at, err := r.open(ctx)
	if err != nil {
		return err
	}
	if at != complete {
		if err := r.begin(ctx, &record, at); err != nil {
			return err
		}
		if err := r.complete(ctx, &record); err != nil {
			return err
		}
	}
	return r.unregister(ctx, r.names)
}

// open reads the record and how far the change is. If it is not complete, the record is ours from now on, and whoever else is at
// it is fenced.
func (r *resize) open(ctx context.Context) (record query.Saved, at stage, err error) {
	if record, err = r.snapshots.Load(ctx, r.layoutKey()); err != nil {
		return record, 0, err
	}
	if at, err = r.stageOf(record); err != nil || at == complete {
		return record, at, err
	}
	if record, err = r.snapshots.Acquire(ctx, r.layoutKey(), 0, record.Epoch); err != nil {
		return record, 0, err
	}
	at, err = r.stageOf(record)
	return record, at, err
}

// begin stores that the number is being changed, and then takes over every old shard, so that none is at work.
func (r *resize) begin(ctx context.Context, record *query.Saved, at stage) error {
	if err := r.refusePaused(ctx); err != nil {
		return err
	}
	if r.plain() {
		return nil // open has fenced it
	}
	if at == before {
		err := r.record(ctx, record, &outboxv1.Layout{
			Shards: int32(r.shards), Resize: &outboxv1.Resize{To: int32(r.to.shards), Begun: timestamppb.New(time.Now())},
		})
		if err != nil {
			return err
		}
	}
	for number := range r.count() {
		if _, err := takeOver(ctx, r.snapshots, r.key(number)); err != nil {
			return err
		}
	}
	return nil
}

// refusePaused returns an error if somebody wants nothing to be published.
func (r *resize) refusePaused(ctx context.Context) error {
	for number := range r.count() {
		saved, err := r.snapshots.Load(ctx, r.key(number))
		if err != nil {
			return err
		}
		if snapshot, err := stored.DecodeSnapshot(saved.Data); err != nil {
			return fmt.Errorf("shard %d: %w", number, err)
		} else if snapshot.Paused {
			return errPaused
		}
	}
	return nil
}

// record stores a layout.
func (r *resize) record(ctx context.Context, record *query.Saved, layout *outboxv1.Layout) error {
	layout.Since = timestamppb.New(time.Now())
	next := query.Saved{Epoch: record.Epoch, Index: record.Index + 1, Data: stored.SealLayout(layout), Keep: layoutKeep}
	return r.store(ctx, record, next)
}

// store replaces the record. Who has an unknown outcome calls Resize again.
func (r *resize) store(ctx context.Context, record *query.Saved, next query.Saved) error {
	if err := r.snapshots.Save(ctx, r.layoutKey(), next); err != nil {
		return fmt.Errorf("store the layout: %w", err)
	}
	*record = next
	return nil
}

// complete publishes what is left to the old shards, and hands over to the new ones.
func (r *resize) complete(ctx context.Context, record *query.Saved) error {
	head, err := r.journal.Head(ctx)
	if err != nil {
		return fmt.Errorf("read the journal's head: %w", err)
	}
	old, err := r.publishUpTo(ctx, head)
	if err != nil {
		return err
	}
	if r.plain() { // its outbox has taken it over
		if *record, old[0], err = r.reclaim(ctx, old[0]); err != nil {
			return err
		}
	}
	fresh, err := deal(old, r.to)
	if err != nil {
		return err
	}
	if r.to.plain() {
		next := query.Saved{Epoch: record.Epoch, Index: record.Index + 1}
		fresh[0].ReleasedEpoch = record.Epoch
		next.Data, next.Keep = fresh[0].Encode(time.Now())
		return r.store(ctx, record, next)
	}
	for number := range fresh {
		if err := r.hand(ctx, *record, number, fresh[number]); err != nil {
			return fmt.Errorf("store the offsets of the new shard %d: %w", number, err)
		}
	}
	return r.record(ctx, record, &outboxv1.Layout{Shards: int32(r.to.shards)})
}

// reclaim takes over an outbox without shards that was run to the end, and returns what is stored of it by then: whoever has run it
// meanwhile may have settled what was held or parked.
func (r *resize) reclaim(ctx context.Context, left stored.Snapshot) (record query.Saved, now stored.Snapshot, err error) {
	if record, err = takeOver(ctx, r.snapshots, r.layoutKey()); err != nil {
		return record, left, err
	}
	if record.Index == 0 { // there was nothing to save
		return record, left, nil
	}
	now, err = stored.DecodeSnapshot(record.Data)
	if err == nil && now.Watermark != left.Watermark {
		err = fmt.Errorf("%w: somebody runs it meanwhile", outbox.ErrFenced)
	}
	return record, now, err
}

// hand stores the offsets of a new shard, if the change is still ours. Taking over the shard first makes that sure: whoever
// changes the layout after this look takes it over after us, and then this save is refused.
func (r *resize) hand(ctx context.Context, record query.Saved, number int, snapshot stored.Snapshot) error {
	key := r.to.key(number)
	saved, err := takeOver(ctx, r.snapshots, key)
	if err != nil {
		return err
	}
	now, err := r.snapshots.Load(ctx, r.layoutKey())
	switch {
	case err != nil:
		return err
	case now.Epoch != record.Epoch || now.Index != record.Index:
		return fmt.Errorf("%w: somebody else changes the layout", outbox.ErrFenced)
	}
	snapshot.ReleasedEpoch = saved.Epoch
	saved.Index++
	saved.Data, saved.Keep = snapshot.Encode(time.Now())
	return r.snapshots.Save(ctx, key, saved)
}

// unregister removes what is stored of a layout's shards.
func (r *resize) unregister(ctx context.Context, n names) error {
	if n.plain() {
		return nil // it is where the layout is
	}
	for number := range n.count() {
		if err := r.snapshots.Unregister(ctx, n.key(number)); err != nil {
			return err
		}
	}
	return nil
}

func (r *resize) abort(ctx context.Context) error {
	record, at, err := r.open(ctx)
	switch {
	case err != nil:
		return err
	case at == complete:
		return fmt.Errorf("%w: the change is complete", ErrLayout)
	case at == begun:
		if err := r.record(ctx, &record, &outboxv1.Layout{Shards: int32(r.shards)}); err != nil {
			return err
		}
	}
	return r.unregister(ctx, r.to)
}

// maxRuns bounds the old outboxes that are run at a time.
const maxRuns = 8

// publishUpTo runs the old outboxes until each has come to the journal's end as it was, and returns what they have saved.
func (r *resize) publishUpTo(ctx context.Context, head query.Head) ([]stored.Snapshot, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		all       sync.WaitGroup
		places    = make(chan struct{}, maxRuns)
		snapshots = make([]stored.Snapshot, r.count())
		errs      = make([]error, r.count())
	)
	for number := range snapshots {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			if errs[number] = ctx.Err(); errs[number] == nil {
				snapshots[number], errs[number] = r.run(ctx, number, head)
			}
			if errs[number] != nil {
				errs[number] = fmt.Errorf("shard %d: %w", number, errs[number])
				cancel()
			}
		})
	}
	all.Wait()
	return snapshots, errors.Join(errs...)
}

// run runs one outbox until it has come to the offset, drains it, and returns what it has saved.
func (r *resize) run(ctx context.Context, number int, head query.Head) (s stored.Snapshot, err error) {
	end := head.Offset
	props, err := r.props(number, capAt(r.journal, end), r.snapshots)
	if err != nil {
		return s, err
	}
	pid := r.root.Spawn(props)
	defer func() {
		if stopErr := r.root.StopFuture(pid).Wait(); err == nil {
			err = stopErr
		}
	}()
	client := outbox.NewClient(r.root, pid)
	if err := come(ctx, client, end); err != nil {
		return s, err
	}
	if err := client.Drain(ctx, drainWait); err != nil {
		return s, err
	}
	saved, err := r.snapshots.Load(ctx, r.key(number))
	if err != nil {
		return s, err
	}
	s, err = stored.DecodeSnapshot(saved.Data)
	if saved.Index == 0 { // it had nothing to say
		s.Identity = head.Identity
	}
	if err == nil && s.Watermark != end {
		err = fmt.Errorf("its offsets have come to %d, not to %d: somebody runs it meanwhile", s.Watermark, end)
	}
	return s, err
}

const (
	drainWait  = 30 * time.Second
	statusLook = 20 * time.Millisecond
)

// come waits until the outbox has come to the offset.
func come(ctx context.Context, client *outbox.Client, end query.Offset) error {
	for {
		status, err := client.Status(ctx)
		switch {
		case err != nil:
			return err
		case query.Offset(status.GetWatermark()) >= end && status.GetEpoch() != 0:
			return nil
		case status.GetState() == outboxv1.State_STATE_BLOCKED:
			return fmt.Errorf("%w: %s", outbox.ErrJournalChanged, status.GetReason())
		case status.GetState() == outboxv1.State_STATE_PAUSED:
			return errPaused
		}
		select {
		case <-time.After(statusLook):
		case <-ctx.Done():
			return fmt.Errorf("it has come to offset %d of %d: %w (%s)", status.GetWatermark(), end, ctx.Err(), status.GetReason())
		}
	}
}
