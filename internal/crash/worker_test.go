package crash_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/protoactor-contrib/protoactor-outbox/internal/crash"
)

// jobEnv makes the test binary a worker. So workers are built as the test is, with the race detector too.
const jobEnv = "OUTBOX_CRASH_JOB"

func TestMain(m *testing.M) {
	if job := os.Getenv(jobEnv); job != "" {
		if err := work(job); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func work(encoded string) error {
	var job crash.Job
	if err := json.Unmarshal([]byte(encoded), &job); err != nil {
		return err
	}
	return crash.Work(context.Background(), job, os.Stdout)
}

// worker is a worker process.
type worker struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer
	read   chan struct{} // closed when stdout has ended

	mu     sync.Mutex
	acks   []crash.Ack
	steps  []crash.Step
	failed error
	news   chan struct{} // has room for one: there are new reports
}

func startWorker(t *testing.T, job crash.Job) *worker {
	t.Helper()
	encoded, err := json.Marshal(job)
	require.NoError(t, err)
	binary, err := os.Executable()
	require.NoError(t, err)
	w := &worker{cmd: exec.Command(binary), read: make(chan struct{}), news: make(chan struct{}, 1)}
	// With the race detector, each process would otherwise wait a second before it ends.
	w.cmd.Env = append(os.Environ(), jobEnv+"="+string(encoded), "GORACE=atexit_sleep_ms=10")
	w.cmd.Stderr = &w.stderr
	stdout, err := w.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, w.cmd.Start())
	t.Cleanup(func() { _ = w.cmd.Process.Kill() })
	go func() {
		defer close(w.read)
		for reports := json.NewDecoder(stdout); w.hear(reports); {
		}
	}()
	return w
}

// hear reads one report; false if there are no more.
func (w *worker) hear(reports *json.Decoder) bool {
	var r crash.Report
	err := reports.Decode(&r)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case errors.Is(err, io.EOF):
		return false
	case err != nil:
		w.failed = err
		return false
	case r.Ack != nil:
		w.acks = append(w.acks, *r.Ack)
	case r.Step != nil:
		w.steps = append(w.steps, *r.Step)
	}
	select {
	case w.news <- struct{}{}:
	default:
	}
	return true
}

// patience is how long a worker may take to come anywhere.
const patience = 30 * time.Second

// comesTo waits until the worker has come to a place for the nth time after another; after "", its start.
func (w *worker) comesTo(t *testing.T, place crash.Place, nth int, after crash.Place) {
	t.Helper()
	w.until(t, fmt.Sprintf("come to %q for the %d. time", place, nth), func() bool {
		times := 0
		for _, s := range w.steps {
			switch s.Place {
			case after:
				times = 0
			case place:
				times++
			}
		}
		return times >= nth
	})
}

// acknowledges waits for a write that is acknowledged from now on.
func (w *worker) acknowledges(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	before := len(w.acks)
	w.mu.Unlock()
	w.until(t, "write", func() bool { return len(w.acks) > before })
}

// times is how often the worker has come to a place so far.
func (w *worker) times(place crash.Place) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return times(w.steps, place)
}

// underway is what the worker is in the middle of.
func (w *worker) underway() underway {
	w.mu.Lock()
	defer w.mu.Unlock()
	return underway{
		appends: unended(w.steps, crash.AppendBegins, crash.Appended, crash.AppendFailed),
		saves:   unended(w.steps, crash.SaveBegins, crash.Saved, crash.SaveFailed),
	}
}

// until waits for a condition on what the worker has reported, which is evaluated under the lock.
func (w *worker) until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for {
		w.mu.Lock()
		met := condition()
		w.mu.Unlock()
		if met {
			return
		}
		w.within(t, w.news, what)
	}
}

// within waits, not forever, for something that the worker does.
func (w *worker) within(t *testing.T, happens <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-happens:
	case <-w.read:
		t.Fatalf("it has ended before it could %s: %s", what, w.end())
	case <-time.After(patience):
		w.kill(t)
		t.Fatalf("it did not %s within %v; its last steps: %v; its stderr: %s", what, patience, w.steps[max(0, len(w.steps)-20):], &w.stderr)
	}
}

// end is what a worker has to say that has ended.
func (w *worker) end() string {
	err := w.cmd.Wait()
	return fmt.Sprintf("%v: %s", err, &w.stderr)
}

// kill kills the worker with SIGKILL, and returns what it had reported. A worker that has ended by itself fails the
// test.
func (w *worker) kill(t *testing.T) ([]crash.Ack, []crash.Step) {
	t.Helper()
	require.NoError(t, w.cmd.Process.Kill(), "it has ended before: %s", &w.stderr)
	return w.killed(t)
}

// killed is kill for a worker that the signal was sent to.
func (w *worker) killed(t *testing.T) ([]crash.Ack, []crash.Step) {
	t.Helper()
	<-w.read
	_ = w.cmd.Wait()
	require.Equal(t, -1, w.cmd.ProcessState.ExitCode(), "it has ended by itself: %s", &w.stderr)
	w.wasSound(t)
	return w.acks, w.steps
}

// finish waits for a worker that ends by itself.
func (w *worker) finish(t *testing.T) {
	t.Helper()
	<-w.read
	require.NoError(t, w.cmd.Wait(), "%s", &w.stderr)
	require.Empty(t, w.acks)
	w.wasSound(t)
}

func (w *worker) wasSound(t *testing.T) {
	t.Helper()
	require.NoError(t, w.failed)
	for _, sign := range []string{"DATA RACE", "panic", "fatal error"} {
		require.NotContains(t, w.stderr.String(), sign)
	}
}
