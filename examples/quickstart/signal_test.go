//go:build unix

package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/stretchr/testify/require"
)

// exists reports whether there is such a file.
func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

func TestASignalStopsInGoodOrder(t *testing.T) {
	data, s := t.TempDir(), newSink(t, http.StatusOK)
	commands, input, err := os.Pipe() // it stays open: there might be more commands
	require.NoError(t, err)
	defer input.Close()
	p := quickstart(t, commands, "-data", data, "-input", "-", "-url", s.URL)
	for n := range 10 {
		_, err := fmt.Fprintf(input, `{"order":"o-%d","command":"place"}`+"\n", n)
		require.NoError(t, err)
	}
	for range 10 {
		<-s.received
	}
	require.NoError(t, p.Process.Signal(os.Interrupt))
	p.ends(t, 1)
	require.Contains(t, p.stdout.String(), "stopped by a signal: not all commands were taken; run again to go on")
	require.Equal(t, []string{"10", "10"}, p.row(t, "events persisted"))

	p = quickstart(t, nil, "-data", data, "-input", os.DevNull, "-url", s.URL)
	p.ends(t, 0)
	require.Len(t, s.ids, 10, "the offsets were saved: nothing is sent again")
}

// In contrast to kill -9, a signal never causes a duplicate, at whatever moment it comes.
func TestASignalAtAnyMomentCausesNoDuplicates(t *testing.T) {
	random, data := draws(t), t.TempDir()
	lock := filepath.Join(data, lockFile)
	for n, s := range []os.Signal{syscall.SIGTERM, os.Interrupt, syscall.SIGHUP, syscall.SIGTERM} {
		require.NoError(t, os.RemoveAll(lock))
		before := received(t, data)
		p := quickstart(t, nil, "-data", data)
		await(t, "it begins", func() bool { return exists(lock) })
		if n%2 == 0 {
			await(t, "something is received", func() bool { return received(t, data) > before })
		}
		time.Sleep(time.Duration(random.Int64N(int64(400 * time.Millisecond)))) // the moment of the signal
		require.NoError(t, p.Process.Signal(s))
		_ = p.Wait()
		require.True(t, p.ProcessState.Exited(), "the signal has ended it the hard way: %v", p.ProcessState)
		p.checkStopped(t)
	}

	p := quickstart(t, nil, "-data", data, "-input", os.DevNull)
	p.ends(t, 0)
	require.NotEqual(t, "0", p.row(t, "events received")[1])
	require.Equal(t, p.row(t, "events persisted")[1], p.row(t, "events received")[1])
	require.Equal(t, "0", p.row(t, "duplicates")[1])
	require.Equal(t, "0", p.row(t, "out of order")[1])
	t.Logf("%s events", p.row(t, "events received")[1])
}

// checkStopped checks what a process says that was stopped by a signal.
func (p *process) checkStopped(t *testing.T) {
	t.Helper()
	summary, errors := p.stdout.String(), p.stderr.String()
	require.NotContains(t, errors, "DATA RACE")
	switch {
	case p.ProcessState.ExitCode() == 0: // the signal came when everything was done
		require.Contains(t, summary, "in order")
		return
	case summary == "":
		require.Contains(t, errors, "stopped by a signal before it had begun; run again")
		return
	}
	require.Contains(t, summary, "stopped by a signal", errors)
	require.NotContains(t, summary, "was not drained")
	require.Equal(t, "0", p.row(t, "duplicates")[1])
	left := number(t, p.row(t, "events persisted")[1]) - number(t, p.row(t, "events received")[1])
	if left > 0 {
		require.Contains(t, summary, humanize.Comma(int64(left))+" events are still to be published: run again")
	} else {
		require.NotContains(t, summary, "still to be published")
	}
}

func TestASecondSignalEndsItAtOnce(t *testing.T) {
	data, s := t.TempDir(), newStuckSink(t)
	p := quickstart(t, strings.NewReader(`{"order":"o-1","command":"place"}`),
		"-data", data, "-input", "-", "-drain", "1m", "-url", s.URL)
	<-s.received
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	await(t, "it says so", func() bool { return strings.Contains(p.stderr.String(), "another signal ends it at once") })
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	_ = p.Wait()
	status, ok := p.ProcessState.Sys().(syscall.WaitStatus)
	require.True(t, ok)
	require.Equal(t, syscall.SIGTERM, status.Signal(), "%v: %s", p.ProcessState, &p.stderr)
	require.Empty(t, p.stdout.String())
}

func TestASignalIsNotHeldUpByAReceiverThatHangs(t *testing.T) {
	data, s := t.TempDir(), newStuckSink(t)
	p := quickstart(t, strings.NewReader(`{"order":"o-1","command":"place"}`),
		"-data", data, "-input", "-", "-drain", "100ms", "-url", s.URL)
	<-s.received
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	p.ends(t, 1)
	require.Contains(t, p.stdout.String(), "the outbox was not drained")
	require.Contains(t, p.stdout.String(), "1 events are still to be published: run again")
}

func TestAHangupIsIgnoredUnderNohup(t *testing.T) {
	data, s := t.TempDir(), newSink(t, http.StatusOK)
	commands, input, err := os.Pipe()
	require.NoError(t, err)
	p := launch(t, commands, "sh", "-c", `trap "" HUP; exec "$@"`, "sh", binary(t), "-data", data, "-input", "-", "-url", s.URL)
	place := func(order string) {
		_, err := fmt.Fprintf(input, `{"order":%q,"command":"place"}`+"\n", order)
		require.NoError(t, err)
		<-s.received
	}
	place("o-1")
	require.NoError(t, p.Process.Signal(syscall.SIGHUP))
	place("o-2")
	place("o-3")
	require.NoError(t, input.Close())
	p.ends(t, 0)
	require.NotContains(t, p.stderr.String(), "stopping")
}

func TestBeingSuspendedDoesNoHarm(t *testing.T) {
	random, data, s := draws(t), t.TempDir(), newStuckSink(t)
	commands, input, err := os.Pipe()
	require.NoError(t, err)
	defer input.Close()
	const orders = 200
	place := func(from, to int) {
		for n := from; n < to; n++ {
			_, err := fmt.Fprintf(input, `{"order":"o-%d","command":"place"}`+"\n", n)
			require.NoError(t, err)
		}
	}
	p := quickstart(t, commands, "-data", data, "-input", "-", "-url", s.URL)
	place(0, orders/2)
	<-s.received
	time.Sleep(time.Duration(random.Int64N(int64(100 * time.Millisecond)))) // the moment of the signal
	p.suspend(t)
	t.Logf("suspended with %d requests in the air and none answered", len(s.requests()))
	s.answerAll()
	place(orders/2, orders)
	time.Sleep(2 * time.Second) // for so long it is suspended
	require.Less(t, len(s.requests()), orders, "something is left to do")
	require.NoError(t, p.Process.Signal(syscall.SIGCONT))
	require.NoError(t, input.Close())
	p.ends(t, 0)

	requests := s.requests()
	require.Len(t, requests, orders, "nothing is lost, nothing is sent again")
	slices.Sort(requests)
	require.Len(t, slices.Compact(requests), orders)
}

// suspend returns when the process does nothing any more.
func (p *process) suspend(t *testing.T) {
	t.Helper()
	require.NoError(t, p.Process.Signal(syscall.SIGSTOP))
	var status syscall.WaitStatus
	_, err := syscall.Wait4(p.Process.Pid, &status, syscall.WUNTRACED, nil)
	require.NoError(t, err)
	require.True(t, status.Stopped(), "%v", status)
}
