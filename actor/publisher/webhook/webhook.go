package webhook

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
)

// Webhook is a [publisher.Publisher] that posts events to a URL, or to one for each customer. It is safe for concurrent
// use.
type Webhook struct {
	settings *settings
	batches  publisher.Publisher

	only *target // of New

	// Of NewRouter.
	name   NameFunc
	lookup LookupFunc
	gates  *gates
}

// New returns a Webhook for an absolute http or https URL. A user and password in the URL are sent as basic
// authentication. An error names what is wrong with the URL, or the option.
func New(rawURL string, opts ...Option) (*Webhook, error) {
	s, err := newSettings(false, opts)
	if err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	only, err := s.resolve(&Destination{URL: rawURL, Secrets: s.secrets, Token: s.token})
	if err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	w := &Webhook{settings: s, only: only}
	w.batches = publisher.Concurrent(s.concurrency, w.post)
	return w, nil
}

// NewRouter returns a Webhook that posts each event to the destination that name and lookup say. They are kept apart, so
// that one that hangs or is dead slows no other: each has a bounded share of the requests, and after three in a row
// without an answer it is asked only now and then, with one event at a time; until it answers, its other events fail
// at once, to be tried again later. An outbox recognises the outage of a destination by itself.
//
// Events of one persistence id keep their order, also where they go to different destinations.
func NewRouter(name NameFunc, lookup LookupFunc, opts ...Option) (*Webhook, error) {
	if name == nil || lookup == nil {
		return nil, errors.New("webhook: NewRouter needs a function that names an event's destination, and one that looks it up")
	}
	s, err := newSettings(true, opts)
	if err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	w := &Webhook{settings: s, name: name, lookup: lookup, gates: newGates(s.concurrency, s.perDestination)}
	// The gates limit. Each id of a batch waits at its destination's.
	w.batches = publisher.Concurrent(math.MaxInt32, w.route)
	return w, nil
}

// Publish posts each event of the batch: those of one persistence id one after another, those of different ids at
// the same time. It returns when the last of them is answered, or has failed. The answer decides:
//
//   - 2xx: delivered.
//   - 400, 406, 409, 413, 415, 422, 431: the event is rejected for good, so that the outbox gives up on it.
//   - any other: retried, not before the time in Retry-After (at most one hour). It is no fault of the event's: a
//     credential that was revoked, a URL that has moved, a receiver that is busy or broken. Redirects are not followed.
//   - no answer, or none that is final, such as 101: retried if no connection could be made, else unknown, because the
//     event may have arrived.
//
// [WithVerdict] changes that.
func (w *Webhook) Publish(ctx context.Context, events []publisher.Event) error {
	return w.batches.Publish(context.WithValue(ctx, began{}, time.Now()), events)
}

// began is the key in a request's context for when its batch began.
type began struct{}

// Destination is the name of the event's destination; "" for a webhook with one URL. It makes a Webhook a
// [publisher.Destinations].
func (w *Webhook) Destination(e publisher.Event) string {
	if w.name == nil {
		return ""
	}
	if name := w.name(e); validName(name) {
		return name
	}
	return ""
}

