package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
)

const (
	// maxBody is how much of an answer is read, in bytes, so that its connection can be used again. A longer
	// answer costs its connection.
	maxBody = 4 << 10
	// maxBodyWait is how long that much is waited for: the status has decided already.
	maxBodyWait = 250 * time.Millisecond
	// maxRetryAfter bounds what a receiver may ask for: a mistake there must not stop an id for a year.
	maxRetryAfter = time.Hour
)

// Answer is what a receiver has said about an event, as a function given to [WithVerdict] sees it. The function is
// called concurrently, for every final answer, once per event and attempt, and returns what the webhook then
// reports: Err, to leave it as it is, nil for an event that counts as delivered, [publisher.Permanent] or
// [publisher.RetryAfter]. Any other error leaves the event to be sent again. What it does besides, such as to note
// that a customer's URL is gone, must be quick.
type Answer struct {
	// Destination is the name that the [NameFunc] gave; "" for a webhook with one URL.
	Destination string
	// Event is the event that was sent. It must not be modified.
	Event publisher.Event
	// Status is the HTTP status, 200 or above.
	Status int
	// Header is the answer's, as the receiver sent it.
	Header http.Header
	// Err is what the webhook makes of it, nil for 2xx.
	Err error
}

// read says what a final answer means. giveUp ends the request, and with it a body that does not come.
func (w *Webhook) read(r *http.Response, to *target, giveUp context.CancelFunc) error {
	waiting := time.AfterFunc(maxBodyWait, giveUp)
	body, _ := io.ReadAll(io.LimitReader(r.Body, maxBody)) // the status alone decides
	waiting.Stop()
	code := r.StatusCode
	if code < 300 {
		return nil
	}
	err := fmt.Errorf("POST %s: %s%s", to.shown, status(code), w.excerpt(r.Header.Get("Content-Type"), body))
	if rejects(code) {
		return publisher.Permanent(err)
	}
	if advice := advice(code); advice != "" {
		err = fmt.Errorf("%w: %s", err, advice)
	}
	return publisher.RetryAfter(err, retryAfter(r.Header.Get("Retry-After"), w.settings.now()))
}

// rejects reports whether a status is about the event, which then never will be taken. Every other status of 300 and
// above is about the receiver, or who may talk to it: it would be the same for the next event.
func rejects(code int) bool {
	switch code {
	case http.StatusBadRequest, http.StatusNotAcceptable, http.StatusConflict, http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity, http.StatusRequestHeaderFieldsTooLarge:
		return true
	}
	return false
}

// advice says what somebody has to do about an answer that time alone does not mend.
func advice(code int) string {
	switch {
	case code < 400:
		return "redirects are not followed: configure the new URL"
	case code == http.StatusUnauthorized, code == http.StatusForbidden, code == http.StatusProxyAuthRequired:
		return "look at the credentials"
	case code == http.StatusNotFound, code == http.StatusMethodNotAllowed:
		return "look at the URL"
	case code == http.StatusGone:
		return "the receiver is gone for good: remove it"
	}
	return ""
}

// viaGateway reports whether a gateway says, in the receiver's place, that the receiver does not answer.
func viaGateway(code int) bool {
	return code == http.StatusBadGateway || code == http.StatusGatewayTimeout
}

// status is the code and its usual text: the text in the answer is the receiver's own.
func status(code int) string {
	return strings.TrimSuffix(strconv.Itoa(code)+" "+http.StatusText(code), " ")
}

// excerpt quotes the beginning of an answer, if that was asked for and it is text.
func (w *Webhook) excerpt(contentType string, body []byte) string {
	n := min(w.settings.excerpt, len(body))
	media, _, err := mime.ParseMediaType(contentType)
	if n == 0 || err != nil || !strings.HasPrefix(media, "text/") && !isJSON(media) {
		return ""
	}
	more := ""
	if n < len(body) {
		more = "…"
	}
	return fmt.Sprintf(": %q%s", printable(string(body[:n])), more)
}

// printable replaces what does not print, a character cut in two included.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
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

// errNotFinal is for an answer that is none in the sense of HTTP, so that it says nothing about the event.
var errNotFinal = errors.New("that is no final answer")
