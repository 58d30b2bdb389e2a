package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestASecondRunFindsEverythingDone(t *testing.T) {
	data := t.TempDir()
	first := quickstart(t, nil, "-data", data)
	first.ends(t, 0)
	require.Equal(t, []string{"3,999", "3,999"}, first.row(t, "events persisted"))
	require.Equal(t, []string{"3,999", "3,999"}, first.row(t, "events received"))
	require.Equal(t, []string{"0", "0"}, first.row(t, "duplicates"))
	require.Contains(t, first.stdout.String(), "All 3,999 events of 520 orders were received, in order")
	require.Contains(t, first.stderr.String(), "line 1333: the JSON object is cut off")

	second := quickstart(t, nil, "-data", data)
	second.ends(t, 0)
	require.Equal(t, []string{"3,999"}, second.row(t, "had before"))
	require.Equal(t, []string{"0", "3,999"}, second.row(t, "events persisted"))
	require.Equal(t, []string{"0", "3,999"}, second.row(t, "events received"))
	require.Contains(t, second.stdout.String(), "Everything was done already")

	anew := quickstart(t, strings.NewReader(`{"order":"o-1","command":"place"}`), "-data", data, "-reset", "-input", "-")
	anew.ends(t, 0)
	require.Equal(t, []string{"1", "1"}, anew.row(t, "events persisted"))
	require.Equal(t, []string{"1", "1"}, anew.row(t, "events received"))
}

func TestItGoesOnAfterBeingKilledAtAnyMoment(t *testing.T) {
	random, data := draws(t), t.TempDir()
	lines := slices.Collect(strings.Lines(sample))
	const kills = 8
	var ends []int // of the receipt log, after each run
	for n := range kills {
		commands, input, err := os.Pipe() // it stays open: no run ends by itself
		require.NoError(t, err)
		before := received(t, data)
		p := quickstart(t, commands, "-data", data, "-input", "-")
		require.NoError(t, commands.Close())
		writing := make(chan struct{})
		go func() {
			defer close(writing)
			// Every other run has something new to publish. The rest of what is written is lost with the process.
			_, _ = input.WriteString(strings.Join(lines[:len(lines)*(n/2+1)*2/kills], ""))
		}()
		// The moment of the kill.
		if n%2 == 0 {
			most := int64(len(lines)/(kills/2) - 100) // some lines are no commands
			enough := before + 1 + random.Int64N(most)
			await(t, "events are received", func() bool { return received(t, data) >= enough })
		} else {
			time.Sleep(time.Duration(random.Int64N(int64(600 * time.Millisecond))))
		}
		require.NoError(t, p.Process.Kill())
		require.NotErrorIs(t, p.Wait(), exec.ErrWaitDelay, "the receiver has outlived the kill")
		<-writing
		require.NoError(t, input.Close())
		ends = append(ends, len(receiptLines(t, data)))
	}
	p := quickstart(t, nil, "-data", data)
	p.ends(t, 0)
	require.Equal(t, "3,999", p.row(t, "events persisted")[1], "every command is persisted once")
	require.Equal(t, "0", p.row(t, "out of order")[1])
	require.Contains(t, p.stdout.String(), "were received, in order")
	again := receivedAgain(receiptLines(t, data), ends)
	t.Logf("received again after each kill: %v", again)
	for _, n := range again {
		require.LessOrEqual(t, n, maxUnsaved)
	}
	require.Positive(t, slices.Max(again), "no kill has hit a run that had published what it had not saved")
}

// receiptLines returns the lines of the receipt log, of which there is one at most.
func receiptLines(t *testing.T, data string) []string {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(data, receiptFile("*")))
	require.NoError(t, err)
	if len(logs) == 0 {
		return nil
	}
	require.Len(t, logs, 1)
	text, err := os.ReadFile(logs[0])
	require.NoError(t, err)
	return slices.Collect(strings.Lines(string(text)))
}

// receivedAgain counts, for each run that was killed, the events that it delivered and a later run delivered again.
func receivedAgain(receipts []string, ends []int) []int {
	again, latest := make([]int, len(ends)), map[string]int{} // the run that delivered it last
	run := 0
	for n, receipt := range receipts {
		for run < len(ends) && n >= ends[run] {
			run++
		}
		_, event, ok := strings.Cut(strings.TrimSpace(receipt), " ") // after the time
		if !ok {
			continue // a receiver's first line is blank
		}
		if before, repeated := latest[event]; repeated && before != run {
			again[before]++
		}
		latest[event] = run
	}
	return again
}

