package shards

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/stored"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

func store(t *testing.T) *faulty {
	t.Helper()
	j := &faulty{Journal: memory.New()}
	t.Cleanup(func() { require.NoError(t, j.Close()) })
	return j
}

// Members that start at the same moment agree on one layout; those with another number, whoever comes first, refuse.
func TestOfManyMembersOneStoresTheLayout(t *testing.T) {
	j := store(t)
	var all sync.WaitGroup
	errs := make([]error, 40)
	for i := range errs {
		all.Go(func() {
			n := names{"shop", 8 + i%2}
			// Whoever is beaten to it by a hair looks again, as an outbox does.
			for range 100 {
				if errs[i] = checkLayout(context.Background(), j, n, nil); errs[i] == nil || isLayout(errs[i]) {
					return
				}
			}
		})
	}
	all.Wait()
	stands := 0
	for i, err := range errs {
		if err == nil && stands == 0 {
			stands = 8 + i%2
		}
	}
	require.NotZero(t, stands)
	for i, err := range errs {
		if 8+i%2 == stands {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, ErrLayout)
			require.ErrorContains(t, err, "shards.Resize", "it says what to do")
		}
	}
}

func TestALayoutHoldsNothingBack(t *testing.T) {
	j := store(t)
	require.NoError(t, checkLayout(context.Background(), j, names{"shop", 8}, nil))
	saved, err := j.Load(context.Background(), "outbox/shop")
	require.NoError(t, err)
	require.EqualValues(t, int64(^uint64(0)>>1), saved.Keep.Watermark)
}

// A loss of the answer is no loss of the layout, and no second one.
func TestTheLayoutIsStoredAlthoughTheAnswerIsLost(t *testing.T) {
	for _, op := range []string{"Acquire", "Save"} {
		for _, late := range []bool{false, true} {
			j := store(t)
			j.onCall(func(o, _ string) (before, after error) {
				switch {
				case o != op:
				case late:
					return nil, errInjected
				default:
					return errInjected, nil
				}
				return nil, nil
			})
			n := names{"shop", 8}
			require.ErrorIs(t, checkLayout(context.Background(), j, n, nil), errInjected)
			j.onCall(nil)
			require.NoError(t, checkLayout(context.Background(), j, n, nil))
		}
	}
}

func TestAnOutboxWithoutShardsAndOneInShardsExcludeOneAnother(t *testing.T) {
	j := store(t)
	system := testkit.NewActorSystem(t)
	props, err := outbox.Props("plain", j, publisher.Props(publisher.Func(func(context.Context, publisher.Event) error { return nil })), outbox.WithStartNow())
	require.NoError(t, err)
	plain := system.Root.Spawn(props)
	require.NoError(t, outbox.NewClient(system.Root, plain).Flush(testContext(t)))
	require.NoError(t, system.Root.StopFuture(plain).Wait())
	err = checkLayout(context.Background(), j, names{"plain", 8}, nil)
	require.ErrorIs(t, err, ErrPlain)
	require.ErrorContains(t, err, "shards.Resize")

	require.NoError(t, checkLayout(context.Background(), j, names{"shards", 8}, nil))
	before, err := j.Load(context.Background(), "outbox/shards")
	require.NoError(t, err)
	props, err = outbox.Props("shards", j, publisher.Props(publisher.Func(func(context.Context, publisher.Event) error { return nil })))
	require.NoError(t, err)
	ends := make(chan error, 1)
	system.EventStream.Subscribe(func(event any) {
		if s, ok := event.(*outbox.Stopped); ok {
			ends <- s.Err
		}
	})
	system.Root.Spawn(props)
	require.ErrorIs(t, <-ends, outbox.ErrSharded)
	after, err := j.Load(context.Background(), "outbox/shards")
	require.NoError(t, err)
	require.Equal(t, before, after, "it has not even taken it over")
}

func TestADamagedLayoutIsNoLayout(t *testing.T) {
	data := stored.SealLayout(&outboxv1.Layout{Shards: 8})
	for i := range data {
		for bit := range 8 {
			data[i] ^= 1 << bit
			layout, err := stored.OpenLayout(data)
			require.Error(t, err, "byte %d, bit %d: %v", i, bit, layout)
			data[i] ^= 1 << bit
		}
	}
	for _, shards := range []int32{-1, 0, 1025} {
		_, err := stored.OpenLayout(stored.SealLayout(&outboxv1.Layout{Shards: shards}))
		require.ErrorIs(t, err, stored.ErrCorrupt)
	}
}

// Between a look at the layout and the takeover of a shard, the layout may change.
func TestATakeoverUnderALayoutThatHasJustChangedFails(t *testing.T) {
	j, n := store(t), names{"shop", 2}
	require.NoError(t, checkLayout(context.Background(), j, n, nil))
	j.onCall(func(op, key string) (before, after error) {
		if op == "Acquire" && key == n.key(1) {
			saved, err := takeOver(context.Background(), j.Journal, n.layoutKey())
			require.NoError(t, err)
			saved.Index++
			saved.Data = stored.SealLayout(&outboxv1.Layout{Shards: 2, Resize: &outboxv1.Resize{To: 3}})
			require.NoError(t, j.Journal.Save(context.Background(), n.layoutKey(), saved))
		}
		return nil, nil
	})
	f := &fence{SnapshotStore: j, names: n, key: n.key(1)}
	_, err := f.Acquire(context.Background(), n.key(1), 0, 1)
	require.ErrorIs(t, err, ErrLayout)
	require.ErrorIs(t, err, outbox.ErrFenced, "which is final to an outbox")
}

