package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
)

const (
	// maxBody is how much of an answer is read, in bytes, so that its connection can be used again. A longer
	// answer costs its connection.
	maxBody = 4 << 10
	// maxBodyWait is how long that much is waited for: the status has decided already.
	maxBodyWait = 250 * time.Millisecond
	// maxExcerpt is how much of that an error quotes, and of the status line.
	maxExcerpt = 200
	// maxHeader bounds an answer's headers, in bytes. The default of net/http, 10 MiB, is too much for every concurrent
	// request.
	maxHeader = 64 << 10
	// maxRetryAfter bounds what a receiver may ask for: a mistake there must not stop an id for a year.
	maxRetryAfter = time.Hour
)

// verdict reads an answer. giveUp ends the request, and with it a body that does not come.
func (w *Webhook) verdict(r *http.Response, now time.Time, giveUp context.CancelFunc) error {
	if r.StatusCode < 200 {
		// No answer in the sense of HTTP, so that it says nothing about the event. It has no body either: what a read
		// finds after a 101 is another protocol, and no context ends the wait for it.
		return publisher.Unknown(fmt.Errorf("POST %s: %s: that is no final answer", w.address, status(r)))
	}
	waiting := time.AfterFunc(maxBodyWait, giveUp)
	body, _ := io.ReadAll(io.LimitReader(r.Body, maxBody)) // the status alone decides
	waiting.Stop()
	if r.StatusCode < 300 {
		return nil
	}
	err := fmt.Errorf("POST %s: %s%s", w.address, status(r), excerpt(body))
	switch code := r.StatusCode; {
	case code >= 300 && code < 400:
		return publisher.RetryAfter(fmt.Errorf("%w: redirects are not followed: configure the new URL", err), 0)
	case code == http.StatusTooManyRequests, code == http.StatusServiceUnavailable:
		return publisher.RetryAfter(err, retryAfter(r.Header.Get("Retry-After"), now))
	case code >= 500, code == http.StatusRequestTimeout, code == http.StatusTooEarly:
		return publisher.RetryAfter(err, 0)
	default:
		return publisher.Permanent(err)
	}
}

// status is the beginning of the status line, without the version.
func status(r *http.Response) string { return r.Status[:min(len(r.Status), maxExcerpt)] }

// excerpt quotes the beginning of an answer.
func excerpt(body []byte) string {
	switch {
	case len(body) == 0:
		return ""
	case len(body) > maxExcerpt:
		return fmt.Sprintf(": %q…", body[:maxExcerpt])
	default:
		return fmt.Sprintf(": %q", body)
	}
}

// retryAfter reads a Retry-After header: seconds, or a date. It is 0 for none, the past and nonsense.
func retryAfter(value string, now time.Time) time.Duration {
	var wait time.Duration
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
		wait = time.Duration(min(max(seconds, 0), int64(maxRetryAfter/time.Second))) * time.Second
	} else if date, err := http.ParseTime(value); err == nil {
		wait = date.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}

// noAnswer reads the error of a request that was not answered.
func (w *Webhook) noAnswer(err error) error {
	// url.Error repeats the URL with its query.
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	err = fmt.Errorf("POST %s: %w", w.address, err)
	// Without a connection nothing was sent.
	if op := (*net.OpError)(nil); errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect") {
		return publisher.RetryAfter(err, 0)
	}
	return publisher.Unknown(err)
}