func TestALineThatIsNoCommandIsReportedAndPassedOver(t *testing.T) {
	input := filepath.Join(t.TempDir(), "commands.jsonl")
	require.NoError(t, os.WriteFile(input, []byte(strings.Join([]string{
		`{"order":"o-1","command":"place"}`,
		`{"order":"o-1","command":"dance"}`,
		``,
		`{"order":"o-1","command":"add","item":"tea","price_cents":250}`,
		`not JSON`,
		`{"order":"o-1","command":"pay","amount_cents":250}`,
	}, "\n")), 0o600))

	p := quickstart(t, nil, "-data", t.TempDir(), "-input", input)
	p.ends(t, 0)
	require.Contains(t, p.stderr.String(), `line 2: "command" is "dance"`)
	require.Contains(t, p.stderr.String(), "line 5: invalid character")
	require.Equal(t, []string{"2"}, p.row(t, "lines passed over"))
	require.Equal(t, []string{"3", "3"}, p.row(t, "events received"))
	require.Equal(t, []string{"0", "0"}, p.row(t, "refusals"))
}

func TestCommandsComeFromStdin(t *testing.T) {
	p := quickstart(t, strings.NewReader(`{"order":"tea/1 ☕","command":"place"}`), "-data", t.TempDir(), "-input", "-")
	p.ends(t, 0)
	require.Equal(t, []string{"1", "1"}, p.row(t, "events received"))
}

// sink is somebody's HTTP receiver.
type sink struct {
	*httptest.Server
	mu       sync.Mutex
	ids      []string
	status   int
	received chan struct{}
	// answer, if it is not nil, is closed when requests may be answered; answerAll does it.
	answer    chan struct{}
	answerAll func()
}

func newSink(t *testing.T, status int) *sink {
	s := &sink{status: status}
	s.serve(t)
	return s
}

// newStuckSink takes requests and answers none of them before it is told to or the test ends.
func newStuckSink(t *testing.T) *sink {
	s := &sink{status: http.StatusOK, answer: make(chan struct{})}
	s.answerAll = sync.OnceFunc(func() { close(s.answer) })
	s.serve(t)
	t.Cleanup(s.answerAll) // before the server is closed, which waits
	return s
}

func (s *sink) serve(t *testing.T) {
	s.received = make(chan struct{}, 1000)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.ids = append(s.ids, r.Header.Get("Ce-Id"))
		s.mu.Unlock()
		s.received <- struct{}{}
		if s.answer != nil {
			<-s.answer
		}
		w.WriteHeader(s.status)
	}))
	t.Cleanup(s.Close)
}

// requests returns the ids of the events that were received so far.
func (s *sink) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ids)
}

func TestEventsGoToAURL(t *testing.T) {
	data, s := t.TempDir(), newSink(t, http.StatusOK)
	args := []string{"-data", data, "-input", "-", "-url", s.URL + "/hook?key=secret"}
	input := `{"order":"o-1","command":"place"}` + "\n" + `{"order":"o-1","command":"cancel"}`

	p := quickstart(t, strings.NewReader(input), args...)
	p.ends(t, 0)
	require.Equal(t, []string{"o-1/1", "o-1/2"}, s.ids)
	require.Contains(t, p.stdout.String(), "All 2 events of 1 orders were published")
	require.NotContains(t, p.stdout.String(), "received")

	p = quickstart(t, strings.NewReader(input), args...)
	p.ends(t, 0)
	require.Len(t, s.ids, 2)
	require.Contains(t, p.stdout.String(), "Everything was done already")

	t.Log("another destination gets everything, too")
	p = quickstart(t, nil, "-data", data, "-input", os.DevNull)
	p.ends(t, 0)
	require.Equal(t, []string{"2", "2"}, p.row(t, "events received"))
}

func TestAnEventThatIsRejectedForGoodIsParked(t *testing.T) {
	s := newSink(t, http.StatusUnprocessableEntity)
	p := quickstart(t, strings.NewReader(`{"order":"o-1","command":"place"}`),
		"-data", t.TempDir(), "-input", "-", "-url", s.URL)
	p.ends(t, 1)
	require.Equal(t, []string{"1"}, p.row(t, "events parked"))
	require.Contains(t, p.stdout.String(), "1 events were given up on, such as o-1/1: POST "+s.URL+": 422")
}

func TestTwoRunsDoNotShareAFolder(t *testing.T) {
	data := t.TempDir()
	unlock, err := lockFolder(data)
	require.NoError(t, err)
	p := quickstart(t, nil, "-data", data)
	p.ends(t, 1)
	require.Contains(t, p.stderr.String(), "another run is at work in")

	require.NoError(t, unlock())
	p = quickstart(t, nil, "-data", data, "-input", os.DevNull)
	p.ends(t, 0)
}

func TestAMistakeInTheArgumentsIsExplained(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"-h"}, 0, "Usage: quickstart"},
		{[]string{"-speed", "9"}, 2, "flag provided but not defined: -speed"},
		{[]string{"commands.jsonl"}, 2, `"commands.jsonl" is not a flag`},
		{[]string{"-input", "missing.jsonl"}, 1, "open missing.jsonl"},
		{[]string{"-url", "example.com"}, 1, "must be http or https"},
	} {
		p := quickstart(t, nil, append([]string{"-data", t.TempDir()}, c.args...)...)
		p.ends(t, c.code)
		require.Contains(t, p.stdout.String()+p.stderr.String(), c.says)
	}
}
