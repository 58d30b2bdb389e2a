package shards

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/stored"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// Bounds of what is asked of the snapshot store.
const (
	acquireWait = 5 * time.Second
	releaseWait = 2 * time.Second
)

// fence stands between the outbox of one activation and the store of its offsets. It lets it take over only under the
// right layout, and knows the epoch, to release it in the end.
type fence struct {
	query.SnapshotStore
	names    names
	key      string
	creating *creation

	acquiring sync.WaitGroup // calls of Acquire, which go on if the outbox does not wait for them
	mu        sync.Mutex
	closed    bool
	epoch     int64 // the last that was acquired; 0 before
}

// layoutError is final to an outbox: whoever has another layout is fenced by it.
type layoutError struct{ err error }

func (e *layoutError) Error() string   { return e.err.Error() }
func (e *layoutError) Unwrap() []error { return []error{outbox.ErrFenced, e.err} }

func errLayout(err error) error {
	if isLayout(err) {
		return &layoutError{err}
	}
	return err
}

// Load implements query.SnapshotStore. The first one is before the takeover, and checks the layout, so that who cannot go
// on does not take over from one who can.
func (f *fence) Load(ctx context.Context, key string) (query.Saved, error) {
	if f.owned() == 0 {
		if err := checkLayout(ctx, f.SnapshotStore, f.names, f.creating); err != nil {
			return query.Saved{}, errLayout(err)
		}
	}
	return f.SnapshotStore.Load(ctx, key)
}

// Acquire implements query.SnapshotStore. The layout may change between a look at it and the takeover. So it is looked at
// afterwards, too: who changes it takes over each shard after he has said so.
func (f *fence) Acquire(ctx context.Context, key string, held, seen int64) (query.Saved, error) {
	if held == 0 {
		if err := checkLayout(ctx, f.SnapshotStore, f.names, f.creating); err != nil {
			return query.Saved{}, errLayout(err)
		}
	}
	saved, err := f.acquire(ctx, key, held, seen)
	if err != nil {
		return query.Saved{}, err
	}
	if err := checkLayout(ctx, f.SnapshotStore, f.names, f.creating); err != nil {
		return query.Saved{}, errLayout(err)
	}
	return saved, nil
}

// acquire takes over. That goes on, for a while, when the outbox is stopped meanwhile: only so is it known which epoch is
// to be released. But it does not begin when the outbox no longer waits for it: the look at the layout may have taken long.
func (f *fence) acquire(ctx context.Context, key string, held, seen int64) (query.Saved, error) {
	if err := ctx.Err(); err != nil {
		return query.Saved{}, err
	}
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return query.Saved{}, context.Canceled
	}
	type result struct {
		saved query.Saved
		err   error
	}
	done := make(chan result, 1)
	f.acquiring.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), acquireWait)
		defer cancel()
		var r result
		defer func() { done <- r }()
		defer caught(&r.err)
		r.saved, r.err = f.SnapshotStore.Acquire(ctx, key, held, seen)
		if r.err == nil {
			f.mu.Lock()
			f.epoch = max(f.epoch, r.saved.Epoch)
			f.mu.Unlock()
		}
	})
	f.mu.Unlock()
	select {
	case r := <-done:
		return r.saved, r.err
	case <-ctx.Done():
		return query.Saved{}, ctx.Err()
	}
}

func (f *fence) owned() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.epoch
}

// release says in the stored snapshot that its owner has gone, unless another has taken over. The outbox must have stopped.
// Where nothing was ever saved there is nothing to say it in. It returns within releaseWait, or not much later. What was being taken over,
// and is so only after that, is released then.
func (f *fence) release() error {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	waited, cancel := context.WithTimeout(context.Background(), releaseWait)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		var err error
		defer func() { done <- err }()
		defer caught(&err)
		f.acquiring.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), releaseWait)
		defer cancel()
		err = markReleased(ctx, f.SnapshotStore, f.key, f.owned())
	}()
	select {
	case err := <-done:
		return err
	case <-waited.Done():
		return fmt.Errorf("the snapshot store did not answer: %w", waited.Err())
	}
}

// markReleased says so in what is saved, if something is, and the epoch is still the current one.
func markReleased(ctx context.Context, store query.SnapshotStore, key string, epoch int64) error {
	if epoch == 0 {
		return nil
	}
	saved, err := store.Load(ctx, key)
	if err != nil || saved.Epoch != epoch || saved.Index == 0 {
		return err
	}
	snapshot, err := stored.DecodeSnapshot(saved.Data)
	if err != nil || snapshot.ReleasedEpoch == epoch {
		return err
	}
	snapshot.ReleasedEpoch = epoch
	saved.Index++
	saved.Data, saved.Keep = snapshot.Encode(time.Now())
	if err := store.Save(ctx, key, saved); err != nil && !errors.Is(err, query.ErrFenced) {
		return err
	}
	return nil
}

// takeOver takes a key over from whoever has it by then. It is for the change of a layout, beside which nobody else is to have the
// key: each time that it is refused, somebody else has taken over, and finds out that he must not.
func takeOver(ctx context.Context, store query.SnapshotStore, key string) (query.Saved, error) {
	for {
		seen, err := store.Load(ctx, key)
		if err != nil {
			return query.Saved{}, err
		}
		saved, err := store.Acquire(ctx, key, 0, seen.Epoch)
		if !errors.Is(err, query.ErrTakenMeanwhile) {
			return saved, err
		}
	}
}

// caught makes an error of a panic, which in another goroutine would end the process.
func caught(err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("panic: %v", v)
	}
}
