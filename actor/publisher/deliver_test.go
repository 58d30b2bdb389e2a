package publisher

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

type publishFunc func(ctx context.Context, events []Event) error

func (f publishFunc) Publish(ctx context.Context, events []Event) error { return f(ctx, events) }

// returning is a publisher that always returns the same.
func returning(err error) Publisher {
	return publishFunc(func(context.Context, []Event) error { return err })
}

func TestWhatAnErrorFromPublishMeans(t *testing.T) {
	var nilBatch *BatchError
	for name, c := range map[string]struct {
		err      error
		one, two string // for a batch of one event, of two events
	}{
		"nil":                     {nil, "", ""},
		"nil batch error":         {nilBatch, "", ""},
		"empty batch error":       {&BatchError{}, "", ""},
		"plain":                   {errNo, "0:unknown", "0:unknown 1:unknown"},
		"unknown":                 {Unknown(errNo), "0:unknown", "0:unknown 1:unknown"},
		"retry after":             {RetryAfter(errNo, time.Second), "0:retry", "0:retry 1:retry"},
		"permanent":               {Permanent(errNo), "0:permanent", "0:unknown 1:unknown"},
		"wrapped permanent":       {fmt.Errorf("send: %w", Permanent(errNo)), "0:permanent", "0:unknown 1:unknown"},
		"first event":             {&BatchError{Failures: []Failure{{Outcome: OutcomeRetry}}}, "0:retry", "0:retry"},
		"wrapped batch error":     {fmt.Errorf("send: %w", &BatchError{Failures: []Failure{{}}}), "0:unknown", "0:unknown"},
		"marked inside the batch": {&BatchError{Failures: []Failure{{Err: Permanent(errNo)}}}, "0:unknown", "0:unknown"},
		"said twice": {&BatchError{Failures: []Failure{{Outcome: OutcomeRetry}, {Outcome: OutcomeRetry}}},
			"0:retry", "0:retry"},
		"contradiction": {&BatchError{Failures: []Failure{{Outcome: OutcomeRetry}, {Outcome: OutcomePermanent}}},
			"0:unknown", "0:unknown"},
		"no such event":    {&BatchError{Failures: []Failure{{Index: 2}}}, "0:unknown", "0:unknown 1:unknown"},
		"negative event":   {&BatchError{Failures: []Failure{{Index: -1}}}, "0:unknown", "0:unknown 1:unknown"},
		"out of order":     {&BatchError{Failures: []Failure{{Index: 1}, {Index: 0}}}, "0:unknown", "0:unknown 1:unknown"},
		"made-up outcomes": {&BatchError{Failures: []Failure{{Outcome: 77}}}, "0:unknown", "0:unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.one, outcomesOf(deliver(t.Context(), returning(c.err), batchOf("a/1"))))
			assert.Equal(t, c.two, outcomesOf(deliver(t.Context(), returning(c.err), batchOf("a/1 b/1"))))
		})
	}
}

// unordered is a publisher that asks for waves and records them.
type unordered struct {
	waves []string
	errs  func(wave []Event) error
}

func (*unordered) OrderedWithinBatch() bool { return false }

func (u *unordered) Publish(_ context.Context, wave []Event) error {
	u.waves = append(u.waves, idsOf(wave))
	if u.errs == nil {
		return nil
	}
	return u.errs(wave)
}

func TestAnUnorderedPublisherGetsEachIDOncePerWave(t *testing.T) {
	u := &unordered{}
	assert.Empty(t, deliver(t.Context(), u, batchOf("a/1 b/1 a/2 c/1 a/3 b/2")))
	assert.Equal(t, []string{"a/1 b/1 c/1", "a/2 b/2", "a/3"}, u.waves)
}

func TestAnIDThatFailsTakesNoPartInLaterWaves(t *testing.T) {
	u := &unordered{errs: func(wave []Event) error {
		var batch BatchError
		for i := range wave {
			if wave[i].ID() == "a/2" {
				batch.Add(Failure{Index: i, Outcome: OutcomeRetry, RetryAfter: time.Second, Err: errNo})
			}
		}
		return batch.OrNil()
	}}
	failures := deliver(t.Context(), u, batchOf("b/1 a/1 a/2 b/2 a/3 b/3"))
	assert.Equal(t, []string{"b/1 a/1", "a/2 b/2", "b/3"}, u.waves)
	assert.Equal(t, "2:retry 4:unknown", outcomesOf(failures))
	assert.Equal(t, time.Second, failures[0].RetryAfter)
	require.ErrorIs(t, failures[1].Err, ErrNotTried)
}

func TestAWaveThatFailsAsAWholeIsTheLast(t *testing.T) {
	u := &unordered{errs: func([]Event) error { return errNo }}
	failures := deliver(t.Context(), u, batchOf("a/1 b/1 a/2"))
	assert.Equal(t, []string{"a/1 b/1"}, u.waves)
	assert.Equal(t, "0:unknown 1:unknown 2:unknown", outcomesOf(failures))
}

func TestNoWaveIsTriedAfterTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	u := &unordered{errs: func([]Event) error { cancel(); return nil }}
	failures := deliver(ctx, u, batchOf("a/1 a/2"))
	assert.Equal(t, []string{"a/1"}, u.waves)
	assert.Equal(t, "1:unknown", outcomesOf(failures))
}

func TestBatchErrorTellsItsFailures(t *testing.T) {
	var batch BatchError
	require.NoError(t, batch.OrNil())
	batch.Add(Failure{Index: 4, Outcome: OutcomePermanent, Err: errNo})
	err := batch.OrNil()
	require.EqualError(t, err, "1 events of the batch were not published, event 4 first: permanent: no")
	require.ErrorIs(t, err, errNo)
}

func request(ids string) *outboxv1.PublishRequest {
	r := &outboxv1.PublishRequest{Outbox: "shop", Epoch: 3, Generation: 5, Batch: 6}
	for _, e := range batchOf(ids) {
		r.Events = append(r.Events, &outboxv1.Event{PersistenceId: e.PersistenceID, SequenceNumber: e.SequenceNumber})
	}
	return r
}

func TestAnswerNamesWhatDiffers(t *testing.T) {
	answer := answerTo(request("a/1 b/1 c/1"), []Failure{
		{Index: 0, Outcome: OutcomeRetry, RetryAfter: 3 * time.Second, Err: errNo, Destination: "eu"},
		{Index: 2, Outcome: OutcomePermanent},
	}, nil)
	assert.Equal(t, uint64(5), answer.Generation)
	assert.Equal(t, uint64(6), answer.Batch)
	assert.Equal(t, outboxv1.Outcome_OUTCOME_OK, answer.Outcome)
	require.Len(t, answer.Results, 2)
	assert.Equal(t, outboxv1.Outcome_OUTCOME_RETRY, answer.Results[0].Outcome)
	assert.Equal(t, 3*time.Second, answer.Results[0].RetryAfter.AsDuration())
	assert.Equal(t, "eu", answer.Results[0].Destination)
	assert.Equal(t, "no", answer.Results[0].Error)
	assert.Equal(t, uint32(2), answer.Results[1].Index)
	assert.Equal(t, outboxv1.Outcome_OUTCOME_PERMANENT, answer.Results[1].Outcome)
	assert.NotEmpty(t, answer.Results[1].Error)
}

func TestAnswerSaysOnceThatAllIsUnknown(t *testing.T) {
	r := request("a/1 b/1")
	answer := answerTo(r, failuresOf(errNo, 2), nil)
	assert.Equal(t, outboxv1.Outcome_OUTCOME_UNKNOWN, answer.Outcome)
	assert.Equal(t, "no", answer.Error)
	assert.Empty(t, answer.Results)

	differently := failuresOf(errNo, 2)
	differently[1].Err = errors.New("not tried")
	assert.Len(t, answerTo(r, differently, nil).Results, 2)
}

func TestAnswerCanAlwaysBeSent(t *testing.T) {
	hostile := errors.New("\xff\xfe" + strings.Repeat("é", 10_000))
	answer := answerTo(request("a/1 b/1"), []Failure{{Err: hostile, Destination: "\xff" + strings.Repeat("é", 10_000)}}, nil)
	assert.LessOrEqual(t, len(answer.Destinations[0]), maxDestination)
	data, err := proto.Marshal(answer)
	require.NoError(t, err)
	assert.Less(t, len(data), 2*maxReason)
}

func TestAnswerNamesTheDestinationsOfAllEvents(t *testing.T) {
	answer := answerTo(request("a/1 b/1 c/1 d/1 e/1"), []Failure{{Index: 1, Outcome: OutcomeRetry}, {Index: 2, Destination: "asia"}},
		[]string{"eu", "us", "us", "", "eu"})
	assert.Equal(t, []string{"eu", "us", "asia"}, answer.Destinations)
	assert.Equal(t, []uint32{1, 2, 3, 0, 1}, answer.EventDestinations)
	assert.Equal(t, "us", answer.Results[0].Destination)
	assert.Equal(t, "asia", answer.Results[1].Destination, "what the failure says comes first")

	none := answerTo(request("a/1 b/1"), nil, []string{"", ""})
	assert.Empty(t, none.Destinations)
	assert.Empty(t, none.EventDestinations)

	all := answerTo(request("a/1 b/1"), failuresOf(errNo, 2), []string{"eu", "us"})
	assert.Equal(t, outboxv1.Outcome_OUTCOME_UNKNOWN, all.Outcome)
	assert.Empty(t, all.Results, "the reason is said once, wherever they went")
	assert.Equal(t, []uint32{1, 2}, all.EventDestinations)
}
