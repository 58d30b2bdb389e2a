package main

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
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
	stdout, stderr output
}

// output is what a process writes. It can be read while the process writes on.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// quickstart starts a process. It is killed if it takes longer than any test should.
func quickstart(t *testing.T, stdin io.Reader, args ...string) *process {
	t.Helper()
	return launch(t, stdin, append([]string{binary(t)}, args...)...)
}

func binary(t *testing.T) string {
	t.Helper()
	name, err := os.Executable()
	require.NoError(t, err)
	return name
}

// launch starts a command that becomes quickstart.
func launch(t *testing.T, stdin io.Reader, command ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	p := &process{Cmd: exec.CommandContext(ctx, command[0], command[1:]...)}
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

// number reads a number of the summary.
func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.ReplaceAll(text, ",", ""))
	require.NoError(t, err)
	return n
}

func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	require.NoError(t, testkit.AwaitCondition(t.Context(), condition, time.Minute, "in vain: "+what))
}

// received is how much receivers of ours have received so far.
func received(t *testing.T, data string) (total int64) {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(data, receiptFile("*")))
	require.NoError(t, err)
	for _, log := range logs {
		r, err := readReceipts(log)
		require.NoError(t, err)
		total += r.total
	}
	return total
}

// seedEnv repeats what a test has drawn, not the operating system's timing.
const seedEnv = "OUTBOX_CRASH_SEED"

// draws returns a source of randomness whose seed is printed.
func draws(t *testing.T) *rand.Rand {
	t.Helper()
	seed := time.Now().UnixNano()
	if text := os.Getenv(seedEnv); text != "" {
		var err error
		seed, err = strconv.ParseInt(text, 10, 64)
		require.NoError(t, err, seedEnv)
	}
	t.Logf("%s=%d", seedEnv, seed)
	return rand.New(rand.NewPCG(uint64(seed), 0))
}
