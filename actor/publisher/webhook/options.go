package webhook

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher/webhook/signature"
)

// Defaults of the options.
const (
	// DefaultTimeout bounds one request, from connecting to the end of the answer.
	DefaultTimeout = 10 * time.Second
	// DefaultConcurrency is the number of requests at the same time, of a webhook with one destination.
	DefaultConcurrency = 32
	// DefaultRouterConcurrency is the same for one with many: most of its requests wait for somebody else.
	DefaultRouterConcurrency = 256
	// DefaultDestinationConcurrency is how many of them one destination may have.
	DefaultDestinationConcurrency = 8
)

// MaxExcerpt is how many bytes of an answer [WithExcerpt] may show.
const MaxExcerpt = 256

// Mode is how an event is laid out in a request: the content mode of CloudEvents' HTTP binding.
type Mode int

const (
	// Binary has the event's data as the body, as it is, and the rest in headers.
	Binary Mode = iota + 1
	// Structured has all of the event in the body, as JSON, so that a signature covers all of it.
	Structured
)

// Option configures a [Webhook]; see [New] and [NewRouter].
type Option func(*settings) error

type settings struct {
	router bool // set by NewRouter, before the options

	timeout        time.Duration
	concurrency    int
	perDestination int
	mode           Mode   // 0: see defaultMode
	source         string // "": /outbox/<name>
	header         http.Header
	secrets        []signature.Secret
	token          TokenFunc
	transport      http.RoundTripper
	tls            *tls.Config
	filter         func(netip.AddrPort) error
	httpsOnly      bool
	verdict        func(Answer) error
	excerpt        int
	now            func() time.Time
}

func newSettings(router bool, opts []Option) (*settings, error) {
	s := &settings{
		router: router, timeout: DefaultTimeout, concurrency: DefaultConcurrency, perDestination: DefaultDestinationConcurrency,
		header: http.Header{}, now: time.Now,
	}
	if router {
		s.concurrency = DefaultRouterConcurrency
	}
	for _, opt := range opts {
		if opt == nil {
			return nil, errors.New("an option is nil")
		}
		if err := opt(s); err != nil {
			return nil, err
		}
	}
	if s.transport != nil && (s.tls != nil || s.filter != nil) {
		return nil, errors.New("WithTransport: with a transport of yours, WithTLSConfig and WithAddressFilter have nothing to configure")
	}
	if router && s.perDestination >= s.concurrency {
		return nil, fmt.Errorf("WithDestinationConcurrency(%d): it must be less than the requests in all (WithConcurrency), which are %d: "+
			"one destination could stop the others", s.perDestination, s.concurrency)
	}
	if s.mode == 0 {
		s.mode = Binary
		if router || len(s.secrets) > 0 {
			s.mode = Structured
		}
	}
	if s.transport == nil {
		perHost := s.concurrency
		if router {
			perHost = s.perDestination
		}
		s.transport = newTransport(s, perHost)
	}
	return s, nil
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

// WithConcurrency sets how many requests are made at the same time, over all batches and destinations; at least 1. The
// default is [DefaultConcurrency], and with [NewRouter] [DefaultRouterConcurrency].
func WithConcurrency(n int) Option {
	return func(s *settings) error {
		if n < 1 {
			return fmt.Errorf("WithConcurrency(%d): it must be at least 1", n)
		}
		s.concurrency = n
		return nil
	}
}

// WithDestinationConcurrency sets how many requests are made at the same time to one destination of a [NewRouter]; at
// least 1. The default is [DefaultDestinationConcurrency]. As many destinations as fit into [WithConcurrency] may begin
// to hang at the same time before others wait for them.
func WithDestinationConcurrency(n int) Option {
	return func(s *settings) error {
		switch {
		case n < 1:
			return fmt.Errorf("WithDestinationConcurrency(%d): it must be at least 1", n)
		case !s.router:
			return errors.New("WithDestinationConcurrency: New has one destination: use WithConcurrency")
		}
		s.perDestination = n
		return nil
	}
}

// WithMode sets the content mode. The default is [Binary], and [Structured] for a webhook with secrets or made by
// [NewRouter]: in binary mode a signature does not cover what travels in headers, such as the event's type.
func WithMode(m Mode) Option {
	return func(s *settings) error {
		if m != Binary && m != Structured {
			return fmt.Errorf("WithMode(%d): it must be Binary or Structured", m)
		}
		s.mode = m
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

// WithHeader adds a header to every request. Those that the event, the signature or the transfer sets are refused, and
// with [NewRouter], which has many receivers, those that hold a credential.
func WithHeader(name, value string) Option {
	return func(s *settings) error {
		if s.router && isCredential(http.CanonicalHeaderKey(name)) {
			return fmt.Errorf("WithHeader(%q): every destination would be sent this credential: put it into the Destination", name)
		}
		if err := addHeader(s.header, name, value); err != nil {
			return fmt.Errorf("WithHeader: %w", err)
		}
		return nil
	}
}

// WithVerdict changes what becomes of an event that was answered; see [Answer].
func WithVerdict(f func(Answer) error) Option {
	return func(s *settings) error {
		if f == nil {
			return errors.New("WithVerdict: the function is nil")
		}
		s.verdict = f
		return nil
	}
}

// WithExcerpt quotes the first n bytes of an answer's body in errors, if it is text: at most [MaxExcerpt], and whatever
// does not print is replaced. The default is 0, nothing at all: errors end up in logs and in the outbox's
// status, and a receiver may repeat in its answer what it was sent, credentials included.
func WithExcerpt(n int) Option {
	return func(s *settings) error {
		if n < 0 || n > MaxExcerpt {
			return fmt.Errorf("WithExcerpt(%d): it must be 0 to %d", n, MaxExcerpt)
		}
		s.excerpt = n
		return nil
	}
}

// WithClock replaces time.Now, which gives the time of a signature, and that which a date in Retry-After is compared
// with.
func WithClock(now func() time.Time) Option {
	return func(s *settings) error {
		if now == nil {
			return errors.New("WithClock: the function is nil")
		}
		s.now = now
		return nil
	}
}

// WithTransport replaces the HTTP transport, for example for tracing. The default is a copy of http.DefaultTransport
// (HTTP/2 where the server has it, and the proxy that the environment names) that keeps one idle connection per concurrent
// request, and connects by itself, whatever the copied one does for that.
func WithTransport(t http.RoundTripper) Option {
	return func(s *settings) error {
		if t == nil {
			return errors.New("WithTransport: the transport is nil")
		}
		s.transport = t
		return nil
	}
}
