package webhook_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher/webhook"
	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher/webhook/signature"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// batchOf makes events from what tests write as "a/1 b/1 a/2".
func batchOf(ids string) []publisher.Event {
	var events []publisher.Event
	for id := range strings.FieldsSeq(ids) {
		var e publisher.Event
		name, seq, _ := strings.Cut(id, "/")
		e.PersistenceID = name
		e.SequenceNumber, _ = strconv.ParseInt(seq, 10, 64)
		e.Type, e.ContentType, e.Data = "shop.v1.OrderPlaced", publisher.ContentTypeProtobuf, []byte(id)
		e.Time = time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)
		e.Outbox, e.Epoch = "shop", 3
		events = append(events, e)
	}
	return events
}

// hookTo returns a webhook to a server with the handler.
func hookTo(t *testing.T, handle http.HandlerFunc, opts ...webhook.Option) *webhook.Webhook {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	return hookToURL(t, server.URL+"/hook", opts...)
}

func hookToURL(t *testing.T, target string, opts ...webhook.Option) *webhook.Webhook {
	t.Helper()
	hook, err := webhook.New(target, opts...)
	require.NoError(t, err)
	t.Cleanup(hook.Close)
	return hook
}

// failures returns what Publish said went wrong, by event id.
func failures(t *testing.T, err error, events []publisher.Event) map[string]publisher.Failure {
	t.Helper()
	all := map[string]publisher.Failure{}
	if err == nil {
		return all
	}
	var batch *publisher.BatchError
	require.ErrorAs(t, err, &batch)
	for _, f := range batch.Failures {
		all[events[f.Index].ID()] = f
	}
	return all
}

func TestTheStatusDecides(t *testing.T) {
	const ok, retry, permanent = -1, publisher.OutcomeRetry, publisher.OutcomePermanent
	for status, want := range map[int]publisher.Outcome{
		200: ok, 201: ok, 202: ok, 204: ok, 299: ok,
		301: retry, 302: retry, 304: retry, 307: retry, 308: retry,
		401: retry, 402: retry, 403: retry, 404: retry, 405: retry, 407: retry, 410: retry, 411: retry, 451: retry,
		408: retry, 425: retry, 429: retry,
		500: retry, 501: retry, 502: retry, 503: retry, 504: retry, 599: retry,
		400: permanent, 406: permanent, 409: permanent, 413: permanent, 415: permanent, 422: permanent, 431: permanent,
	} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			hook := hookTo(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "7")
				w.WriteHeader(status)
			})
			events := batchOf("a/1")
			got := failures(t, hook.Publish(t.Context(), events), events)
			if want == ok {
				assert.Empty(t, got)
				return
			}
			f := got["a/1"]
			require.Error(t, f.Err)
			assert.Equal(t, want, f.Outcome)
			assert.ErrorContains(t, f.Err, strconv.Itoa(status))
			var wait time.Duration
			if want == retry {
				wait = 7 * time.Second
			}
			assert.Equal(t, wait, f.RetryAfter)
		})
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	hook := hookTo(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	}, webhook.WithHeader("Authorization", "Bearer secret"))
	events := batchOf("a/1")
	got := failures(t, hook.Publish(t.Context(), events), events)
	assert.Equal(t, publisher.OutcomeRetry, got["a/1"].Outcome)
	assert.ErrorContains(t, got["a/1"].Err, "redirects are not followed")
	assert.Zero(t, elsewhere.Load())
}

