package gate_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/internal/gate"
)

func TestAGateLetsInWhatACallStarts(t *testing.T) {
	var g gate.Gate
	require.True(t, g.Enter())
	closed := make(chan struct{})
	go func() { g.Close(); close(closed) }()
	require.NoError(t, testkit.AwaitCondition(t.Context(), g.Closed, 30*time.Second, "somebody waits to close"))
	require.False(t, g.Enter())
	g.EnterFromWithin()
	g.Leave()
	select {
	case <-closed:
		require.FailNow(t, "closed although one is in")
	default:
	}
	g.Leave()
	<-closed
}

func TestAGateIsClosedOnce(t *testing.T) {
	var g gate.Gate
	require.False(t, g.Closed())
	require.True(t, g.Close(), "nobody is in")
	require.False(t, g.Close())
	require.False(t, g.Enter())
}
