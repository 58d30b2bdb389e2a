package outboxtest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/outboxtest"
)

// recorder is a sink: it takes what it is given, or says what it is told to say.
type recorder struct {
	got    []string
	answer error
}

func (r *recorder) Publish(_ context.Context, events []publisher.Event) error {
	for i := range events {
		r.got = append(r.got, events[i].ID())
	}
	return r.answer
}

// batch makes events of "a/1 b/1 b/2"; those of b have a type of their own.
func batch(ids string) []publisher.Event {
	var events []publisher.Event
	for id := range strings.FieldsSeq(ids) {
		var name string
		var seq int64
		_, _ = fmt.Sscanf(strings.Replace(id, "/", " ", 1), "%s %d", &name, &seq)
		e := event(name, seq)
		e.Type = "test.v1.Of" + strings.ToUpper(name)
		events = append(events, publisher.Event{Event: e})
	}
	return events
}

func TestAFaultOfABatch(t *testing.T) {
	const events = "a/1 b/1 a/2 b/2 c/1"
	for name, c := range map[string]struct {
		fault     outboxtest.Fault
		delivered string
		failed    string // event:outcome, or * for a batch of which nothing is known
	}{
		"all of it":                 {outboxtest.Fault{Err: errDisk}, "", "*"},
		"all of it, unheard":        {outboxtest.Fault{Err: errDisk, Unheard: true}, events, "*"},
		"one id":                    {outboxtest.Fault{Err: errDisk, PersistenceID: "a"}, "b/1 b/2 c/1", "a/1:retry a/2:unknown"},
		"one type":                  {outboxtest.Fault{Err: errDisk, Type: "test.v1.OfB"}, "a/1 a/2 c/1", "b/1:retry b/2:unknown"},
		"one id, unheard":           {outboxtest.Fault{Err: errDisk, PersistenceID: "a", Unheard: true}, "a/1 b/1 b/2 c/1", "a/1:unknown a/2:unknown"},
		"one id, for good":          {outboxtest.Fault{Err: publisher.Permanent(errDisk), PersistenceID: "c"}, "a/1 b/1 a/2 b/2", "c/1:permanent"},
		"the second event":          {outboxtest.Fault{Err: errDisk, Event: 2}, "a/1 a/2 c/1", "b/1:retry b/2:unknown"},
		"the second event of b":     {outboxtest.Fault{Err: errDisk, Event: 2, PersistenceID: "b"}, "a/1 b/1 a/2 c/1", "b/2:retry"},
		"an event that is not in":   {outboxtest.Fault{Err: errDisk, Event: 6}, events, ""},
		"an id that is not in":      {outboxtest.Fault{Err: errDisk, PersistenceID: "d"}, events, ""},
		"the first one, unknown":    {outboxtest.Fault{Err: publisher.Unknown(errDisk), Event: 1}, "b/1 b/2 c/1", "a/1:unknown a/2:unknown"},
		"the last one, for a while": {outboxtest.Fault{Err: publisher.RetryAfter(errDisk, 7), Event: 5}, "a/1 b/1 a/2 b/2", "c/1:retry"},
	} {
		t.Run(name, func(t *testing.T) {
			faults, sink := outboxtest.NewFaults(1), &recorder{}
			p := faults.Publisher(sink)
			faults.Inject(outboxtest.Publish, c.fault)
			err := p.Publish(t.Context(), batch(events))
			require.Equal(t, c.delivered, strings.Join(sink.got, " "))
			require.Equal(t, c.failed, verdicts(t, batch(events), err))
			require.Equal(t, c.failed != "", faults.Struck(outboxtest.Publish) == 1)
			if err != nil {
				require.ErrorIs(t, err, errDisk)
			}

			faults.Clear()
			sink.got = nil
			require.NoError(t, p.Publish(t.Context(), batch(events)))
			require.Equal(t, events, strings.Join(sink.got, " "))
		})
	}
}

func verdicts(t *testing.T, events []publisher.Event, err error) string {
	t.Helper()
	var b *publisher.BatchError
	switch {
	case err == nil:
		return ""
	case !errors.As(err, &b):
		return "*"
	}
	var all []string
	for _, f := range b.Failures {
		all = append(all, fmt.Sprintf("%s:%v", events[f.Index].ID(), f.Outcome))
	}
	return strings.Join(all, " ")
}

func TestWhatTheSinkSaysOfEventsBesideAFaultIsPassedOn(t *testing.T) {
	for name, c := range map[string]struct {
		answer error
		want   publisher.Outcome
	}{
		"never":      {&publisher.BatchError{Failures: []publisher.Failure{{Outcome: publisher.OutcomePermanent}}}, publisher.OutcomePermanent},
		"later":      {&publisher.BatchError{Failures: []publisher.Failure{{Outcome: publisher.OutcomeRetry}}}, publisher.OutcomeRetry},
		"unknown":    {&publisher.BatchError{Failures: []publisher.Failure{{}}}, publisher.OutcomeUnknown},
		"some error": {errDisk, publisher.OutcomeUnknown},
	} {
		faults, sink := outboxtest.NewFaults(1), &recorder{answer: c.answer}
		p := faults.Publisher(sink)
		faults.Inject(outboxtest.Publish, outboxtest.Fault{Err: errDisk, PersistenceID: "a"})
		require.Equal(t, fmt.Sprintf("a/1:retry b/1:%v", c.want), verdicts(t, batch("a/1 b/1"), p.Publish(t.Context(), batch("a/1 b/1"))), name)
	}
}

func TestAPanicInTheMiddleOfABatch(t *testing.T) {
	faults, sink := outboxtest.NewFaults(1), &recorder{}
	p := faults.Publisher(sink)
	faults.Inject(outboxtest.Publish, outboxtest.Fault{Panic: "boom", Event: 2})
	require.PanicsWithValue(t, "boom", func() { _ = p.Publish(t.Context(), batch("a/1 b/1 c/1")) })
	require.Equal(t, []string{"a/1"}, sink.got)
}

func TestAPublishThatHangsEndsWithItsContext(t *testing.T) {
	faults, sink := outboxtest.NewFaults(1), &recorder{}
	p := faults.Publisher(sink)
	faults.Inject(outboxtest.Publish, outboxtest.Fault{Hang: true})
	ctx, cancel := context.WithCancel(t.Context())
	done := async(func() error { return p.Publish(ctx, batch("a/1")) })
	await(t, "it hangs", func() bool { return faults.Struck(outboxtest.Publish) == 1 })
	cancel()
	require.ErrorIs(t, next(t, "the answer", done), context.Canceled)
	require.Empty(t, sink.got)
}

// unordered is a sink that cannot keep the order of an id within a batch.
type unordered struct{ recorder }

func (*unordered) OrderedWithinBatch() bool { return false }

func TestTheSinksCapabilityIsKept(t *testing.T) {
	faults := outboxtest.NewFaults(1)
	_, ok := publisher.As[publisher.BatchOrdering](faults.Publisher(&recorder{}))
	require.False(t, ok, "the recorder says nothing about it")
	o, ok := publisher.As[publisher.BatchOrdering](faults.Publisher(&unordered{}))
	require.True(t, ok)
	require.False(t, o.OrderedWithinBatch())
}
