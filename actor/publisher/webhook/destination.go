package webhook

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"unicode/utf8"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher/webhook/signature"
)

// maxName bounds the name of a destination, in bytes.
const maxName = 256

// Destination is one receiver, such as the URL that a customer has given.
type Destination struct {
	// URL is absolute, http or https. A user and password in it are sent as basic authentication.
	URL string
	// Secrets sign each request; none, and there is no signature. During a rotation there are two, the new one first.
	Secrets []signature.Secret
	// Token is the bearer token, nil for none.
	Token TokenFunc
	// Header is sent besides; it replaces headers of the same name given by [WithHeader].
	Header http.Header
}

// ErrIgnore is what a [LookupFunc] returns, or wraps, for a destination that wants no events: they go nowhere, and count
// as delivered.
var ErrIgnore = errors.New("the event is for nobody")

// NameFunc names the destination of an event, such as a customer's number in its metadata. It depends on the event
// alone, is called concurrently, and is cheap. A name is at most 256 bytes of UTF-8 and holds no secret: it is shown
// in logs and in the outbox's status.
type NameFunc func(e publisher.Event) string

// LookupFunc returns the destination of that name. It is called for every request, concurrently, and within the
// request's timeout, so it is as cheap as a look into a map or a cache. A change counts from the next request on.
//
// It returns [ErrIgnore] for events that go nowhere, and [publisher.Permanent] for those to be given up on (an outbox
// parks them). After any other error, and for a Destination that is not valid, the event is tried again later. It is
// asked for the name "" too, if there are events without one: what becomes of them is never decided silently.
type LookupFunc func(ctx context.Context, name string) (Destination, error)

// target is a destination that was checked, ready to be sent to.
type target struct {
	url     string
	shown   string // scheme and host: all of a URL that may be shown
	user    *url.Userinfo
	header  http.Header // read only
	secrets []signature.Secret
	token   TokenFunc
}

// resolve checks a destination. Its errors show no secret: not a path either, which for some receivers is one.
func (s *settings) resolve(d *Destination) (*target, error) {
	u, err := parseURL(d.URL)
	if err != nil {
		return nil, err
	}
	if s.httpsOnly && u.Scheme != "https" {
		return nil, fmt.Errorf("the URL's scheme is %q, it must be https (WithHTTPSOnly)", u.Scheme)
	}
	t := &target{
		url: d.URL, shown: u.Scheme + "://" + u.Host, user: u.User,
		header: s.header, secrets: d.Secrets, token: d.Token,
	}
	if len(d.Header) > 0 {
		own := http.Header{}
		for name, values := range d.Header {
			for _, value := range values {
				if err := addHeader(own, name, value); err != nil {
					return nil, err
				}
			}
		}
		t.header = maps.Clone(s.header)
		maps.Copy(t.header, own)
	}
	for _, secret := range d.Secrets {
		if secret.IsZero() {
			return nil, errors.New("a secret is the zero value: make it with signature.ParseSecret")
		}
	}
	authorizations := 0
	for _, there := range []bool{t.user != nil, t.token != nil, len(t.header["Authorization"]) > 0} {
		if there {
			authorizations++
		}
	}
	if authorizations > 1 {
		return nil, errors.New("there may be one of: a user in the URL, a bearer token, an Authorization header")
	}
	return t, nil
}

func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		// Without the parser's reason, which repeats a part of the URL.
		return nil, errors.New("the URL cannot be parsed")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("the URL's scheme must be http or https, as in https://example.com/hook")
	case u.Hostname() == "":
		return nil, errors.New("the URL has no host, as https://example.com/hook has")
	}
	return u, nil
}

func validName(name string) bool { return len(name) <= maxName && utf8.ValidString(name) }
