package outboxtest_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

func TestMain(m *testing.M) {
	// Whoever watches an actor that is gone makes a dead letter, which the framework counts in a goroutine for a second.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/asynkron/protoactor-go/actor.NewDeadLetter.NewThrottle.func4.1"))
}

var errDisk = errors.New("the disk is full")

// patience is how long a test waits for what must happen; what must happen takes milliseconds.
const patience = 20 * time.Second

func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, patience, time.Millisecond, what)
}

func event(id string, seq int64) query.Event {
	e := query.Event{PersistenceID: id, SequenceNumber: seq, Type: "test.v1.Happened", Data: fmt.Append(nil, seq)}
	copy(e.UID[:], e.ID())
	return e
}

// async calls fn in a goroutine and returns where its result will be.
func async(fn func() error) <-chan error {
	result := make(chan error, 1)
	go func() { result <- fn() }()
	return result
}

// next takes what must come soon.
func next[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		require.FailNow(t, "it did not come in time", what)
		panic("unreachable")
	}
}
