package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher/webhook"
	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher/webhook/signature"
)

var _ publisher.Destinations = (*webhook.Webhook)(nil)

// customerOf is the part of an id before a dash: "acme-7" is acme's.
func customerOf(e publisher.Event) string {
	customer, _, _ := strings.Cut(e.PersistenceID, "-")
	return customer
}

// directory is an application's table of customers.
type directory map[string]webhook.Destination

func (d directory) lookup(_ context.Context, name string) (webhook.Destination, error) {
	if to, ok := d[name]; ok {
		return to, nil
	}
	return webhook.Destination{}, fmt.Errorf("there is no customer %q", name)
}

func newRouter(t *testing.T, lookup webhook.LookupFunc, opts ...webhook.Option) *webhook.Webhook {
	t.Helper()
	hook, err := webhook.NewRouter(customerOf, lookup, opts...)
	require.NoError(t, err)
	t.Cleanup(hook.Close)
	return hook
}

// receiver is a customer's server that keeps what it was sent.
type receiver struct {
	mu     sync.Mutex
	header []http.Header
	url    string
}

func newReceiver(t *testing.T, handle http.HandlerFunc) *receiver {
	t.Helper()
	r := &receiver{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.mu.Lock()
		r.header = append(r.header, request.Header)
		r.mu.Unlock()
		if handle != nil {
			handle(w, request)
		}
	}))
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func TestEachCustomerIsSentItsOwn(t *testing.T) {
	acme, globex, initech := newReceiver(t, nil), newReceiver(t, nil), newReceiver(t, nil)
	secret := newSecret(t)
	customers := directory{
		"acme":    {URL: acme.url, Secrets: []signature.Secret{secret}, Header: http.Header{"x-tenant": {"1"}, "X-Both": {"own"}}},
		"globex":  {URL: globex.url, Token: webhook.StaticToken("globex-token")},
		"initech": {URL: strings.Replace(initech.url, "http://", "http://user:password@", 1)},
	}
	hook := newRouter(t, customers.lookup, webhook.WithHeader("X-Both", "common"), webhook.WithHeader("X-All", "yes"))
	events := batchOf("acme-1/1 globex-1/1 initech-1/1")
	require.NoError(t, hook.Publish(t.Context(), events))
	for i, name := range []string{"acme", "globex", "initech"} {
		assert.Equal(t, name, hook.Destination(events[i]))
	}

	for _, r := range []*receiver{acme, globex, initech} {
		require.Len(t, r.header, 1)
		assert.Equal(t, "yes", r.header[0].Get("X-All"))
		assert.Equal(t, "application/cloudevents+json; charset=UTF-8", r.header[0].Get("Content-Type"))
	}
	assert.Equal(t, "own", acme.header[0].Get("X-Both"))
	assert.Equal(t, "1", acme.header[0].Get("X-Tenant"))
	assert.NotEmpty(t, acme.header[0].Get("Webhook-Signature"))
	assert.Empty(t, acme.header[0].Get("Authorization"))
	assert.Equal(t, "common", globex.header[0].Get("X-Both"))
	assert.Equal(t, "Bearer globex-token", globex.header[0].Get("Authorization"))
	for _, name := range []string{"Webhook-Signature", "X-Tenant"} {
		assert.Empty(t, globex.header[0].Get(name))
		assert.Empty(t, initech.header[0].Get(name))
	}
	assert.Equal(t, "Basic dXNlcjpwYXNzd29yZA==", initech.header[0].Get("Authorization"))

	// A change counts from the next request on.
	customers["acme"] = webhook.Destination{URL: globex.url}
	require.NoError(t, hook.Publish(t.Context(), batchOf("acme-1/2")))
	assert.Len(t, acme.header, 1)
	assert.Len(t, globex.header, 2)
}

