package webhook_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher/webhook"
)

// quiet is for servers whose clients misbehave on purpose.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// trusting is the TLS configuration of a client that trusts the server.
func trusting(server *httptest.Server) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}

// clientCertificate makes one that signs itself.
func clientCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "outbox"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestTLS(t *testing.T) {
	certificate := clientCertificate(t)
	parsed, err := x509.ParseCertificate(certificate.Certificate[0])
	require.NoError(t, err)
	clients := x509.NewCertPool()
	clients.AddCert(parsed)

	var protocol, subject string
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		protocol, subject = r.Proto, r.TLS.PeerCertificates[0].Subject.CommonName
	}))
	server.Config.ErrorLog = quiet()
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients, MinVersion: tls.VersionTLS13}
	server.StartTLS()
	defer server.Close()

	good := trusting(server)
	good.Certificates = []tls.Certificate{certificate}
	hook := hookToURL(t, server.URL, webhook.WithTLSConfig(good), webhook.WithHTTPSOnly())
	good.Certificates = nil // it was copied
	require.NoError(t, hook.Publish(t.Context(), batchOf("a/1")))
	assert.Equal(t, "HTTP/2.0", protocol)
	assert.Equal(t, "outbox", subject)

	for name, c := range map[string]struct {
		change  func(*tls.Config)
		outcome publisher.Outcome
	}{
		"an authority that is not trusted":  {func(c *tls.Config) { c.RootCAs = x509.NewCertPool() }, publisher.OutcomeRetry},
		"another name than the certificate": {func(c *tls.Config) { c.ServerName = "other.test" }, publisher.OutcomeRetry},
		"too old a version":                 {func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, publisher.OutcomeUnknown},
		"no certificate of the client's":    {func(c *tls.Config) { c.Certificates = nil }, publisher.OutcomeUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			bad := trusting(server)
			bad.Certificates = []tls.Certificate{certificate}
			c.change(bad)
			outcome, _ := post(t, hookToURL(t, server.URL, webhook.WithTLSConfig(bad)))
			assert.Equal(t, c.outcome, outcome)
		})
	}
}

// One connection carries all requests of an HTTP/2 server, at the same time.
func TestHTTP2RequestsShareAConnection(t *testing.T) {
	arrived, leave := make(chan string), make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		arrived <- r.RemoteAddr
		<-leave
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	hook := hookToURL(t, server.URL, webhook.WithTLSConfig(trusting(server)))
	require.NoError(t, publishWhile(t, hook, batchOf("z/1"), func() { <-arrived; leave <- struct{}{} }))
	peers := map[string]bool{}
	require.NoError(t, publishWhile(t, hook, batchOf("a/1 b/1 c/1 d/1"), func() {
		for range 4 {
			peers[<-arrived] = true
		}
		for range 4 {
			leave <- struct{}{}
		}
	}))
	assert.Len(t, peers, 1)
}

func publishWhile(t *testing.T, hook *webhook.Webhook, events []publisher.Event, during func()) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- hook.Publish(t.Context(), events) }()
	during()
	return <-done
}

