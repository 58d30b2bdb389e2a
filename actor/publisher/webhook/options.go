package webhook

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// Defaults of the options.
const (
	// DefaultTimeout bounds one request, from connecting to the end of the answer.
	DefaultTimeout = 10 * time.Second
	// DefaultConcurrency is the number of requests at the same time.
	DefaultConcurrency = 32
)

// Option configures a [Webhook]; see [New].
type Option func(*settings) error

type settings struct {
	timeout     time.Duration
	concurrency int
	source      string // "": /outbox/<name>
	header      http.Header
	transport   http.RoundTripper
}

// WithTimeout bounds one request; it must be positive. The default is [DefaultTimeout]. It should be well below the
// outbox's publish timeout, which bounds a whole batch.
func WithTimeout(d time.Duration) Option {
	return func(s *settings) error {
		if d <= 0 {
			return fmt.Errorf("WithTimeout(%v): it must be positive", d)
		}
		s.timeout = d
		return nil
	}
}

// WithConcurrency sets how many requests are made at the same time, over all batches; at least 1. The default is
// [DefaultConcurrency].
func WithConcurrency(n int) Option {
	return func(s *settings) error {
		if n < 1 {
			return fmt.Errorf("WithConcurrency(%d): it must be at least 1", n)
		}
		s.concurrency = n
		return nil
	}
}

// WithSource sets ce-source, a URI reference such as "//shop.example.com/orders". The default is "/outbox/<name>",
// with the outbox's name escaped.
func WithSource(uri string) Option {
	return func(s *settings) error {
		if uri == "" {
			return errors.New("WithSource: the source is empty")
		}
		if _, err := url.Parse(uri); err != nil || strings.ContainsFunc(uri, notInURI) {
			return fmt.Errorf("WithSource(%q): it is not a URI reference", uri)
		}
		s.source = uri
		return nil
	}
}

// notInURI reports whether RFC 3986 has no place for the character; url.Parse lets some of them pass.
func notInURI(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"<>\\^`{|}", r) }

// WithHeader adds a header to every request, such as Authorization. Those that the event itself sets (ce-… and
// Content-Type) and Host are refused.
func WithHeader(name, value string) Option {
	return func(s *settings) error {
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		switch {
		case !httpguts.ValidHeaderFieldName(name):
			return fmt.Errorf("WithHeader: %q is no name of a header", name)
		case !httpguts.ValidHeaderFieldValue(value):
			// Without the value, which may be a secret.
			return fmt.Errorf("WithHeader(%q): the value has a character that a header cannot hold", name)
		case strings.HasPrefix(canonical, "Ce-"), canonical == "Content-Type", canonical == "Host":
			return fmt.Errorf("WithHeader(%q): this header is set by the webhook", name)
		}
		s.header[canonical] = append(s.header[canonical], value)
		return nil
	}
}

// WithTransport replaces the HTTP transport, for example for client certificates or tracing. The default is a copy
// of http.DefaultTransport that keeps one idle connection per concurrent request.
func WithTransport(t http.RoundTripper) Option {
	return func(s *settings) error {
		if t == nil {
			return errors.New("WithTransport: the transport is nil")
		}
		s.transport = t
		return nil
	}
}