// Close closes idle connections. It is called after the outbox has stopped; it ends no request that still runs.
func (w *Webhook) Close() {
	if t, ok := w.settings.transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// post delivers an event to the only destination.
func (w *Webhook) post(ctx context.Context, e publisher.Event) error {
	ctx, cancel := context.WithTimeout(ctx, w.settings.timeout)
	defer cancel()
	_, err := w.deliver(ctx, &e, "", w.only)
	return err
}

// route delivers an event to its destination, once that has a place for it.
func (w *Webhook) route(ctx context.Context, e publisher.Event) error {
	name := w.name(e)
	if !validName(name) {
		return publisher.Permanent(fmt.Errorf("event %q: the name of its destination has %d bytes, or is not UTF-8: it may have %d",
			e.ID(), len(name), maxName))
	}
	pass, err := w.gates.enter(ctx, name)
	if err != nil {
		return err
	}
	// Also after a panic of the application's functions.
	told := tellsNothing
	defer func() { w.gates.leave(pass, told, err) }()

	timeout := w.settings.timeout
	if pass.probe {
		timeout = min(timeout, pass.patience)
	}
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	start := time.Now()
	told, err = w.routeTo(bounded, &e, name)
	if told == hasNotAnswered && ctx.Err() != nil && !waited(ctx, start, timeout) {
		told = tellsNothing
	}
	return err
}

// waited reports whether a request was waited for, though the end of its batch has ended it: for nine tenths of its
// timeout, or of all the time that the batch had, if that was less. One that came late in its batch was not, and a slow
// receiver must not pass for a dead one.
func waited(ctx context.Context, start time.Time, timeout time.Duration) bool {
	end, hasEnd := ctx.Deadline()
	if !hasEnd || errors.Is(ctx.Err(), context.Canceled) {
		return false
	}
	if from, ok := ctx.Value(began{}).(time.Time); ok {
		timeout = min(timeout, end.Sub(from))
	}
	return time.Since(start) >= timeout*9/10
}

func (w *Webhook) routeTo(ctx context.Context, e *publisher.Event, name string) (conclusion, error) {
	d, err := w.lookup(ctx, name)
	if errors.Is(err, ErrIgnore) {
		return isNone, nil
	}
	var to *target
	if err == nil {
		to, err = w.settings.resolve(&d)
	}
	if err != nil {
		told := tellsNothing
		for _, f := range publisher.Failures(err, 1) {
			if f.Outcome == publisher.OutcomePermanent {
				told = isNone
			}
		}
		return told, fmt.Errorf("look up destination %q: %w", name, err)
	}
	told, err := w.deliver(ctx, e, name, to)
	if err != nil {
		err = fmt.Errorf("destination %q: %w", name, err)
	}
	return told, err
}

// deliver makes the request, and once more with another token if the first was refused.
func (w *Webhook) deliver(ctx context.Context, e *publisher.Event, name string, to *target) (conclusion, error) {
	token := ""
	if to.token != nil {
		var err error
		if token, err = to.token.bearer(ctx, ""); err != nil {
			return tellsNothing, publisher.RetryAfter(fmt.Errorf("POST %s: get the bearer token: %w", to.shown, err), 0)
		}
	}
	r := w.attempt(ctx, e, to, token)
	if r.status == http.StatusUnauthorized && to.token != nil {
		other, err := to.token.bearer(ctx, token)
		switch {
		case err != nil:
			r.err = publisher.RetryAfter(fmt.Errorf("%w; get another bearer token: %w", r.err, err), 0)
		case other != token:
			r = w.attempt(ctx, e, to, other)
		}
	}
	if r.status != 0 && w.settings.verdict != nil {
		r.err = w.settings.verdict(Answer{Destination: name, Event: *e, Status: r.status, Header: r.header, Err: r.err})
	}
	return r.told, r.err
}

// result is what came of a request.
type result struct {
	status int // 0 without a final answer
	header http.Header
	told   conclusion
	err    error
}

// attempt makes one request.
func (w *Webhook) attempt(ctx context.Context, e *publisher.Event, to *target, token string) result {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	request, err := w.request(ctx, e, to, token)
	if err != nil {
		return result{err: publisher.Permanent(fmt.Errorf("event %q cannot be sent over HTTP: %w", e.ID(), err))}
	}
	// Not by way of http.Client, which follows redirects: one would take the event, and the credentials, where nobody has
	// configured them to go.
	response, err := w.settings.transport.RoundTrip(request)
	if err == nil && response == nil {
		err = errors.New("the transport returned neither an answer nor an error")
	}
	if err != nil {
		return result{told: hasNotAnswered, err: noAnswer(to, err)}
	}
	if response.Body == nil {
		response.Body = http.NoBody
	}
	defer response.Body.Close()
	code := response.StatusCode
	if code < http.StatusOK {
		// It has no body either: what a read finds after a 101 is another protocol, and no context ends the wait for it.
		return result{told: hasNotAnswered, err: publisher.Unknown(fmt.Errorf("POST %s: %s: %w", to.shown, status(code), errNotFinal))}
	}
	told := hasAnswered
	if viaGateway(code) {
		told = hasNotAnswered
	}
	return result{status: code, header: response.Header, told: told, err: w.read(response, to, cancel)}
}
