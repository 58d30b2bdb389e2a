package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
)

// Webhook is a [publisher.Publisher] that posts events to a URL. It is safe for concurrent use.
type Webhook struct {
	target   *url.URL
	address  string // target as it may be shown: without credentials, query and fragment
	settings settings
	client   *http.Client
	batches  publisher.Publisher
}

// New returns a Webhook for an absolute http or https URL. A user and password in the URL are sent as basic
// authentication. An error names what is wrong with the URL, or the option.
func New(rawURL string, opts ...Option) (*Webhook, error) {
	target, err := parseTarget(rawURL)
	if err != nil {
		return nil, err
	}
	s := settings{timeout: DefaultTimeout, concurrency: DefaultConcurrency, header: http.Header{}}
	for _, opt := range opts {
		if err := opt(&s); err != nil {
			return nil, fmt.Errorf("webhook: %w", err)
		}
	}
	if s.transport == nil {
		s.transport = newTransport(s.concurrency)
	}
	w := &Webhook{
		target:   target,
		address:  (&url.URL{Scheme: target.Scheme, Host: target.Host, Path: target.Path}).String(),
		settings: s,
		client: &http.Client{
			Transport: s.transport,
			// A redirect would take the event, and the credentials, where nobody has configured them to go.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	w.batches = publisher.Concurrent(s.concurrency, w.post)
	return w, nil
}

func parseTarget(rawURL string) (*url.URL, error) {
	target, err := url.Parse(rawURL)
	var parse *url.Error
	switch {
	case errors.As(err, &parse):
		// Without the URL itself, which may hold a password.
		return nil, fmt.Errorf("webhook: the URL cannot be parsed: %w", parse.Err)
	case err != nil:
		return nil, fmt.Errorf("webhook: the URL cannot be parsed: %w", err)
	case target.Scheme != "http" && target.Scheme != "https":
		return nil, fmt.Errorf("webhook: the URL's scheme is %q, it must be http or https", target.Scheme)
	case target.Hostname() == "":
		return nil, fmt.Errorf("webhook: the URL has no host, as https://example.com/hook has")
	}
	return target, nil
}

func newTransport(concurrency int) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	// All requests go to one host: the default of 2 idle connections would close and reopen the others each time.
	t.MaxIdleConns, t.MaxIdleConnsPerHost = concurrency, concurrency
	t.MaxResponseHeaderBytes = maxHeader
	return t
}

// Publish posts each event of the batch: those of one persistence id one after another, those of different ids at
// the same time. The answer decides:
//
//   - 2xx: delivered.
//   - 408, 425, 429, 5xx: retried; with 429 and 503, not before the time in Retry-After (at most one hour).
//   - 3xx: retried. Redirects are not followed; somebody has to configure the new URL.
//   - any other 4xx, such as 400, 404 or 422: rejected for good, so that the outbox gives up on the event.
//   - no answer, or none that is final, such as 101: retried if no connection could be made, else unknown, because the
//     event may have arrived.
func (w *Webhook) Publish(ctx context.Context, events []publisher.Event) error {
	return w.batches.Publish(ctx, events)
}

// Close closes idle connections. It is called after the outbox has stopped; it ends no request that still runs.
func (w *Webhook) Close() { w.client.CloseIdleConnections() }

// post delivers one event.
func (w *Webhook) post(ctx context.Context, e publisher.Event) error {
	ctx, cancel := context.WithTimeout(ctx, w.settings.timeout)
	defer cancel()
	request, err := w.request(ctx, &e)
	if err != nil {
		return publisher.Permanent(fmt.Errorf("event %q cannot be sent over HTTP: %w", e.ID(), err))
	}
	response, err := w.client.Do(request)
	if err != nil {
		return w.noAnswer(err)
	}
	defer response.Body.Close()
	return w.verdict(response, time.Now(), cancel)
}
