package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// delivered builds receipts, a second apart.
func delivered(all ...receipt) *receipts {
	r := newReceipts()
	for n, got := range all {
		got.at = time.Unix(int64(n), 0)
		r.add(got)
	}
	return r
}

func TestReceiptsTellWhatATakeoverHasRepeated(t *testing.T) {
	r := delivered(
		receipt{persistenceID: "a", sequenceNumber: 1, shard: "shop-0", epoch: 1},
		receipt{persistenceID: "a", sequenceNumber: 2, shard: "shop-0", epoch: 1},
		receipt{persistenceID: "a", sequenceNumber: 2, shard: "shop-0", epoch: 1}, // no takeover
		receipt{persistenceID: "b", sequenceNumber: 1, shard: "shop-1", epoch: 7},
		receipt{persistenceID: "a", sequenceNumber: 1, shard: "shop-0", epoch: 2},
		receipt{persistenceID: "a", sequenceNumber: 2, shard: "shop-0", epoch: 2},
		receipt{persistenceID: "a", sequenceNumber: 3, shard: "shop-0", epoch: 1}, // the old owner lives
	)
	counts, distinct := r.count()
	require.Equal(t, receiptCounts{total: 7, duplicates: 3, late: 1}, counts)
	require.Equal(t, int64(4), distinct)
	owner, events := r.mostRepeated()
	require.Equal(t, ownership{"shop-0", 1}, owner)
	require.Equal(t, 2, events)
	s := r.of("shop-0")
	require.Equal(t, int64(2), s.epoch)
	require.Equal(t, time.Unix(2, 0), s.before)
	require.Equal(t, time.Unix(4, 0), s.first)
	require.Equal(t, 2*time.Second, r.longestPause())
	require.Zero(t, r.longestPause())
}

func TestReceiptsTellOrder(t *testing.T) {
	var all []receipt
	for _, n := range []int64{1, 2, 4, 3, 4, 5} { // 4 came before 3
		all = append(all, receipt{persistenceID: "a", sequenceNumber: n, shard: "shop-0", epoch: 1})
	}
	r := delivered(all...)
	counts, _ := r.count()
	require.Equal(t, receiptCounts{total: 6, duplicates: 1, outOfOrder: 1}, counts)
	require.True(t, r.has("a", 5))
	require.False(t, r.has("a", 6))
	require.False(t, r.has("b", 1))
}

// What must not be is complained of, and only that.
func TestTheSummaryComplains(t *testing.T) {
	one := receipt{persistenceID: "order/1", sequenceNumber: 1, shard: "shop-0", epoch: 1}
	two := receipt{persistenceID: "order/1", sequenceNumber: 2, shard: "shop-0", epoch: 1}
	manyTimes := func() (all []receipt) {
		for epoch := range int64(2) {
			for n := range int64(maxUnsaved + 1) {
				all = append(all, receipt{persistenceID: "order/1", sequenceNumber: n + 1, shard: "shop-0", epoch: epoch + 1})
			}
		}
		return all
	}
	for _, c := range []struct {
		received         []receipt
		stored, answered int64
		says             []string
	}{
		{[]receipt{one, two}, 2, 2, nil},
		{[]receipt{one, two, two}, 2, 2, nil},
		{[]receipt{one}, 2, 2, []string{"LOST: 1 events were not received"}},
		{[]receipt{one, two}, 1, 1, []string{"1 events were received that the journal does not have"}},
		{[]receipt{one, two}, 2, 1, []string{"1 commands were confirmed, and the journal has 2 events"}},
		{[]receipt{two, one}, 2, 2, []string{"1 events were received before one that precedes them"}},
		{manyTimes(), maxUnsaved + 1, maxUnsaved + 1, []string{"65 events of shop-0 in epoch 1 came again from later owners: more than 64"}},
	} {
		s := &summary{play: &play{receipts: delivered(c.received...), customers: &customers{}}}
		s.play.customers.answered.Store(c.answered)
		for n := range c.stored {
			s.add(query.Event{PersistenceID: "order/1", SequenceNumber: n + 1})
		}
		s.judge()
		require.Equal(t, c.says, s.complaints)
	}
}

func TestTheReceiverReadsWhoHasSentAnEvent(t *testing.T) {
	r := newReceipts()
	handler := receive("order/", r)
	send := func(subject, source string) int {
		request := httptest.NewRequest(http.MethodPost, "/", http.NoBody)
		request.Header.Set("Ce-Subject", subject)
		request.Header.Set("Ce-Source", source)
		request.Header.Set("Ce-Sequence", "1")
		request.Header.Set("Ce-Epoch", "3")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, request)
		return w.Code
	}
	require.Equal(t, http.StatusNoContent, send("order/1%20x", "/outbox/shop-3%252F8"))
	require.True(t, r.has("order/1 x", 1))
	require.Equal(t, int64(3), r.of("shop-3").epoch)
	require.Equal(t, http.StatusBadRequest, send("order/2", "/outbox/shop"))
	require.Equal(t, http.StatusNoContent, send("somebody/2", "/outbox/shop-3%252F8"), "an earlier run's")
	require.False(t, r.has("somebody/2", 1))
}
