package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// mainEnv makes the test binary be quickstart, so that tests start real processes, receivers included.
const mainEnv = "QUICKSTART_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(mainEnv) != "" {
		os.Exit(start())
	}
	os.Exit(m.Run())
}

// process is a quickstart that was started.
type process struct {
	*exec.Cmd
	stdout, stderr bytes.Buffer
}

// quickstart starts a process. It is killed if it takes longer than any test should.
func quickstart(t *testing.T, stdin io.Reader, args ...string) *process {
	t.Helper()
	binary, err := os.Executable()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	p := &process{Cmd: exec.CommandContext(ctx, binary, args...)}
	// With the race detector, each process would otherwise wait a second before it ends.
	p.Env = append(os.Environ(), mainEnv+"=1", "GORACE=atexit_sleep_ms=10")
	p.Stdin, p.Stdout, p.Stderr = stdin, &p.stdout, &p.stderr
	// The output is complete when the receiver has ended, too: after a kill, that is a moment later.
	p.WaitDelay = 10 * time.Second
	require.NoError(t, p.Start())
	return p
}

// ends waits for the process and requires its exit code.
func (p *process) ends(t *testing.T, code int) {
	t.Helper()
	_ = p.Wait()
	require.Equal(t, code, p.ProcessState.ExitCode(), "stdout:\n%s\nstderr:\n%s", &p.stdout, &p.stderr)
	require.NotContains(t, p.stderr.String(), "DATA RACE")
}

// row returns the numbers of a row of the summary.
func (p *process) row(t *testing.T, name string) []string {
	t.Helper()
	for line := range strings.Lines(p.stdout.String()) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), name+"  "); ok {
			return strings.Fields(rest)
		}
	}
	require.Failf(t, "no such row", "%q in\n%s", name, &p.stdout)
	return nil
}
