package subscribers_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/internal/subscribers"
)

func TestEachIsCalledUntilItIsCancelled(t *testing.T) {
	var (
		set  subscribers.Set
		a, b int
	)
	set.Notify()
	cancel := set.Add(func() { a++ })
	defer set.Add(func() { b++ })()
	set.Notify()
	cancel()
	cancel()
	set.Notify()
	require.Equal(t, []int{1, 2}, []int{a, b})
}

// Whoever cancels may free what the function uses. A cancel that does not wait is found by the race detector.
func TestCancelWaitsForACallUnderWay(t *testing.T) {
	var (
		set    subscribers.Set
		called = make(chan struct{})
		freed  bool
	)
	cancel := set.Add(func() {
		close(called)
		if freed {
			panic("called after cancel")
		}
	})
	notified := make(chan struct{})
	go func() { set.Notify(); close(notified) }()
	<-called
	cancel()
	freed = true
	<-notified
	require.True(t, freed)
}