func TestAServersTextIsShownBoundedAndOnlyWhereAskedFor(t *testing.T) {
	const body = "field \"total\" is missing\x1b[31m\n and a secret after it"
	for name, c := range map[string]struct {
		contentType string
		opts        []webhook.Option
		want        string
	}{
		"by default":    {"text/plain", nil, "POST %s: 422 Unprocessable Entity"},
		"asked for":     {"text/plain; charset=utf-8", []webhook.Option{webhook.WithExcerpt(28)}, `POST %s: 422 Unprocessable Entity: "field \"total\" is missing?[31"…`},
		"JSON":          {"application/problem+json", []webhook.Option{webhook.WithExcerpt(5)}, `POST %s: 422 Unprocessable Entity: "field"…`},
		"whole":         {"text/plain", []webhook.Option{webhook.WithExcerpt(256)}, `POST %s: 422 Unprocessable Entity: "field \"total\" is missing?[31m? and a secret after it"`},
		"not text":      {"application/octet-stream", []webhook.Option{webhook.WithExcerpt(256)}, "POST %s: 422 Unprocessable Entity"},
		"text, it says": {"text", []webhook.Option{webhook.WithExcerpt(256)}, "POST %s: 422 Unprocessable Entity"},
	} {
		t.Run(name, func(t *testing.T) {
			var server string
			hook := hookTo(t, func(w http.ResponseWriter, r *http.Request) {
				server = "http://" + r.Host
				w.Header().Set("Content-Type", c.contentType)
				w.WriteHeader(http.StatusUnprocessableEntity)
				_, _ = io.WriteString(w, body)
			}, c.opts...)
			events := batchOf("a/1")
			f := failures(t, hook.Publish(t.Context(), events), events)["a/1"]
			assert.EqualError(t, f.Err, fmt.Sprintf(c.want, server))
		})
	}
}

func TestAVerdictOfTheApplications(t *testing.T) {
	var seen []webhook.Answer
	hook := hookTo(t, func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(r.Header.Get("Ce-Subject"))
		w.Header().Set("X-Reason", "because")
		w.WriteHeader(status)
	}, webhook.WithConcurrency(1), webhook.WithVerdict(func(a webhook.Answer) error {
		seen = append(seen, a)
		switch a.Status {
		case http.StatusConflict: // it has the event already
			return nil
		case http.StatusOK:
			return publisher.Permanent(errors.New("not what was agreed"))
		case http.StatusNotFound:
			return errors.New("a plain error")
		}
		return a.Err
	}))
	events := batchOf("409/1 200/1 404/1 500/1 202/1")
	got := failures(t, hook.Publish(t.Context(), events), events)
	require.Len(t, got, 3)
	assert.Equal(t, publisher.OutcomePermanent, got["200/1"].Outcome)
	assert.Equal(t, publisher.OutcomeRetry, got["404/1"].Outcome)
	assert.ErrorContains(t, got["500/1"].Err, "500 Internal Server Error")
	require.Len(t, seen, 5)
	assert.Equal(t, "409/1", seen[0].Event.ID())
	assert.Equal(t, "because", seen[0].Header.Get("X-Reason"))
	assert.Empty(t, seen[0].Destination)
	assert.NoError(t, seen[4].Err)
}

func TestOrderPerIDUnderConcurrencyAndFailure(t *testing.T) {
	const ids, each, concurrency = 20, 10, 8
	var mu sync.Mutex
	arrived := map[string][]string{}
	var now, most int
	full := make(chan struct{})
	hook := hookTo(t, func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("Ce-Id")
		mu.Lock()
		arrived[r.Header.Get("Ce-Subject")] = append(arrived[r.Header.Get("Ce-Subject")], id)
		now++
		if most = max(most, now); most == concurrency {
			select {
			case <-full:
			default:
				close(full)
			}
		}
		mu.Unlock()
		select {
		case <-full: // all slots were in use at once
		case <-r.Context().Done():
		}
		mu.Lock()
		now--
		mu.Unlock()
		// id-0, id-5, … fail at their fourth event.
		if strings.HasSuffix(id, "0/4") || strings.HasSuffix(id, "5/4") {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}, webhook.WithConcurrency(concurrency))

	var events []publisher.Event
	for seq := range each {
		for id := range ids {
			events = append(events, batchOf(fmt.Sprintf("id-%d/%d", id, seq+1))...)
		}
	}
	got := failures(t, hook.Publish(t.Context(), events), events)

	assert.Equal(t, concurrency, most)
	for id := range ids {
		name := fmt.Sprintf("id-%d", id)
		delivered := each
		if id%5 == 0 {
			delivered = 4
			assert.Equal(t, publisher.OutcomeRetry, got[name+"/4"].Outcome)
			for seq := 5; seq <= each; seq++ {
				f := got[fmt.Sprintf("%s/%d", name, seq)]
				assert.Equal(t, publisher.OutcomeUnknown, f.Outcome)
				assert.ErrorIs(t, f.Err, publisher.ErrNotTried)
			}
		}
		var want []string
		for seq := range delivered {
			want = append(want, fmt.Sprintf("%s/%d", name, seq+1))
		}
		assert.Equal(t, want, arrived[name])
	}
	assert.Len(t, got, ids/5*(each-3))
}

