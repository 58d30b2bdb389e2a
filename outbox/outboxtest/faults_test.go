package outboxtest_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/outbox/outboxtest"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
)

// pings tells of n calls which of them failed.
func pings(t *testing.T, j outboxtest.Journal, n int) (pattern string) {
	t.Helper()
	for range n {
		if j.Ping(t.Context()) == nil {
			pattern += "."
		} else {
			pattern += "x"
		}
	}
	return pattern
}

func TestAFaultStrikesTheCallsThatItIsFor(t *testing.T) {
	for pattern, fault := range map[string]outboxtest.Fault{
		"xxxxxxxx": {Err: errDisk},
		"xxx.....": {Err: errDisk, Times: 3},
		"..xxxxxx": {Err: errDisk, After: 2},
		"..xxx...": {Err: errDisk, After: 2, Times: 3},
	} {
		faults := outboxtest.NewFaults(1)
		j := faults.Journal(newMemory(t))
		faults.Inject(outboxtest.Ping, fault)
		require.Equal(t, pattern, pings(t, j, 8), "%v", fault)
	}
}

func TestASeedStrikesTheSameCallsAgain(t *testing.T) {
	run := func(seed uint64, between func(outboxtest.Journal)) string {
		faults := outboxtest.NewFaults(seed)
		j := faults.Journal(newMemory(t))
		faults.Inject(outboxtest.Ping, outboxtest.Fault{Err: errDisk, Probability: 0.3})
		faults.Inject(outboxtest.Head, outboxtest.Fault{Err: errDisk, Probability: 0.5})
		var pattern string
		for range 200 {
			pattern += pings(t, j, 1)
			between(j)
		}
		return pattern
	}
	nothing := func(outboxtest.Journal) {}
	first := run(1, nothing)
	require.Equal(t, first, run(1, nothing))
	require.Equal(t, first, run(1, func(j outboxtest.Journal) { _, _ = j.Head(t.Context()) }), "whatever other operations do")
	require.NotEqual(t, first, run(2, nothing))
	struck := 0
	for _, c := range first {
		if c == 'x' {
			struck++
		}
	}
	require.InDelta(t, 60, struck, 25)
}

func TestTheFirstFaultThatCanStrikesACall(t *testing.T) {
	faults := outboxtest.NewFaults(1)
	j := faults.Journal(newMemory(t))
	errFirst, errSecond := fmt.Errorf("first"), fmt.Errorf("second")
	faults.Inject(outboxtest.Ping, outboxtest.Fault{Err: errFirst, After: 1, Times: 1})
	faults.Inject(outboxtest.Ping, outboxtest.Fault{Err: errSecond, Times: 2})
	for _, want := range []error{errSecond, errFirst, errSecond, nil} {
		require.Equal(t, want, j.Ping(t.Context()))
	}
	require.Equal(t, 3, faults.Struck(outboxtest.Ping))
	require.Zero(t, faults.Struck(outboxtest.Head))
}

func TestAHealedFaultStrikesNoMore(t *testing.T) {
	faults := outboxtest.NewFaults(1)
	j := faults.Journal(newMemory(t))
	heal := faults.Inject(outboxtest.Ping, outboxtest.Fault{Err: errDisk})
	faults.Inject(outboxtest.Head, outboxtest.Fault{Err: errDisk})
	require.Equal(t, "xx", pings(t, j, 2))
	heal()
	heal()
	require.Equal(t, "..", pings(t, j, 2))
	_, err := j.Head(t.Context())
	require.ErrorIs(t, err, errDisk, "the other one goes on")

	faults.Clear()
	_, err = j.Head(t.Context())
	require.NoError(t, err)
	faults.Inject(outboxtest.Ping, outboxtest.Fault{Err: errDisk, Times: 1})
	require.Equal(t, "x.", pings(t, j, 2), "a plan that was cleared takes new faults")
}

