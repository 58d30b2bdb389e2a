package outbox

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/ledger"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

const (
	ok        = outboxv1.Outcome_OUTCOME_OK
	again     = outboxv1.Outcome_OUTCOME_RETRY
	permanent = outboxv1.Outcome_OUTCOME_PERMANENT
	unknown   = outboxv1.Outcome_OUTCOME_UNKNOWN
)

// Any actor may be the publisher. Whatever it answers, an event is settled only if the answer says so clearly.
func FuzzAnswer(f *testing.F) {
	at := func(index uint32, outcome outboxv1.Outcome) *outboxv1.PublishResult {
		return &outboxv1.PublishResult{Index: index, Outcome: outcome, Error: "why"}
	}
	for _, m := range []*outboxv1.PublishResponse{
		{},
		{Outcome: ok},
		{Outcome: 77, Results: []*outboxv1.PublishResult{at(0, 99), at(1, ok)}},
		{Outcome: ok, Results: []*outboxv1.PublishResult{at(1, again), at(3, permanent)}},
		{Outcome: permanent, Results: []*outboxv1.PublishResult{at(0, ok), at(1, ok), at(2, ok)}},
		{Outcome: ok, Results: []*outboxv1.PublishResult{at(5, again)}},
		{Outcome: ok, Results: []*outboxv1.PublishResult{at(math.MaxUint32, permanent)}},
		{Outcome: ok, Results: []*outboxv1.PublishResult{at(0, again), at(0, ok)}},
		{Outcome: ok, Results: []*outboxv1.PublishResult{at(2, unknown), at(2, permanent)}},
		{Outcome: again, Results: []*outboxv1.PublishResult{at(4, ok), at(4, ok), at(3, ok)}},
		{Outcome: ok, Results: []*outboxv1.PublishResult{
			{Index: 0, Outcome: again, RetryAfter: &durationpb.Duration{Seconds: math.MaxInt64, Nanos: -5}},
			{Index: 3, Outcome: again, RetryAfter: &durationpb.Duration{Seconds: -1}},
		}},
		{Outcome: ok, Results: []*outboxv1.PublishResult{at(0, again), {Index: 3, Outcome: again, Destination: "b"}},
			Destinations: []string{"a", "é", ""}, EventDestinations: []uint32{1, 2, 3, 4, math.MaxUint32, 0, 1, 1}},
		{Outcome: permanent, EventDestinations: []uint32{1}},
		{Destinations: []string{strings.Repeat("n", 300)}, EventDestinations: []uint32{1, 1, 1, 1, 1}},
	} {
		f.Add(mustMarshal(m))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var answer outboxv1.PublishResponse
		if err := proto.Unmarshal(data, &answer); err != nil {
			t.Skip("no answer")
		}
		b := dispatched(t)
		answer.Generation, answer.Batch = b.dispatch.Generation, b.dispatch.Batch
		b.give(published(&answer, len(b.dispatch.Events)))
		b.give(published(&answer, len(b.dispatch.Events))) // once more has no meaning
		settled, parked := verdicts(&answer, b.dispatch.Events)
		require.Equal(t, settled, b.settled)
		require.Equal(t, parked, b.parked)
		require.EqualValues(t, len(settled), b.ledger.Status(0).Published)
		for range 5 {
			b.now = b.now.Add(time.Hour)
			b.give(ledger.Tick{})
		}
		require.Equal(t, settled, b.settled, "time settles nothing")
	})
}

// verdicts reads an answer in the plainest way: the events that it settles and those that it has parked, by position.
func verdicts(m *outboxv1.PublishResponse, events []*query.Event) (settled, parked []int) {
	failed := map[string]bool{}
	for i, e := range events {
		said, clearly := m.GetOutcome(), true
		named := false
		for _, r := range m.GetResults() {
			switch {
			case int64(r.GetIndex()) >= int64(len(events)):
				clearly = false // there is no such event: which one is meant?
			case int(r.GetIndex()) != i:
			case named && r.GetOutcome() != said:
				clearly = false // it contradicts itself
			default:
				said, named = r.GetOutcome(), true
			}
		}
		switch id := e.PersistenceID; {
		case failed[id]:
		case clearly && said == ok:
			settled = append(settled, i)
		case clearly && said == permanent:
			parked = append(parked, i)
			failed[id] = true
		default:
			failed[id] = true
		}
	}
	return settled, parked
}

// bench is a ledger with one unanswered batch, and what it says of the batch's events, by position.
type bench struct {
	ledger          *ledger.Ledger
	now             time.Time
	effects         []ledger.Effect
	dispatch        ledger.Dispatch
	settled, parked []int
}

// dispatched returns a bench with a batch of a/1 a/2 a/3 b/1 b/2.
func dispatched(t *testing.T) *bench {
	t.Helper()
	cfg := defaults().ledger
	cfg.Generation, cfg.Lanes, cfg.IdlePollInterval = 7, 1, time.Second
	b := &bench{ledger: ledger.New(cfg), now: time.Unix(1_000_000, 0)}
	b.give(ledger.LaneUp{})
	b.give(ledger.Recovered{})
	read := found[ledger.ReadFeed](t, b)
	page := query.Page{Next: 5}
	for i, id := range []string{"a", "a", "a", "b", "b"} {
		page.Events = append(page.Events, query.Event{
			PersistenceID: id, SequenceNumber: int64(i%3) + 1, Offset: query.Offset(i + 1), Slice: query.SliceOf(id), Time: b.now,
		})
	}
	b.give(ledger.FeedPage{Read: read.Read, Page: page})
	b.dispatch = found[ledger.Dispatch](t, b)
	require.Len(t, b.dispatch.Events, len(page.Events))
	for i, e := range b.dispatch.Events {
		b.give(ledger.AwaitSettled{Token: uint64(i), PersistenceID: e.PersistenceID, SequenceNumber: e.SequenceNumber, Offset: e.Offset})
	}
	return b
}

func (b *bench) give(in ledger.Input) {
	for _, e := range b.ledger.Step(b.now, in) {
		b.effects = append(b.effects, e)
		reply, is := e.(ledger.Reply)
		var gone *ledger.ParkedError
		switch {
		case !is:
		case errors.As(reply.Err, &gone):
			b.parked = append(b.parked, int(reply.Token))
		case reply.Err == nil:
			b.settled = append(b.settled, int(reply.Token))
		default:
			panic("event " + strconv.FormatUint(reply.Token, 10) + ": " + reply.Err.Error())
		}
	}
}

// found returns the first effect of a kind.
func found[E ledger.Effect](t *testing.T, b *bench) (e E) {
	t.Helper()
	for _, effect := range b.effects {
		if e, is := effect.(E); is {
			return e
		}
	}
	require.Fail(t, "no such effect", "%T in %v", e, b.effects)
	return e
}