func TestWhatALookupSays(t *testing.T) {
	errDatabase := errors.New("the database is down")
	receiver := newReceiver(t, nil)
	for name, c := range map[string]struct {
		to   webhook.Destination
		err  error
		opts []webhook.Option
		want publisher.Outcome
		says string
	}{
		"nobody":             {err: fmt.Errorf("acme unsubscribed: %w", webhook.ErrIgnore), want: delivered},
		"not now":            {err: errDatabase, want: publisher.OutcomeRetry, says: `destination "acme": the database is down`},
		"wait":               {err: publisher.RetryAfter(errDatabase, 7), want: publisher.OutcomeRetry, says: "the database is down"},
		"never":              {err: publisher.Permanent(errors.New("no such customer")), want: publisher.OutcomePermanent, says: "no such customer"},
		"no URL":             {want: publisher.OutcomeRetry, says: "must be http or https"},
		"a bad URL":          {to: webhook.Destination{URL: "http://hunter2:hunter2"}, want: publisher.OutcomeRetry, says: "cannot be parsed"},
		"not https":          {to: webhook.Destination{URL: receiver.url}, opts: []webhook.Option{webhook.WithHTTPSOnly()}, want: publisher.OutcomeRetry, says: "must be https"},
		"a private address":  {to: webhook.Destination{URL: receiver.url}, opts: []webhook.Option{webhook.WithAddressFilter(webhook.PublicOnly)}, want: publisher.OutcomeRetry, says: `destination "acme": POST http://127.0.0.1`},
		"no secret":          {to: webhook.Destination{URL: receiver.url, Secrets: []signature.Secret{{}}}, want: publisher.OutcomeRetry, says: "a secret is the zero value"},
		"a bad header":       {to: webhook.Destination{URL: receiver.url, Header: http.Header{"X-Key": {"hunter2\n"}}}, want: publisher.OutcomeRetry, says: `"X-Key"`},
		"a header of ours":   {to: webhook.Destination{URL: receiver.url, Header: http.Header{"webhook-id": {"1"}}}, want: publisher.OutcomeRetry, says: `"webhook-id"`},
		"two authorizations": {to: webhook.Destination{URL: receiver.url, Token: webhook.StaticToken("hunter2"), Header: http.Header{"Authorization": {"hunter2"}}}, want: publisher.OutcomeRetry, says: "one of"},
	} {
		t.Run(name, func(t *testing.T) {
			hook := newRouter(t, func(context.Context, string) (webhook.Destination, error) { return c.to, c.err }, c.opts...)
			events := batchOf("acme-1/1")
			f, failed := failures(t, within(t, hook, events), events)["acme-1/1"]
			if c.want == delivered {
				assert.False(t, failed, "%v", f.Err)
				return
			}
			require.True(t, failed)
			assert.Equal(t, c.want, f.Outcome)
			assert.ErrorContains(t, f.Err, c.says)
			assert.NotContains(t, f.Err.Error(), "hunter2")
		})
	}
	assert.Empty(t, receiver.header)
}

func TestAnEventWithoutAUsableName(t *testing.T) {
	for _, name := range []string{"", strings.Repeat("x", 256), strings.Repeat("x", 257), "\xff"} {
		var asked []string
		hook, err := webhook.NewRouter(func(publisher.Event) string { return name }, func(_ context.Context, name string) (webhook.Destination, error) {
			asked = append(asked, name)
			return webhook.Destination{}, webhook.ErrIgnore
		})
		require.NoError(t, err)
		events := batchOf("a/1")
		f := failures(t, hook.Publish(t.Context(), events), events)
		if len(name) > 256 || name == "\xff" {
			assert.Equal(t, publisher.OutcomePermanent, f["a/1"].Outcome)
			assert.Empty(t, hook.Destination(events[0]))
			assert.Empty(t, asked)
			continue
		}
		assert.Empty(t, f)
		assert.Equal(t, name, hook.Destination(events[0]))
		assert.Equal(t, []string{name}, asked, "it is not decided silently")
	}
}

