package testkit_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
)

func TestAwaitConditionReturnsOnceItIsTrue(t *testing.T) {
	looks := 0
	require.NoError(t, testkit.AwaitCondition(t.Context(), func() bool { looks++; return looks == 3 }, 0))
	assert.Equal(t, 3, looks)
}

func TestAwaitConditionLooksOnceEvenIfTheContextHasEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, testkit.AwaitCondition(ctx, func() bool { return true }, 0))
	require.ErrorIs(t, testkit.AwaitCondition(ctx, func() bool { return false }, 0), context.Canceled)
}

func TestAwaitConditionGivesUp(t *testing.T) {
	never := func() bool { return false }
	err := testkit.AwaitCondition(t.Context(), never, 5*time.Millisecond)
	require.EqualError(t, err, "the condition was not met within 5ms")
	err = testkit.AwaitCondition(t.Context(), never, 5*time.Millisecond, "the lane did not settle")
	require.EqualError(t, err, "the lane did not settle")
}
