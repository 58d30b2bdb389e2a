package webhook

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

const (
	// maxHeader bounds an answer's headers, in bytes. The default of net/http, 10 MiB, is too much for every concurrent
	// request.
	maxHeader = 64 << 10
	// pingAfter is how long an HTTP/2 connection may be silent until it has to prove that it is alive. Without that,
	// all requests would go on over a dead one.
	pingAfter = 15 * time.Second
)

// newTransport makes the transport of a webhook that was not given one.
func newTransport(s *settings, perHost int) *http.Transport {
	t := baseTransport()
	// The default of 2 idle connections for each host would close and reopen the others each time.
	t.MaxIdleConns, t.MaxIdleConnsPerHost = s.concurrency, perHost
	t.MaxResponseHeaderBytes = maxHeader
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: pingAfter}
	if s.tls != nil {
		t.TLSClientConfig = s.tls.Clone()
	}
	dialer := &net.Dialer{
		// Below the request's: an attempt to connect that ends by itself says that nothing was sent.
		Timeout:   s.timeout / 2,
		KeepAlive: 30 * time.Second,
	}
	if s.filter != nil {
		// Where the name has been looked up already, so that it cannot come to mean another address in between.
		dialer.ControlContext = filtered(s.filter)
		// What a proxy connects to nobody here would see.
		t.Proxy = nil
	}
	t.DialContext = dialer.DialContext
	// The application may have set these for its own requests. They would go before the dialer, and past the filter.
	t.Dial, t.DialTLS, t.DialTLSContext = nil, nil, nil //nolint:staticcheck // deprecated, and used all the same
	return t
}

// baseTransport is a copy of Go's, or one like it if the application has put something else in its place.
func baseTransport() *http.Transport {
	if t, ok := http.DefaultTransport.(*http.Transport); ok {
		return t.Clone()
	}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		ForceAttemptHTTP2:     true,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
}

// filtered has the filter decide before a socket is connected.
func filtered(filter func(netip.AddrPort) error) func(context.Context, string, string, syscall.RawConn) error {
	return func(_ context.Context, _, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("connect to an address that is no IP address: %w", err)
		}
		return filter(to)
	}
}

// checkTLS reports what New can see to be wrong.
func checkTLS(c *tls.Config) error {
	switch {
	case c == nil:
		return fmt.Errorf("the configuration is nil")
	case c.MaxVersion != 0 && c.MinVersion > c.MaxVersion:
		return fmt.Errorf("the least version, %s, is above the greatest, %s", tls.VersionName(c.MinVersion), tls.VersionName(c.MaxVersion))
	}
	return nil
}
