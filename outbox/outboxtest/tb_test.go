package outboxtest_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// fakeTB is a test that may fail without failing the test that runs it.
type fakeTB struct {
	testing.TB
	failures []string
	logs     []string
	cleanups []func()
	helped   bool
}

// try runs a test that is expected to fail, in a goroutine of its own, as the testing package does.
func try(t testing.TB, test func(tb testing.TB)) *fakeTB {
	t.Helper()
	tb := &fakeTB{TB: t}
	tb.run(test)
	return tb
}

func (f *fakeTB) run(test func(tb testing.TB)) {
	for _, part := range []func(){func() { test(f) }, f.cleanUp} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			part()
		}()
		<-done
	}
}

func (f *fakeTB) cleanUp() {
	for _, c := range slices.Backward(f.cleanups) {
		c()
	}
}

func (f *fakeTB) text() string { return strings.Join(f.failures, "\n") }

func (f *fakeTB) Helper()           { f.helped = true }
func (f *fakeTB) Failed() bool      { return len(f.failures) > 0 }
func (f *fakeTB) Cleanup(fn func()) { f.cleanups = append(f.cleanups, fn) }
func (f *fakeTB) Log(args ...any)   { f.logs = append(f.logs, fmt.Sprint(args...)) }
func (f *fakeTB) Logf(format string, args ...any) {
	f.logs = append(f.logs, fmt.Sprintf(format, args...))
}

func (f *fakeTB) Errorf(format string, args ...any) {
	f.failures = append(f.failures, fmt.Sprintf(format, args...))
}

func (f *fakeTB) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	runtime.Goexit()
}

// exampleTB stands in for the *testing.T that an example does not have.
type exampleTB struct{ fakeTB }

func newExampleTB() *exampleTB { return &exampleTB{} }

func (*exampleTB) Context() context.Context { return context.Background() }

func (*exampleTB) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func (*exampleTB) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
