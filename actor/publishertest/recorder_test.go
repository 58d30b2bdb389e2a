package publishertest

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// recorder is a testing.TB for one case that is expected to fail.
type recorder struct {
	testing.TB // whatever is not below

	mu       sync.Mutex
	texts    []string
	failed   bool
	cleanups []func()
}

// watch runs a case and returns what it has to say, "" if it passes.
func watch(t *testing.T, c testCase, h Harness) string {
	r := &recorder{TB: t}
	r.apart(func() { c.on(r, h) })
	for len(r.cleanups) > 0 {
		last := r.cleanups[len(r.cleanups)-1]
		r.cleanups = r.cleanups[:len(r.cleanups)-1]
		r.apart(last)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.texts, "\n")
}

// apart runs fn where it can be ended by FailNow.
func (r *recorder) apart(fn func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	<-done
}

func (r *recorder) fail(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = true
	r.texts = append(r.texts, text)
}

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

func (r *recorder) Cleanup(fn func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, fn)
}

func (r *recorder) Errorf(format string, args ...any) { r.fail(fmt.Sprintf(format, args...)) }
func (r *recorder) Fatalf(format string, args ...any) { r.Errorf(format, args...); r.FailNow() }
func (r *recorder) Fatal(args ...any)                 { r.fail(fmt.Sprint(args...)); r.FailNow() }
func (r *recorder) Skip(...any)                       { runtime.Goexit() }
func (r *recorder) FailNow()                          { runtime.Goexit() }
func (r *recorder) Helper()                           {}

func TestTheRecorderIsLikeATest(t *testing.T) {
	var steps []string
	text := watch(t, testCase{run: func(t testing.TB, _ *subject) {
		t.Cleanup(func() { steps = append(steps, "first"); t.Errorf("in cleanup") })
		t.Cleanup(func() { steps = append(steps, "last"); t.FailNow() })
		t.Errorf("an %s", "error")
		if t.Failed() {
			t.Fatal("the end")
		}
		steps = append(steps, "never")
	}}, of(never))
	if want := []string{"last", "first"}; !slices.Equal(steps, want) {
		t.Errorf("steps: %q", steps)
	}
	if want := "an error\nthe end\nin cleanup"; text != want {
		t.Errorf("text: %q", text)
	}
}
