package crash_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

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
	os.Exit(m.Run())
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
	acks   []crash.Ack
	failed error
	read   chan struct{} // closed when stdout has ended
}

func startWorker(t *testing.T, job crash.Job) *worker {
	t.Helper()
	encoded, err := json.Marshal(job)
	require.NoError(t, err)
	binary, err := os.Executable()
	require.NoError(t, err)
	w := &worker{cmd: exec.Command(binary), read: make(chan struct{})}
	w.cmd.Env = append(os.Environ(), jobEnv+"="+string(encoded))
	w.cmd.Stderr = &w.stderr
	stdout, err := w.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, w.cmd.Start())
	t.Cleanup(func() { _ = w.cmd.Process.Kill() })
	go func() {
		defer close(w.read)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			ack, err := crash.ParseAck(lines.Text())
			if err != nil {
				w.failed = err
				continue
			}
			w.acks = append(w.acks, ack)
		}
	}()
	return w
}

// kill kills the worker with SIGKILL, and returns the writes that it had acknowledged. A worker that has ended by
// itself fails the test.
func (w *worker) kill(t *testing.T) []crash.Ack {
	t.Helper()
	require.NoError(t, w.cmd.Process.Kill(), "it has ended before: %s", &w.stderr)
	<-w.read
	_ = w.cmd.Wait()
	require.Equal(t, -1, w.cmd.ProcessState.ExitCode(), "it has ended by itself: %s", &w.stderr)
	w.wasSound(t)
	return w.acks
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
