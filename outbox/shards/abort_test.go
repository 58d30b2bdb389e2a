package shards

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
)

func (w *shop) abort(from, to int) error {
	return Abort(context.Background(), "shop", from, to, w.j, w.props(), w.options()...)
}

// There is nothing to take back, so nobody is to notice.
func TestAbortDisturbsNobodyWhereNothingHasBegun(t *testing.T) {
	for _, from := range []int{0, 2} {
		w := newShop(t, 1)
		clients, stop := w.run(from)
		w.write(10)
		w.flush(clients)
		before, err := w.j.Load(t.Context(), names{"shop", from}.layoutKey())
		require.NoError(t, err)
		require.NoError(t, w.abort(from, 3))
		now, err := w.j.Load(t.Context(), names{"shop", from}.layoutKey())
		require.NoError(t, err)
		require.Equal(t, before.Epoch, now.Epoch, "from %d", from)
		w.write(10)
		w.flush(clients)
		stop()
		w.check()
	}
}

// Of a change from an outbox without shards there are new shards' offsets only, and these are removed.
func TestAbortRemovesWhatAChangeFromNoShardsHasStored(t *testing.T) {
	w := newShop(t, 1)
	clients, stop := w.run(0)
	w.write(10)
	w.flush(clients)
	stop()
	to := names{"shop", 3}
	w.j.onCall(func(op, key string) (before, after error) {
		if op == "Save" && key == to.key(1) {
			return errInjected, nil
		}
		return nil, nil
	})
	require.ErrorIs(t, w.resize(0, 3), errInjected)
	w.j.onCall(nil)
	require.ElementsMatch(t, keysOf(to)[:2], registered(t, w.j, to))
	clients, stop = w.run(0)
	w.write(10)
	w.flush(clients)
	require.NoError(t, w.abort(0, 3))
	require.Empty(t, registered(t, w.j, to))
	w.write(5)
	require.ErrorIs(t, clients[0].Flush(testContext(t)), outbox.ErrStopped, "it could have been a change that is at work")
	stop()
	clients, stop = w.run(0)
	defer stop()
	w.flush(clients)
	w.check()
}

// A member with a wrong number has registered shards, and died before it knew that the number was wrong.
func TestAbortRemovesWhatAMemberWithAWrongNumberHasLeft(t *testing.T) {
	w := newShop(t, 1)
	wrong := names{"shop", 5}
	w.j.onCall(func(op, key string) (before, after error) {
		if op == "Acquire" && key == wrong.layoutKey() {
			return errInjected, nil
		}
		return nil, nil
	})
	require.ErrorIs(t, checkLayout(t.Context(), w.j, wrong, nil), errInjected)
	w.j.onCall(nil)
	clients, stop := w.run(2)
	defer stop()
	w.write(40)
	w.flush(clients)
	heldBackBy := func() string {
		trimmed, err := w.j.Trim(t.Context(), journal.Retention{})
		require.NoError(t, err)
		if trimmed.Watermark > 0 {
			return ""
		}
		return trimmed.Slowest
	}
	require.Contains(t, keysOf(wrong), heldBackBy(), "the journal keeps everything for them")
	require.NoError(t, w.abort(2, 5))
	require.Empty(t, registered(t, w.j, wrong))
	require.Empty(t, heldBackBy())
	w.write(10)
	w.flush(clients)
	require.Len(t, registered(t, w.j, names{"shop", 2}), 2, "the right ones stay")
}