// An id may change its customer in mid-batch.
func TestAnIDKeepsItsOrderAcrossDestinations(t *testing.T) {
	var mu sync.Mutex
	var order []string
	record := func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		id := r.Header.Get("Ce-Id")
		if order = append(order, id); strings.HasSuffix(id, "/3") {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}
	even, odd := newReceiver(t, record), newReceiver(t, record)
	hook, err := webhook.NewRouter(
		func(e publisher.Event) string { return []string{"even", "odd"}[e.SequenceNumber%2] },
		directory{"even": {URL: even.url}, "odd": {URL: odd.url}}.lookup,
		webhook.WithMode(webhook.Binary))
	require.NoError(t, err)
	t.Cleanup(hook.Close)
	events := batchOf("a/1 a/2 a/3 a/4")
	f := failures(t, hook.Publish(t.Context(), events), events)
	assert.Equal(t, []string{"a/1", "a/2", "a/3"}, order)
	assert.Equal(t, publisher.OutcomeRetry, f["a/3"].Outcome)
	assert.ErrorIs(t, f["a/4"].Err, publisher.ErrNotTried)
}

func TestAVerdictKnowsTheDestination(t *testing.T) {
	receiver := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) })
	var gone []string
	hook := newRouter(t, directory{"acme": {URL: receiver.url}}.lookup, webhook.WithVerdict(func(a webhook.Answer) error {
		if a.Status == http.StatusGone {
			gone = append(gone, a.Destination)
		}
		return a.Err
	}))
	events := batchOf("acme-1/1")
	f := failures(t, hook.Publish(t.Context(), events), events)["acme-1/1"]
	assert.Equal(t, publisher.OutcomeRetry, f.Outcome)
	assert.ErrorContains(t, f.Err, `destination "acme": POST `+receiver.url+": 410 Gone: the receiver is gone for good")
	assert.Equal(t, []string{"acme"}, gone)
}

// A gateway that says so is as good as no answer; what the receiver itself says, however bad, is an answer.
func TestWhatCountsAsNoAnswer(t *testing.T) {
	for status, down := range map[int]bool{502: true, 504: true, 500: false, 503: false, 401: false, 404: false, 422: false} {
		receiver := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		hook := newRouter(t, directory{"acme": {URL: receiver.url}}.lookup)
		for range 5 {
			require.Error(t, hook.Publish(t.Context(), batchOf("acme-1/1")))
		}
		want := 5
		if down {
			want = 3
		}
		assert.Len(t, receiver.header, want, "%d", status)
	}
}

// What the application's functions panic with reaches the publisher actor, and leaves no place taken.
func TestAPanicLeavesNoPlaceTaken(t *testing.T) {
	receiver := newReceiver(t, nil)
	panics := true
	hook := newRouter(t, func(context.Context, string) (webhook.Destination, error) {
		if panics {
			panic("boom")
		}
		return webhook.Destination{URL: receiver.url}, nil
	}, webhook.WithConcurrency(2), webhook.WithDestinationConcurrency(1))
	for range 3 {
		require.Panics(t, func() { _ = hook.Publish(t.Context(), batchOf("acme-1/1")) })
	}
	panics = false
	require.NoError(t, within(t, hook, batchOf("acme-1/1")))
}

func TestNewRouterNamesWhatIsWrong(t *testing.T) {
	for want, opt := range map[string]webhook.Option{
		"WithSecrets: customers must not share":              webhook.WithSecrets(newSecret(t)),
		"WithBearerToken: every destination would be sent":   webhook.WithBearerToken("hunter2"),
		"WithTokenFunc: every destination would be sent":     webhook.WithTokenFunc(webhook.StaticToken("hunter2")),
		`WithHeader("authorization"): every destination`:     webhook.WithHeader("authorization", "hunter2"),
		`WithHeader("Cookie"): every destination would be`:   webhook.WithHeader("Cookie", "hunter2"),
		"WithDestinationConcurrency(8): it must be less":     webhook.WithConcurrency(8),
		"WithDestinationConcurrency(256): it must be less":   webhook.WithDestinationConcurrency(256),
		"WithDestinationConcurrency(0): it must be at least": webhook.WithDestinationConcurrency(0),
	} {
		hook, err := webhook.NewRouter(customerOf, directory{}.lookup, opt)
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "hunter2")
		assert.Nil(t, hook)
	}
	for _, f := range []func() (*webhook.Webhook, error){
		func() (*webhook.Webhook, error) { return webhook.NewRouter(nil, directory{}.lookup) },
		func() (*webhook.Webhook, error) { return webhook.NewRouter(customerOf, nil) },
	} {
		_, err := f()
		assert.ErrorContains(t, err, "needs a function")
	}
}
