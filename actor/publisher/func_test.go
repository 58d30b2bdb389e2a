package publisher

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var errNo = errors.New("no")

// failing returns a function that records what it is called for, and fails as told.
func failing(calls *[]Event, errs map[string]error) func(context.Context, Event) error {
	return func(_ context.Context, e Event) error {
		*calls = append(*calls, e)
		return errs[e.ID()]
	}
}

func TestFuncStopsOnlyTheIDThatFails(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"plain error":  {errNo, "1:retry 3:unknown 5:unknown"},
		"retry after":  {RetryAfter(errNo, time.Minute), "1:retry 3:unknown 5:unknown"},
		"permanent":    {Permanent(errNo), "1:permanent 3:unknown 5:unknown"},
		"unknown":      {Unknown(errNo), "1:unknown 3:unknown 5:unknown"},
		"wrapped mark": {errors.Join(errors.New("while sending"), Permanent(errNo)), "1:permanent 3:unknown 5:unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			var calls []Event
			p := Func(failing(&calls, map[string]error{"b/1": c.err}))
			failures := deliver(t.Context(), p, batchOf("a/1 b/1 a/2 b/2 c/1 b/3"))
			assert.Equal(t, "a/1 b/1 a/2 c/1", idsOf(calls))
			require.Equal(t, c.want, outcomesOf(failures))
			require.ErrorIs(t, failures[0].Err, errNo)
			require.ErrorIs(t, failures[1].Err, ErrNotTried)
			require.NotErrorIs(t, failures[1].Err, errNo)
		})
	}
}

func TestFuncDeliversAll(t *testing.T) {
	var calls []Event
	require.NoError(t, Func(failing(&calls, nil)).Publish(t.Context(), batchOf("a/1 b/1 a/2")))
	assert.Equal(t, "a/1 b/1 a/2", idsOf(calls))
}

func TestFuncPassesOnTheWait(t *testing.T) {
	var calls []Event
	p := Func(failing(&calls, map[string]error{"a/1": RetryAfter(errNo, time.Minute), "b/1": RetryAfter(errNo, -1)}))
	failures := deliver(t.Context(), p, batchOf("a/1 b/1"))
	require.Len(t, failures, 2)
	assert.Equal(t, time.Minute, failures[0].RetryAfter)
	assert.Zero(t, failures[1].RetryAfter)
}

func TestFuncTriesNothingAfterItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var calls []Event
	p := Func(func(_ context.Context, e Event) error {
		calls = append(calls, e)
		if e.ID() == "b/1" {
			cancel()
			return errNo
		}
		return nil
	})
	failures := deliver(ctx, p, batchOf("a/1 b/1 c/1"))
	assert.Equal(t, "a/1 b/1", idsOf(calls))
	assert.Equal(t, "1:unknown 2:unknown", outcomesOf(failures), "b/1 was interrupted, c/1 not tried")
	require.ErrorIs(t, failures[1].Err, ErrNotTried)
	require.ErrorIs(t, failures[1].Err, context.Canceled)
}

func TestFuncBelievesADefiniteAnswerAfterItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := Func(func(context.Context, Event) error { cancel(); return Permanent(errNo) })
	assert.Equal(t, "0:permanent", outcomesOf(deliver(ctx, p, batchOf("a/1"))))
}

func TestMarkingNoErrorIsNoError(t *testing.T) {
	require.NoError(t, Permanent(nil))
	require.NoError(t, RetryAfter(nil, time.Second))
	require.NoError(t, Unknown(nil))
}

func TestNoFunctionIsNoPublisher(t *testing.T) {
	assert.Nil(t, Func(nil))
	assert.Nil(t, Concurrent(1, nil))
	assert.Nil(t, Props(Func(nil)))
	assert.Nil(t, Props(nil))
}
