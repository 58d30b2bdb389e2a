package webhook

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher/webhook/signature"
)

// WithSecrets signs every request, as Standard Webhooks says, once with each secret: during a rotation there are two.
// With [NewRouter] each [Destination] has its own.
func WithSecrets(secrets ...signature.Secret) Option {
	return func(s *settings) error {
		switch {
		case s.router:
			return errors.New("WithSecrets: customers must not share a secret: put it into the Destination")
		case len(secrets) == 0:
			return errors.New("WithSecrets: there is no secret")
		case slices.ContainsFunc(secrets, signature.Secret.IsZero):
			return errors.New("WithSecrets: a secret is the zero value: make it with signature.ParseSecret")
		}
		s.secrets = slices.Clone(secrets)
		return nil
	}
}

// WithBearerToken sends a token that does not change, in the Authorization header. With [NewRouter] each [Destination]
// has its own.
func WithBearerToken(token string) Option {
	return func(s *settings) error {
		if err := checkToken(token); err != nil {
			return fmt.Errorf("WithBearerToken: %w", err)
		}
		return s.setToken("WithBearerToken", StaticToken(token))
	}
}

// WithTokenFunc sends the token that the function returns, in the Authorization header. With [NewRouter] each
// [Destination] has its own.
func WithTokenFunc(f TokenFunc) Option {
	return func(s *settings) error {
		if f == nil {
			return errors.New("WithTokenFunc: the function is nil")
		}
		return s.setToken("WithTokenFunc", f)
	}
}

func (s *settings) setToken(option string, f TokenFunc) error {
	switch {
	case s.router:
		return fmt.Errorf("%s: every destination would be sent this credential: put it into the Destination", option)
	case s.token != nil:
		return fmt.Errorf("%s: there is a bearer token already", option)
	}
	s.token = f
	return nil
}

// WithTLSConfig sets client certificates, the authorities that are trusted (RootCAs), the least version, the server's
// name. It is copied. HTTP/2 stays possible unless NextProtos says otherwise.
func WithTLSConfig(c *tls.Config) Option {
	return func(s *settings) error {
		if err := checkTLS(c); err != nil {
			return fmt.Errorf("WithTLSConfig: %w", err)
		}
		s.tls = c // newTransport copies it
		return nil
	}
}

// WithAddressFilter has the filter decide about every connection, once the host's name has been looked up: no request is
// made to an address for which it returns an error. URLs that customers may give need [PublicOnly], or they lead to
// the hosts of your own network. It is called concurrently. A proxy is not used then: it would look up the name itself.
func WithAddressFilter(filter func(netip.AddrPort) error) Option {
	return func(s *settings) error {
		if filter == nil {
			return errors.New("WithAddressFilter: the filter is nil")
		}
		s.filter = filter
		return nil
	}
}

// WithHTTPSOnly refuses URLs that are not https.
func WithHTTPSOnly() Option {
	return func(s *settings) error {
		s.httpsOnly = true
		return nil
	}
}