// An outbox that is stopped while it takes over has taken over all the same, and gives back what it owns.
func TestWhatWasTakenOverTooLateIsReleased(t *testing.T) {
	j, n := store(t), names{"shop", 1}
	require.NoError(t, checkLayout(context.Background(), j, n, nil))
	key := n.key(0)
	saved, err := takeOver(context.Background(), j, key)
	require.NoError(t, err)
	snapshot := stored.Snapshot{Identity: "j"}
	saved.Index++
	saved.Data, saved.Keep = snapshot.Encode(time.Now())
	require.NoError(t, j.Save(context.Background(), key, saved))

	begun, goOn := make(chan struct{}), make(chan struct{})
	f := &fence{SnapshotStore: slow{j, key, begun, goOn}, names: n, key: key}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		_, err := f.Acquire(ctx, key, 0, saved.Epoch)
		done <- err
	}()
	<-begun
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	close(goOn)
	require.NoError(t, f.release())
	saved, err = j.Load(context.Background(), key)
	require.NoError(t, err)
	require.EqualValues(t, 3, saved.Epoch)
	snapshot, err = stored.DecodeSnapshot(saved.Data)
	require.NoError(t, err)
	require.EqualValues(t, 3, snapshot.ReleasedEpoch)
	_, err = f.Acquire(context.Background(), key, 0, saved.Epoch)
	require.Error(t, err, "nothing is taken over after that")
}

// The store may take longer for that than a stop may wait. What has been taken over by then has been taken over from somebody.
func TestWhatIsTakenOverAfterTheStopIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, n := store(t), names{"shop", 1}
		require.NoError(t, checkLayout(context.Background(), j, n, nil))
		key := n.key(0)
		saved, err := takeOver(context.Background(), j, key)
		require.NoError(t, err)
		snapshot := stored.Snapshot{Identity: "j"}
		saved.Index++
		saved.Data, saved.Keep = snapshot.Encode(time.Now())
		require.NoError(t, j.Save(context.Background(), key, saved))

		begun, goOn := make(chan struct{}), make(chan struct{})
		f := &fence{SnapshotStore: slow{j, key, begun, goOn}, names: n, key: key}
		ctx, cancel := context.WithCancel(context.Background())
		go func() { _, _ = f.Acquire(ctx, key, 0, saved.Epoch) }()
		<-begun
		cancel()
		began := time.Now()
		require.ErrorIs(t, f.release(), context.DeadlineExceeded)
		require.LessOrEqual(t, time.Since(began), releaseWait, "a stop does not wait for longer")
		<-time.After(acquireWait - releaseWait - time.Millisecond) // in simulated time
		close(goOn)
		synctest.Wait()
		saved, err = j.Load(context.Background(), key)
		require.NoError(t, err)
		snapshot, err = stored.DecodeSnapshot(saved.Data)
		require.NoError(t, err)
		require.Equal(t, saved.Epoch, snapshot.ReleasedEpoch)
	})
}

// The look at the layout may take longer than the outbox waits. Then it is not gone on with.
func TestATakeoverForWhichNobodyWaitsDoesNotBegin(t *testing.T) {
	j, n := store(t), names{"shop", 1}
	require.NoError(t, checkLayout(context.Background(), j, n, nil))
	ctx, cancel := context.WithCancel(context.Background())
	taken := 0
	j.onCall(func(op, key string) (before, after error) {
		switch {
		case op == "Acquire":
			taken++
		case key == n.layoutKey():
			cancel()
		}
		return nil, nil
	})
	f := &fence{SnapshotStore: deaf{j}, names: n, key: n.key(0)}
	_, err := f.Acquire(ctx, n.key(0), 0, 1)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, f.release()) // which waits for what has begun
	require.Zero(t, taken)
}

// deaf is a store that answers although nobody waits any more.
type deaf struct{ *faulty }

func (d deaf) Load(ctx context.Context, key string) (query.Saved, error) {
	return d.faulty.Load(context.WithoutCancel(ctx), key)
}

// slow is a store that takes its time to let somebody take over a key.
type slow struct {
	*faulty
	key   string
	begun chan struct{}
	goOn  chan struct{}
}

func (s slow) Acquire(ctx context.Context, key string, held, seen int64) (query.Saved, error) {
	if key == s.key {
		close(s.begun)
		<-s.goOn
	}
	return s.faulty.Acquire(ctx, key, held, seen)
}

// What another has taken over is not released in his place.
func TestOnlyTheOwnerReleases(t *testing.T) {
	j, n := store(t), names{"shop", 1}
	f := &fence{SnapshotStore: j, names: n, key: n.key(0)}
	saved, err := takeOver(context.Background(), f, n.key(0))
	require.NoError(t, err)
	snapshot := stored.Snapshot{Identity: "j"}
	saved.Index++
	saved.Data, saved.Keep = snapshot.Encode(time.Now())
	require.NoError(t, j.Save(context.Background(), n.key(0), saved))
	saved, err = takeOver(context.Background(), j, n.key(0))
	require.NoError(t, err)
	require.NoError(t, f.release())
	now, err := j.Load(context.Background(), n.key(0))
	require.NoError(t, err)
	require.Equal(t, saved, now)
}