func TestOnlyPublicAddresses(t *testing.T) {
	for address, public := range map[string]bool{
		"8.8.8.8": true, "1.1.1.1": true, "2606:4700:4700::1111": true, "::ffff:8.8.8.8": true, "64:ff9b::808:808": true,
		"172.15.255.255": true, "172.32.0.0": true, "100.63.255.255": true, "100.128.0.0": true, "198.17.255.255": true, "223.255.255.255": true,
		"127.0.0.1": false, "127.255.255.254": false, "::1": false, "::": false, "0.0.0.0": false, "0.1.2.3": false,
		"10.0.0.1": false, "172.16.0.1": false, "172.31.255.255": false, "192.168.1.1": false, "169.254.169.254": false,
		"100.64.0.1": false, "100.127.255.255": false, "192.0.0.1": false, "192.0.2.1": false, "198.18.0.1": false, "198.19.255.255": false,
		"198.51.100.1": false, "203.0.113.1": false, "224.0.0.1": false, "240.0.0.1": false, "255.255.255.255": false, "192.88.99.1": false,
		"fe80::1": false, "fe80::1%eth0": false, "fc00::1": false, "fd12::1": false, "fec0::1": false, "ff02::1": false,
		"2001:db8::1": false, "2001::1": false, "2002:7f00:1::": false, "3fff::1": false, "64:ff9b:1::1": false,
		"::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::127.0.0.1": false, "64:ff9b::7f00:1": false, "64:ff9b::a9fe:a9fe": false,
		"4000::1": false, "2606:4700:4700::1111%eth0": false,
	} {
		err := webhook.PublicOnly(netip.AddrPortFrom(netip.MustParseAddr(address), 443))
		assert.Equal(t, public, err == nil, address)
		if err != nil {
			assert.ErrorContains(t, err, netip.MustParseAddr(address).String())
		}
	}
	assert.Error(t, webhook.PublicOnly(netip.AddrPort{}))
}

func TestARefusedAddressIsNotConnectedTo(t *testing.T) {
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	byName := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	for _, url := range []string{server.URL, byName} {
		outcome, f := post(t, hookToURL(t, url, webhook.WithAddressFilter(webhook.PublicOnly)))
		assert.Equal(t, publisher.OutcomeRetry, outcome)
		assert.ErrorContains(t, f.Err, "is no public address")
	}
	assert.Zero(t, connections.Load())

	var asked []netip.AddrPort
	hook := hookToURL(t, server.URL, webhook.WithAddressFilter(func(a netip.AddrPort) error { asked = append(asked, a); return nil }))
	require.NoError(t, hook.Publish(t.Context(), batchOf("a/1")))
	assert.Equal(t, []netip.AddrPort{netip.MustParseAddrPort(strings.TrimPrefix(server.URL, "http://"))}, asked)
}

func TestATransportAndWhatItWouldHaveToObey(t *testing.T) {
	for _, opt := range []webhook.Option{webhook.WithTLSConfig(&tls.Config{MinVersion: tls.VersionTLS13}), webhook.WithAddressFilter(webhook.PublicOnly)} {
		_, err := webhook.New("https://example.com", opt, webhook.WithTransport(http.DefaultTransport))
		assert.ErrorContains(t, err, "WithTransport")
	}
}

// What net/http quotes of an answer that it cannot read is bounded, and printed as text.
func TestAnAnswerThatIsNoneIsNotRepeatedWhole(t *testing.T) {
	secrets := strings.Repeat("secret", 5000)
	for _, answer := range []string{
		"220-mail.example.com" + secrets + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\x1b[2J" + secrets + "\r\n\r\n",
	} {
		outcome, f := post(t, hookToURL(t, answering(t, []byte(answer), false)))
		assert.Equal(t, publisher.OutcomeUnknown, outcome)
		assert.ErrorContains(t, f.Err, "malformed")
		assert.Less(t, len(f.Err.Error()), 300)
		assert.NotContains(t, f.Err.Error(), "\x1b")
	}
}

func TestATransportsErrorIsPrintedAsText(t *testing.T) {
	errWire := errors.New("line\nbreak \x1b[2J" + strings.Repeat("€", 100))
	outcome, f := post(t, hookToURL(t, "https://example.com", webhook.WithTransport(roundTrip(func(*http.Request) (*http.Response, error) {
		return nil, errWire
	}))))
	assert.Equal(t, publisher.OutcomeUnknown, outcome)
	assert.ErrorIs(t, f.Err, errWire)
	assert.ErrorContains(t, f.Err, "POST https://example.com: line?break ?[2J€€")
	assert.True(t, utf8.ValidString(f.Err.Error()))

	outcome, f = post(t, hookToURL(t, "https://example.com", webhook.WithTransport(roundTrip(func(*http.Request) (*http.Response, error) {
		return nil, nil
	}))))
	assert.Equal(t, publisher.OutcomeUnknown, outcome)
	assert.ErrorContains(t, f.Err, "neither an answer nor an error")
}
