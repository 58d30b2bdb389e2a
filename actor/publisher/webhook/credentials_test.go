package webhook_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher/webhook"
	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher/webhook/signature"
)

func newSecret(t *testing.T) signature.Secret {
	t.Helper()
	s, err := signature.ParseSecret(signature.NewSecret())
	require.NoError(t, err)
	return s
}

func TestASignatureIsOverWhatIsSent(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 999, time.UTC)
	older, newer := newSecret(t), newSecret(t)
	for name, c := range map[string]struct {
		opts       []webhook.Option
		structured bool
	}{
		"by default all of the event": {nil, true},
		"the data alone":              {[]webhook.Option{webhook.WithMode(webhook.Binary)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			e := batchOf("order.1 €/42")[0]
			e.PersistenceID = "order.1 €"
			got, err := publishTo(t, e, append(c.opts, webhook.WithSecrets(newer, older), webhook.WithClock(func() time.Time { return now }))...)
			require.NoError(t, err)
			assert.Equal(t, "1767323045", got.header.Get("Webhook-Timestamp"))
			assert.Equal(t, "order%2E1%20%E2%82%AC/0", got.header.Get("Webhook-Id"), "the full stop separates id and timestamp")
			assert.Equal(t, c.structured, !bytes.Equal(got.body, e.Data))
			for _, secret := range []signature.Secret{older, newer} {
				v := signature.Verifier{Secrets: []signature.Secret{secret}, Now: func() time.Time { return now }}
				require.NoError(t, v.Verify(got.header, got.body))
			}
			v := signature.Verifier{Secrets: []signature.Secret{newSecret(t)}, Now: func() time.Time { return now }}
			require.ErrorIs(t, v.Verify(got.header, got.body), signature.ErrInvalid)
		})
	}
}

func TestEveryAttemptHasItsOwnTimestampAndTheSameID(t *testing.T) {
	now := time.Unix(1000, 0)
	var ids, times []string
	hook := hookTo(t, func(_ http.ResponseWriter, r *http.Request) {
		ids = append(ids, r.Header.Get("Webhook-Id"))
		times = append(times, r.Header.Get("Webhook-Timestamp"))
	}, webhook.WithSecrets(newSecret(t)), webhook.WithClock(func() time.Time { now = now.Add(time.Hour); return now }))
	for range 2 {
		require.NoError(t, hook.Publish(t.Context(), batchOf("a/1")))
	}
	assert.Equal(t, []string{"a/1", "a/1"}, ids)
	assert.Len(t, times, 2)
	assert.NotEqual(t, times[0], times[1])
}

func TestABearerToken(t *testing.T) {
	got, err := publishTo(t, batchOf("a/1")[0], webhook.WithBearerToken("t0ken"))
	require.NoError(t, err)
	assert.Equal(t, []string{"Bearer t0ken"}, got.header["Authorization"])
}

// refresher is a source of tokens that remembers what it was asked.
type refresher struct {
	tokens []string // the next ones
	now    string
	err    error
	asked  []string
}

func (r *refresher) token(_ context.Context, refused string) (string, error) {
	r.asked = append(r.asked, refused)
	if r.err != nil {
		return "", r.err
	}
	if (r.now == "" || r.now == refused) && len(r.tokens) > 0 {
		r.now, r.tokens = r.tokens[0], r.tokens[1:]
	}
	return r.now, nil
}

func TestATokenThatIsRefusedIsAskedForAnewOnce(t *testing.T) {
	for name, c := range map[string]struct {
		tokens   []string
		good     string
		outcome  publisher.Outcome
		requests int
		asked    []string
	}{
		"it is good":             {[]string{"a", "b"}, "a", delivered, 1, []string{""}},
		"the next is":            {[]string{"a", "b"}, "b", delivered, 2, []string{"", "a"}},
		"the next is not":        {[]string{"a", "b", "c"}, "c", publisher.OutcomeRetry, 2, []string{"", "a"}},
		"there is no other":      {[]string{"a"}, "b", publisher.OutcomeRetry, 1, []string{"", "a"}},
		"the next is no token":   {[]string{"a", "b b"}, "b", publisher.OutcomeRetry, 1, []string{"", "a"}},
		"the first is no token":  {[]string{"hunter2\n"}, "b", publisher.OutcomeRetry, 0, []string{""}},
		"the first is no either": {[]string{""}, "b", publisher.OutcomeRetry, 0, []string{""}},
	} {
		t.Run(name, func(t *testing.T) {
			source := &refresher{tokens: c.tokens}
			requests := 0
			hook := hookTo(t, func(w http.ResponseWriter, r *http.Request) {
				if requests++; r.Header.Get("Authorization") != "Bearer "+c.good {
					w.WriteHeader(http.StatusUnauthorized)
				}
			}, webhook.WithTokenFunc(source.token))
			outcome, f := post(t, hook)
			assert.Equal(t, c.outcome, outcome)
			assert.Equal(t, c.requests, requests)
			assert.Equal(t, c.asked, source.asked)
			if outcome != delivered {
				assert.NotContains(t, f.Err.Error(), "hunter2")
			}
		})
	}
}

func TestATokenThatCannotBeHadIsNoFaultOfTheEvents(t *testing.T) {
	errDown := errors.New("the authorization server is down")
	source := &refresher{err: errDown}
	hook := hookTo(t, func(http.ResponseWriter, *http.Request) { t.Error("it was sent without a token") }, webhook.WithTokenFunc(source.token))
	outcome, f := post(t, hook)
	assert.Equal(t, publisher.OutcomeRetry, outcome)
	assert.ErrorIs(t, f.Err, errDown)

	// The same, once the first was refused.
	source = &refresher{now: "a"}
	hook = hookTo(t, func(w http.ResponseWriter, _ *http.Request) {
		source.err = errDown
		w.WriteHeader(http.StatusUnauthorized)
	}, webhook.WithTokenFunc(source.token))
	outcome, f = post(t, hook)
	assert.Equal(t, publisher.OutcomeRetry, outcome)
	assert.ErrorIs(t, f.Err, errDown)
	assert.ErrorContains(t, f.Err, "401 Unauthorized")
}

func TestNoCredentialTravelsAlongARedirect(t *testing.T) {
	for _, code := range []int{301, 302, 303, 307, 308} {
		var elsewhere atomic.Int32
		other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
		hook := hookTo(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", other.URL+"/"+r.Header.Get("Authorization"))
			w.WriteHeader(code)
		}, webhook.WithBearerToken("hunter2"), webhook.WithSecrets(newSecret(t)), webhook.WithExcerpt(webhook.MaxExcerpt))
		outcome, f := post(t, hook)
		assert.Equal(t, publisher.OutcomeRetry, outcome)
		assert.NotContains(t, f.Err.Error(), "hunter2", "what the receiver says of where to go is not repeated")
		assert.Zero(t, elsewhere.Load(), "%d", code)
		other.Close()
	}
}