func TestATimeoutLeavesTheOutcomeOpen(t *testing.T) {
	hook := hookTo(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // without which the server does not notice that the client left
		<-r.Context().Done()
	}, webhook.WithTimeout(20*time.Millisecond))
	events := batchOf("a/1")
	got := failures(t, hook.Publish(t.Context(), events), events)
	assert.Equal(t, publisher.OutcomeUnknown, got["a/1"].Outcome)
	assert.ErrorIs(t, got["a/1"].Err, context.DeadlineExceeded)
}

// patience is how long a test waits for what must happen at once.
const patience = 20 * time.Second

// within calls Publish, which must return in time.
func within(t *testing.T, hook *webhook.Webhook, events []publisher.Event) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- hook.Publish(t.Context(), events) }()
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		t.Fatal("Publish hangs")
		return nil
	}
}

func TestTheRestOfAnAnswerIsNotWaitedForLong(t *testing.T) {
	for status, want := range map[string]publisher.Outcome{
		"200 OK": -1, "422 Unprocessable Entity": publisher.OutcomePermanent, "500 Internal Server Error": publisher.OutcomeRetry,
	} {
		t.Run(status, func(t *testing.T) {
			address := answering(t, []byte("HTTP/1.1 "+status+"\r\nContent-Length: 100\r\n\r\nonly the beginning"), true)
			events := batchOf("a/1")
			f, failed := failures(t, within(t, hookToURL(t, address, webhook.WithTimeout(time.Hour)), events), events)["a/1"]
			require.Equal(t, want != -1, failed)
			if failed {
				assert.Equal(t, want, f.Outcome)
			}
		})
	}
}

// Once a server has switched protocols, the connection is nobody's but the caller's: no timeout ends a read.
func TestASwitchOfProtocolsIsNoAnswer(t *testing.T) {
	address := answering(t, []byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"), true)
	events := batchOf("a/1")
	f := failures(t, within(t, hookToURL(t, address, webhook.WithTimeout(time.Second)), events), events)["a/1"]
	assert.Equal(t, publisher.OutcomeUnknown, f.Outcome)
	assert.ErrorContains(t, f.Err, "101 Switching Protocols")
}

func TestLongHeadersAreNotCollected(t *testing.T) {
	hook := hookTo(t, func(w http.ResponseWriter, _ *http.Request) {
		for i := range 2000 {
			w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("x", 100))
		}
	})
	events := batchOf("a/1")
	f := failures(t, hook.Publish(t.Context(), events), events)["a/1"]
	assert.Equal(t, publisher.OutcomeUnknown, f.Outcome)
	assert.ErrorContains(t, f.Err, "exceeded 65536 bytes")
}

func TestALostAnswerLeavesTheOutcomeOpen(t *testing.T) {
	hook := hookTo(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	events := batchOf("a/1")
	got := failures(t, hook.Publish(t.Context(), events), events)
	require.Error(t, got["a/1"].Err)
	assert.Equal(t, publisher.OutcomeUnknown, got["a/1"].Outcome)
}

func TestARefusedConnectionIsADefiniteNo(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())

	hook := hookToURL(t, "http://user:password@"+address+"/hook?token=secret")
	events := batchOf("a/1 b/1")
	got := failures(t, hook.Publish(t.Context(), events), events)
	require.Len(t, got, 2)
	for _, f := range got {
		assert.Equal(t, publisher.OutcomeRetry, f.Outcome)
		assert.ErrorContains(t, f.Err, "POST http://"+address+": ")
		assert.NotContains(t, f.Err.Error(), "hook", "some receivers have their secret in the path")
		assert.NotContains(t, f.Err.Error(), "secret")
		assert.NotContains(t, f.Err.Error(), "password")
	}

	// So is that of a proxy.
	proxy := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: address, User: url.UserPassword("user", "password")})}
	outcome, f := post(t, hookToURL(t, "https://example.com/", webhook.WithTransport(proxy)))
	assert.Equal(t, publisher.OutcomeRetry, outcome)
	assert.ErrorContains(t, f.Err, "proxyconnect")
	assert.NotContains(t, f.Err.Error(), "password")
}

func TestPublishEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	hook := hookTo(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		cancel()
		<-r.Context().Done()
	}, webhook.WithConcurrency(1))
	events := batchOf("a/1 b/1 a/2")
	got := failures(t, hook.Publish(ctx, events), events)
	require.Len(t, got, 3)
	for id, f := range got {
		assert.Equal(t, publisher.OutcomeUnknown, f.Outcome, id)
	}
	assert.ErrorIs(t, got["b/1"].Err, publisher.ErrNotTried)
}

func TestConnectionsAreUsedAgainAndLongAnswersAreNotRead(t *testing.T) {
	for name, c := range map[string]struct {
		body        string
		connections int32
	}{
		"short": {strings.Repeat("x", 4000), 1},
		"long":  {strings.Repeat("x", 1<<20), 3},
	} {
		t.Run(name, func(t *testing.T) {
			var connections atomic.Int32
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusUnprocessableEntity)
				_, _ = io.WriteString(w, c.body)
			}))
			server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
				if s == http.StateNew {
					connections.Add(1)
				}
			}
			server.Start()
			defer server.Close()
			hook := hookToURL(t, server.URL)
			for range 3 {
				events := batchOf("a/1")
				f := failures(t, hook.Publish(t.Context(), events), events)["a/1"]
				assert.Equal(t, publisher.OutcomePermanent, f.Outcome)
				assert.NotContains(t, f.Err.Error(), "xxx")
			}
			assert.Equal(t, c.connections, connections.Load())
		})
	}
}

func TestEveryConcurrentRequestKeepsItsConnection(t *testing.T) {
	const concurrency = 8
	var connections atomic.Int32
	arrived, leave := make(chan struct{}), make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-leave
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	hook := hookToURL(t, server.URL, webhook.WithConcurrency(concurrency))
	for range 3 {
		done := make(chan error)
		go func() { done <- hook.Publish(t.Context(), batchOf("a/1 b/1 c/1 d/1 e/1 f/1 g/1 h/1")) }()
		for range concurrency {
			<-arrived
		}
		for range concurrency {
			leave <- struct{}{}
		}
		require.NoError(t, <-done)
	}
	assert.EqualValues(t, concurrency, connections.Load())
}

