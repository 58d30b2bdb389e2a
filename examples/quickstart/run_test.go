package main

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
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
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	data := t.TempDir()
	const kills = 8
	for range kills {
		p := quickstart(t, nil, "-data", data)
		time.Sleep(time.Duration(random.Int64N(int64(600 * time.Millisecond)))) // the moment of the kill
		_ = p.Process.Kill()
		require.NotErrorIs(t, p.Wait(), exec.ErrWaitDelay, "the receiver has outlived the kill")
	}
	p := quickstart(t, nil, "-data", data)
	p.ends(t, 0)
	require.Equal(t, "3,999", p.row(t, "events persisted")[1], "every command is persisted once")
	require.Equal(t, "0", p.row(t, "out of order")[1])
	require.Contains(t, p.stdout.String(), "were received, in order")
	duplicates := number(t, p.row(t, "duplicates")[1])
	require.LessOrEqual(t, duplicates, kills*maxUnsaved)
	t.Logf("%d duplicates after %d kills", duplicates, kills)
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
	// answer, if it is not nil, is closed when requests may be answered.
	answer chan struct{}
}

func newSink(t *testing.T, status int) *sink {
	s := &sink{status: status}
	s.serve(t)
	return s
}

// newStuckSink takes requests and answers none of them before the test ends.
func newStuckSink(t *testing.T) *sink {
	s := &sink{status: http.StatusOK, answer: make(chan struct{})}
	s.serve(t)
	t.Cleanup(func() { close(s.answer) }) // before the server is closed, which waits
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