func TestACallThatHangs(t *testing.T) {
	for name, c := range map[string]struct {
		fault outboxtest.Fault
		end   func(heal, cancel func())
		want  error
		saved int64
	}{
		"ends with its context, without effect": {
			outboxtest.Fault{Hang: true}, func(_, cancel func()) { cancel() }, context.Canceled, 0,
		},
		"goes on when it is let go": {
			outboxtest.Fault{Hang: true}, func(heal, _ func()) { heal() }, nil, 1,
		},
		"fails when it is let go": {
			outboxtest.Fault{Hang: true, Err: errDisk}, func(heal, _ func()) { heal() }, errDisk, 0,
		},
		"takes effect and fails when it is let go": {
			outboxtest.Fault{Hang: true, Err: errDisk, Unheard: true}, func(heal, _ func()) { heal() }, errDisk, 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			faults := outboxtest.NewFaults(1)
			m := newMemory(t)
			j := faults.Journal(m)
			faults.Inject(outboxtest.Append, c.fault)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := async(func() error { return j.AppendEvent(ctx, event("a", 1)) })
			await(t, "it hangs", func() bool { return faults.Struck(outboxtest.Append) == 1 })
			require.Empty(t, done)
			c.end(faults.Clear, cancel)
			require.ErrorIs(t, next(t, "the answer", done), c.want)
			last, err := m.LastSequenceNumber(t.Context(), "a")
			require.NoError(t, err)
			require.Equal(t, c.saved, last)
		})
	}
}

func TestADelayLastsItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faults := outboxtest.NewFaults(1)
		j := faults.Journal(newMemory(t))
		faults.Inject(outboxtest.Ping, outboxtest.Fault{Delay: time.Minute})
		start := time.Now()
		require.NoError(t, j.Ping(t.Context()))
		require.Equal(t, time.Minute, time.Since(start))

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, j.Ping(ctx), context.DeadlineExceeded)
		require.Equal(t, time.Minute+time.Second, time.Since(start))
	})
}

func TestAPlanSaysWhatItDid(t *testing.T) {
	faults := outboxtest.NewFaults(42)
	j := faults.Journal(newMemory(t))
	faults.Inject(outboxtest.Ping, outboxtest.Fault{Err: errDisk, Times: 1})
	faults.Inject(outboxtest.Append, outboxtest.Fault{Panic: "boom", PersistenceID: "a", After: 1, Probability: 0.5})()
	pings(t, j, 3)
	require.Equal(t, `faults of seed 42:
  ping: 1 times, fail: the disk is full (struck 1 of 3 calls)
  append: of "a", after 1 calls, with probability 0.5, panic: boom (struck 0 of 0 calls, healed)`, faults.String())
}

func TestAFaultThatMeansNothingIsRefused(t *testing.T) {
	for _, c := range []struct {
		op    outboxtest.Operation
		fault outboxtest.Fault
		says  string
	}{
		{outboxtest.Save, outboxtest.Fault{Times: 3}, "does nothing"},
		{outboxtest.Save, outboxtest.Fault{Unheard: true, Delay: 1}, "neither"},
		{outboxtest.Save, outboxtest.Fault{Err: errDisk, Panic: 1}, "both"},
		{outboxtest.Save, outboxtest.Fault{Delay: 1, Hang: true}, "both"},
		{outboxtest.Save, outboxtest.Fault{Err: errDisk, After: -1}, "negative"},
		{outboxtest.Save, outboxtest.Fault{Err: errDisk, Probability: 1.1}, "Probability"},
		{outboxtest.Save, outboxtest.Fault{Err: errDisk, PersistenceID: "a"}, "no PersistenceID"},
		{outboxtest.ReadByID, outboxtest.Fault{Err: errDisk, Type: "T"}, "no event Type"},
		{outboxtest.Append, outboxtest.Fault{Err: errDisk, Event: 1}, "only Publish"},
		{outboxtest.Notify, outboxtest.Fault{Panic: 1}, "end the process"},
	} {
		err := refusal(t, func() { outboxtest.NewFaults(1).Inject(c.op, c.fault) })
		require.ErrorContains(t, err, c.says)
		require.ErrorContains(t, err, string(c.op))
	}
}

// refusal is what fn panics with.
func refusal(t *testing.T, fn func()) (err error) {
	t.Helper()
	defer func() {
		v := recover()
		require.NotNil(t, v, "it was accepted")
		err = v.(error)
	}()
	fn()
	return nil
}

func newMemory(t *testing.T) *memory.Journal {
	t.Helper()
	j := memory.New()
	t.Cleanup(func() { require.NoError(t, j.Close()) })
	return j
}
