package webhook_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher/webhook"
)

// delivered stands for no failure beside the outcomes of one.
const delivered publisher.Outcome = -1

// outcomeOf says what becomes of an event that is answered with the status.
func outcomeOf(status int) publisher.Outcome {
	switch {
	case status >= 200 && status < 300:
		return delivered
	case status < 200:
		return publisher.OutcomeUnknown
	}
	switch status {
	case 400, 406, 409, 413, 415, 422, 431:
		return publisher.OutcomePermanent
	}
	return publisher.OutcomeRetry
}

// post sends one event; outcome is delivered if that did not fail.
func post(t *testing.T, hook *webhook.Webhook) (outcome publisher.Outcome, f publisher.Failure) {
	t.Helper()
	events := batchOf("a/1")
	f, failed := failures(t, within(t, hook, events), events)["a/1"]
	if !failed {
		return delivered, f
	}
	assert.GreaterOrEqual(t, f.RetryAfter, time.Duration(0))
	assert.LessOrEqual(t, f.RetryAfter, time.Hour)
	return f.Outcome, f
}

func FuzzAnswer(f *testing.F) {
	f.Add(200, "200 OK", "", []byte("thanks"))
	f.Add(503, "503 Service Unavailable", "120", []byte(nil))
	f.Add(429, "429 Too Many Requests", "Sat, 02 Jan 2027 03:04:05 GMT", []byte("\xff"))
	f.Add(429, "429", "-10000000000", []byte("\xff"))
	f.Add(422, "422 "+strings.Repeat("no", 1000), "7", bytes.Repeat([]byte("no"), 1000))
	f.Add(101, "101 Switching Protocols", "", []byte(nil))
	f.Add(0, "", "", []byte(nil))
	f.Add(-200, "", "", []byte(nil))
	f.Add(math.MaxInt, "", "soon", []byte(nil))
	f.Fuzz(func(t *testing.T, code int, status, retryAfter string, body []byte) {
		hook := hookToURL(t, "https://example.com/hook", webhook.WithExcerpt(webhook.MaxExcerpt),
			webhook.WithTransport(roundTrip(func(r *http.Request) (*http.Response, error) {
				return &http.Response{
					StatusCode: code, Status: status, Request: r, Header: http.Header{"Retry-After": {retryAfter}, "Content-Type": {"text/plain"}},
					Body: io.NopCloser(bytes.NewReader(body)),
				}, nil
			})))
		outcome, failure := post(t, hook)
		require.Equal(t, outcomeOf(code), outcome)
		if outcome == delivered {
			return
		}
		assert.Less(t, len(failure.Err.Error()), 1200, "the answer is not repeated whole")
		assert.True(t, utf8.ValidString(failure.Err.Error()))
		assert.NotContains(t, failure.Err.Error(), "\n")
		seconds, err := strconv.ParseInt(retryAfter, 10, 64)
		if outcome != publisher.OutcomeRetry || err == nil && seconds <= 0 {
			assert.Zero(t, failure.RetryAfter)
		} else if err == nil {
			assert.Equal(t, time.Duration(min(seconds, 3600))*time.Second, failure.RetryAfter)
		}
	})
}

// answering returns the URL of a server that answers every request with the same bytes. Then it closes the connection,
// or leaves it open and is silent.
func answering(t *testing.T, answer []byte, open bool) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				defer context.AfterFunc(t.Context(), func() { conn.Close() })()
				request, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, request.Body)
				_, _ = conn.Write(answer)
				if open {
					_, _ = io.Copy(io.Discard, conn) // until the other side closes it
				}
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		serving.Wait()
	})
	return "http://" + listener.Addr().String()
}

// final is the status of an answer, 0 if it is not complete up to the end of its headers.
func final(answer []byte) int {
	for reader := bufio.NewReader(bytes.NewReader(answer)); ; {
		response, err := http.ReadResponse(reader, &http.Request{Method: http.MethodPost}) //nolint:bodyclose // closing it would only read on
		switch {
		case err != nil:
			return 0
		case response.StatusCode < 100 || response.StatusCode >= 200 || response.StatusCode == http.StatusSwitchingProtocols:
			return response.StatusCode
		}
	}
}

// Whatever the bytes that a server sends: an event counts as delivered, or as refused, only after a whole answer.
func FuzzServer(f *testing.F) {
	for _, answer := range []string{
		"",
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.0 204\n\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nearly end",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
		"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nno gzip",
		"HTTP/1.1 200 OK\r\nContent-Le",
		"HTTP/1.1 20",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\nHTTP/1.1 202 Accepted\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
		"HTTP/1.1 404 Not Found\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 404 Not Found\r\n\r\nno such hook",
		"HTTP/1.1 307 Temporary Redirect\r\nLocation: ftp://elsewhere\r\n\r\n",
		"HTTP/1.1 429 Too Many Requests\r\nRetry-After: -10000000000\r\n\r\n",
		"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 99999999999999999999\r\n\r\n",
		"HTTP/1.1 000 \r\n\r\n",
		"HTTP/1.1 999 No\r\n\r\n",
		"HTTP/1.1 +20 OK\r\n\r\n",
		"SSH-2.0-OpenSSH_9.6\r\n",
	} {
		f.Add([]byte(answer), false)
		f.Add([]byte(answer), true)
	}
	f.Fuzz(func(t *testing.T, answer []byte, open bool) {
		if len(answer) > 32<<10 {
			t.Skip("the headers may be too long")
		}
		timeout := patience
		if open {
			timeout = 20 * time.Millisecond
		}
		hook := hookToURL(t, answering(t, answer, open), webhook.WithTimeout(timeout))
		outcome, _ := post(t, hook)
		if want := outcomeOf(final(answer)); !open || outcome != publisher.OutcomeUnknown { // it may have come too late
			assert.Equal(t, want, outcome)
		}
	})
}