func TestBasicAuthenticationFromTheURL(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "user" || password != "password" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	hook := hookToURL(t, strings.Replace(server.URL, "http://", "http://user:password@", 1))
	require.NoError(t, hook.Publish(t.Context(), batchOf("a/1")))
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestAnotherTransport(t *testing.T) {
	errWire := errors.New("the wire is cut")
	hook := hookToURL(t, "https://example.com/hook", webhook.WithSource("//shop.example.com/orders"),
		webhook.WithTransport(roundTrip(func(r *http.Request) (*http.Response, error) {
			assert.Equal(t, "//shop.example.com/orders", r.Header.Get("Ce-Source"))
			return nil, errWire
		})))
	events := batchOf("a/1")
	f := failures(t, hook.Publish(t.Context(), events), events)["a/1"]
	assert.Equal(t, publisher.OutcomeUnknown, f.Outcome, "an error of unknown kind is no definite no")
	assert.ErrorIs(t, f.Err, errWire)
}

func TestNewNamesWhatIsWrong(t *testing.T) {
	const valid = "https://example.com/hook"
	for want, c := range map[string]struct {
		url    string
		option webhook.Option
	}{
		"scheme must be http or https":          {url: "hunter2.example.com/hook"},
		"scheme must be http or":                {url: "ftp://hunter2@example.com"},
		"no host":                               {url: "https:///hunter2"},
		"cannot be parsed":                      {url: "https://user:hunter2@exa mple.com"},
		"URL cannot be parsed":                  {url: "https://example.com:hunter2/"},
		"WithTimeout(0s)":                       {valid, webhook.WithTimeout(0)},
		"WithConcurrency(-1)":                   {valid, webhook.WithConcurrency(-1)},
		"WithSource: the source is":             {valid, webhook.WithSource("")},
		`WithSource("a b")`:                     {valid, webhook.WithSource("a b")},
		`WithSource("ä")`:                       {valid, webhook.WithSource("ä")},
		`WithSource("%zz")`:                     {valid, webhook.WithSource("%zz")},
		`"X Y" is no name`:                      {valid, webhook.WithHeader("X Y", "v")},
		`value of "X-Token" has`:                {valid, webhook.WithHeader("X-Token", "hunter2\n")},
		`the header "ce-id" is set`:             {valid, webhook.WithHeader("ce-id", "v")},
		`header "content-type" is`:              {valid, webhook.WithHeader("content-type", "v")},
		`header "Webhook-ID" is`:                {valid, webhook.WithHeader("Webhook-ID", "v")},
		`header "connection" is`:                {valid, webhook.WithHeader("connection", "v")},
		"WithMode(0)":                           {valid, webhook.WithMode(0)},
		"WithExcerpt(257)":                      {valid, webhook.WithExcerpt(257)},
		"WithExcerpt(-1)":                       {valid, webhook.WithExcerpt(-1)},
		"WithClock":                             {valid, webhook.WithClock(nil)},
		"WithVerdict":                           {valid, webhook.WithVerdict(nil)},
		"WithSecrets: there is no":              {valid, webhook.WithSecrets()},
		"WithSecrets: a secret is":              {valid, webhook.WithSecrets(signature.Secret{})},
		"WithBearerToken: the bearer token has": {valid, webhook.WithBearerToken("hunter2 ")},
		"WithBearerToken: the bearer token is":  {valid, webhook.WithBearerToken("")},
		"WithTokenFunc":                         {valid, webhook.WithTokenFunc(nil)},
		"WithTLSConfig: the configuration":      {valid, webhook.WithTLSConfig(nil)},
		"WithTLSConfig: the least version":      {valid, webhook.WithTLSConfig(&tls.Config{MinVersion: tls.VersionTLS13, MaxVersion: tls.VersionTLS12})},
		"WithAddressFilter":                     {valid, webhook.WithAddressFilter(nil)},
		"(WithHTTPSOnly)":                       {"http://example.com/hunter2", webhook.WithHTTPSOnly()},
		"WithDestinationConcurrency(0)":         {valid, webhook.WithDestinationConcurrency(0)},
		"New has one destination":               {valid, webhook.WithDestinationConcurrency(1)},
		"one of: a user in the URL":             {"https://u:hunter2@example.com", webhook.WithBearerToken("hunter2")},
		"bearer token, an Authorization":        {"https://u:hunter2@example.com", webhook.WithHeader("authorization", "hunter2")},
		"an option is nil":                      {url: valid},
		"WithTransport: the":                    {valid, webhook.WithTransport(nil)},
	} {
		var opts []webhook.Option
		if c.option != nil {
			opts = append(opts, c.option)
		}
		if want == "an option is nil" {
			opts = append(opts, nil)
		}
		hook, err := webhook.New(c.url, opts...)
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "hunter2")
		assert.Nil(t, hook)
	}
}

func BenchmarkPublish(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	hook, err := webhook.New(server.URL)
	require.NoError(b, err)
	defer hook.Close()
	var ids strings.Builder
	for i := range 256 {
		fmt.Fprintf(&ids, "id-%d/1 ", i)
	}
	events := batchOf(ids.String())
	b.ReportAllocs()
	for b.Loop() {
		if err := hook.Publish(b.Context(), events); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*len(events))/b.Elapsed().Seconds(), "events/s")
}
