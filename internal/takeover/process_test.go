package takeover_test

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/internal/takeover"
)

// process is a member.
type process struct {
	job    takeover.Job
	cmd    *exec.Cmd
	stderr lockedBuffer
	read   chan struct{} // closed when its reports have ended

	orders  *json.Encoder
	ordered int // orders so far
	answers chan takeover.Answer

	mu      sync.Mutex
	reports []takeover.Report
}

// run starts a member, by a command that may come before it ("ip netns exec …").
func run(t *testing.T, job takeover.Job, before ...string) *process {
	t.Helper()
	encoded, err := json.Marshal(job)
	require.NoError(t, err)
	binary, err := os.Executable()
	require.NoError(t, err)
	line := slices.Concat(before, []string{binary})
	p := &process{job: job, cmd: exec.Command(line[0], line[1:]...), read: make(chan struct{}), answers: make(chan takeover.Answer, 1)}
	// With the race detector, each process would otherwise wait a second before it ends, and fail by the framework's races.
	p.cmd.Env = append(os.Environ(), jobEnv+"="+string(encoded), "GORACE=atexit_sleep_ms=10 exitcode=0")
	p.cmd.Stderr = &p.stderr
	stdin, err := p.cmd.StdinPipe()
	require.NoError(t, err)
	p.orders = json.NewEncoder(stdin)
	// Its stdout is not its own: the provider's HTTP server greets there.
	lines, reports, err := os.Pipe()
	require.NoError(t, err)
	p.cmd.ExtraFiles = []*os.File{reports} // 3, see reportsFile
	require.NoError(t, p.cmd.Start())
	require.NoError(t, reports.Close())
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.read
		for _, race := range p.stderr.races() {
			t.Errorf("member %s has a race of ours: %s", job.Member, race)
		}
		if t.Failed() {
			t.Logf("member %s: %s", job.Member, p.stderr.tail())
		}
	})
	go func() {
		defer close(p.read)
		defer func() { _ = lines.Close() }()
		for decoder := json.NewDecoder(lines); ; {
			var r takeover.Report
			if decoder.Decode(&r) != nil {
				return // its end, or a kill in the middle
			}
			if r.What == takeover.Answered {
				p.answers <- *r.Answer // which one waits for
				continue
			}
			p.mu.Lock()
			p.reports = append(p.reports, r)
			p.mu.Unlock()
		}
	}()
	return p
}

// address of the member in the cluster.
func (p *process) address() string { return net.JoinHostPort(p.job.Host, strconv.Itoa(p.job.Port)) }

// all returns what it has reported so far.
func (p *process) all() []takeover.Report {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]takeover.Report(nil), p.reports...)
}

// last is the last report of a kind.
func (p *process) last(what takeover.What) (r takeover.Report, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range slices.Backward(p.reports) {
		if r.What == what {
			return r, true
		}
	}
	return takeover.Report{}, false
}

// ask has it carry out a command, and returns the answer.
func (p *process) ask(t *testing.T, command takeover.Command) takeover.Answer {
	t.Helper()
	p.ordered++
	require.NoError(t, p.orders.Encode(takeover.Order{Number: p.ordered, Command: command}))
	deadline := time.After(patience)
	for {
		select {
		case answer := <-p.answers:
			if answer.Number == p.ordered {
				return answer
			}
		case <-p.read:
			require.FailNow(t, "it has ended: "+p.stderr.tail())
		case <-deadline:
			require.FailNow(t, "it does not answer: "+string(command))
		}
	}
}

func (p *process) kill(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Kill(), "it has ended before: %s", p.stderr.tail())
	<-p.read
	_ = p.cmd.Wait()
	require.Equal(t, -1, p.cmd.ProcessState.ExitCode(), "it has ended by itself: %s", p.stderr.tail())
}

func (p *process) suspend(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGSTOP))
}

func (p *process) goOn(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGCONT))
}

// leave has it leave in good order, and waits for its end.
func (p *process) leave(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { _, ok := p.last(takeover.Started); return ok }, patience, time.Millisecond, "it starts")
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-p.read:
	case <-time.After(patience):
		require.FailNow(t, "it does not leave: "+p.stderr.tail())
	}
	require.NoError(t, p.cmd.Wait(), "%s", p.stderr.tail())
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// racing is a frame that the race detector has seen accessing memory: the first one of a stack.
var racing = regexp.MustCompile(`(?m)^(?:Read|Write|Previous read|Previous write|Previous atomic \w+) at .*:\n +(\S+)`)

// races are what the race detector has reported of our own code. The framework's cluster is not free of races.
func (b *lockedBuffer) races() (ours []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for report := range strings.SplitSeq(b.buf.String(), "==================") {
		for _, frame := range racing.FindAllStringSubmatch(report, -1) {
			if strings.Contains(frame[1], "protoactor-outbox") {
				ours = append(ours, report)
				break
			}
		}
	}
	return ours
}

func (b *lockedBuffer) tail() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := b.buf.Bytes()
	return string(text[max(0, len(text)-8000):])
}
