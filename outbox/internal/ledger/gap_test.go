package ledger

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

func TestAGapWithoutAPlaceEndsOnceTheFeedShowsWhatItHadLeftOut(t *testing.T) {
	cfg := oneLane()
	cfg.MaxHeld, cfg.OnPoison, cfg.Batch.Events, cfg.LaneBatches = 1, Hold, 1, 8
	b := newBench(t, cfg, Recovered{})
	b.feed(event("stuck", 1, 1), event("a", 1, 2), event("b", 1, 3))
	_, sent := b.sent()
	b.wait(cfg.PollInterval)
	read := one[ReadFeed](b)
	b.answer(sent[0], Permanent) // it takes the only place
	b.give(FeedPage{Read: read.Read, Page: query.Page{Events: []query.Event{event("a", 3, 6)}, Next: 6}})
	b.answer(sent[1], OK)
	b.answer(sent[2], OK)
	require.Equal(t, 2, b.watermark(), "somewhere behind a/1 there is a/2")

	b.give(RetryNow{Token: 1})
	b.give(StreamPage{Read: one[ReadStream](b).Read, Events: []query.Event{event("stuck", 1, 1)}})
	b.answer(b.only("stuck/1"), OK)
	b.wait(cfg.PollInterval)
	b.feed(event("a", 2, 5), event("a", 3, 6), event("b", 2, 7))
	for range 2 {
		_, sent = b.sent()
		for _, d := range sent {
			b.answer(d, OK)
		}
	}
	assert.Equal(t, 7, b.watermark())
	assert.Empty(t, b.streams)
}
