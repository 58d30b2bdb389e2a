package ledger

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// Settling an event that was not delivered would lose it.
func TestWhatAnAnswerDoesNotSayClearlyIsUnknown(t *testing.T) {
	for name, c := range map[string]struct {
		results []Result
		reason  string
	}{
		"an event that is not in the batch": {[]Result{{Index: 2, Outcome: Retry}}, "it names event 2 of a batch of 1"},
		"a negative position":               {[]Result{{Index: -1, Outcome: Permanent}}, "it names event -1 of a batch of 1"},
		"not delivered, and delivered":      {[]Result{{Outcome: Retry, Err: "busy"}, {Outcome: OK}}, "contradicts itself"},
		"delivered, and refused for good":   {[]Result{{Outcome: OK}, {Outcome: Permanent, Err: "poison"}}, "contradicts itself: poison"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, oneLane(), Recovered{})
			b.feed(event("a", 1, 1), event("a", 2, 2))
			b.answer(b.only("a/1", "a/2"), OK, c.results...)
			assert.Zero(t, b.watermark())
			assert.Zero(t, b.Status(0).ParkedCount)

			b.answer(b.only("a/1"), OK, c.results...)
			assert.Zero(t, b.watermark())
			assert.Contains(t, b.Status(0).LastError, c.reason)
		})
	}
}

func TestTheSameSaidTwiceIsClear(t *testing.T) {
	b := newBench(t, oneLane(), Recovered{})
	b.feed(event("a", 1, 1), event("b", 1, 2))
	b.answer(b.only("a/1", "b/1"), Unknown, Result{Index: 0, Outcome: OK}, Result{Index: 0, Outcome: OK}, Result{Index: 1, Outcome: OK})
	assert.Equal(t, 2, b.watermark())
}
