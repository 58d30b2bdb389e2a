package signature_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher/webhook/signature"
)

func secretOf(t testing.TB, text string) signature.Secret {
	t.Helper()
	s, err := signature.ParseSecret(text)
	require.NoError(t, err)
	return s
}

// repeated is the text of a secret of n equal bytes.
func repeated(b byte, n int) string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(rune(b)), n)))
}

var sentAt = time.Unix(1614265330, 0)

func verifierAt(at time.Time, secrets ...signature.Secret) *signature.Verifier {
	return &signature.Verifier{Secrets: secrets, Now: func() time.Time { return at }}
}

// The example that the libraries of Standard Webhooks are tested with.
func TestTheKnownExample(t *testing.T) {
	secret := secretOf(t, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	header := http.Header{}
	body := []byte(`{"test": 2432232314}`)
	require.NoError(t, signature.Sign(header, "msg_p5jXN8AQM9LWM0D4loKWxJek", sentAt, body, secret))
	assert.Equal(t, http.Header{
		"Webhook-Id":        {"msg_p5jXN8AQM9LWM0D4loKWxJek"},
		"Webhook-Timestamp": {"1614265330"},
		"Webhook-Signature": {"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
	}, header)
	require.NoError(t, verifierAt(sentAt, secret).Verify(header, body))
}

func TestWhatWasChangedIsNotVerified(t *testing.T) {
	secret, other := secretOf(t, repeated('a', 24)), secretOf(t, repeated('b', 24))
	body := []byte("body")
	set := func(name, value string) func(http.Header) { return func(h http.Header) { h.Set(name, value) } }
	for name, c := range map[string]struct {
		change   func(http.Header)
		body     string
		verifier *signature.Verifier
		want     string // "" if it is verified
	}{
		"nothing":               {},
		"the body":              {body: "Body", want: "no signature fits"},
		"a longer body":         {body: "body ", want: "no signature fits"},
		"the id":                {change: set("webhook-id", "b/1"), want: "no signature fits"},
		"a full stop in the id": {change: set("webhook-id", "a/1.1614265330"), want: "character"},
		"a space in the id":     {change: set("webhook-id", "a 1"), want: "character"},
		"the timestamp":         {change: set("webhook-timestamp", "1614265331"), want: "no signature fits"},
		"no timestamp":          {change: func(h http.Header) { h.Del("webhook-timestamp") }, want: "Webhook-Timestamp"},
		"no id":                 {change: set("webhook-id", ""), want: "Webhook-Id"},
		"no signature":          {change: func(h http.Header) { h.Del("webhook-signature") }, want: "Webhook-Signature"},
		"two ids":               {change: func(h http.Header) { h.Add("webhook-id", "a/1") }, want: "Webhook-Id"},
		"a timestamp in words":  {change: set("webhook-timestamp", "now"), want: "number of seconds"},
		"a negative timestamp":  {change: set("webhook-timestamp", "-1"), want: "number of seconds"},
		"a far future":          {change: set("webhook-timestamp", "9223372036854775807"), want: "away from this clock"},
		"a number too large":    {change: set("webhook-timestamp", "9223372036854775808"), want: "number of seconds"},
		"another version":       {change: func(h http.Header) { h.Set("webhook-signature", "v1a"+h.Get("webhook-signature")[2:]) }, want: "no signature fits"},
		"without version":       {change: func(h http.Header) { h.Set("webhook-signature", h.Get("webhook-signature")[3:]) }, want: "no signature fits"},
		"half of it":            {change: func(h http.Header) { h.Set("webhook-signature", h.Get("webhook-signature")[:20]) }, want: "no signature fits"},
		"an empty one":          {change: set("webhook-signature", "v1,"), want: "no signature fits"},
		"others before it":      {change: func(h http.Header) { h.Set("webhook-signature", "v1a,xyz v1,!! "+h.Get("webhook-signature")) }},
		"hundreds before it": {change: func(h http.Header) {
			h.Set("webhook-signature", strings.Repeat("v1, ", 300)+h.Get("webhook-signature"))
		}, want: "no signature fits"},
		"the secret":             {verifier: verifierAt(sentAt, other), want: "no signature fits"},
		"a second secret":        {verifier: verifierAt(sentAt, other, secret)},
		"no secret at all":       {verifier: verifierAt(sentAt), want: "no signature fits"},
		"a secret that is none":  {verifier: verifierAt(sentAt, signature.Secret{}), want: "zero value"},
		"five minutes later":     {verifier: verifierAt(sentAt.Add(5*time.Minute), secret)},
		"a second more":          {verifier: verifierAt(sentAt.Add(5*time.Minute+time.Second), secret), want: "5m0s away"},
		"five minutes before":    {verifier: verifierAt(sentAt.Add(-5*time.Minute), secret)},
		"a second more before":   {verifier: verifierAt(sentAt.Add(-5*time.Minute-time.Second), secret), want: "5m0s away"},
		"with more tolerance":    {verifier: &signature.Verifier{Secrets: []signature.Secret{secret}, Tolerance: time.Hour, Now: func() time.Time { return sentAt.Add(time.Hour) }}},
		"with the present clock": {verifier: &signature.Verifier{Secrets: []signature.Secret{secret}}, want: "away from this clock"},
	} {
		t.Run(name, func(t *testing.T) {
			header := http.Header{}
			require.NoError(t, signature.Sign(header, "a/1", sentAt, body, secret))
			if c.change != nil {
				c.change(header)
			}
			received, verifier := body, verifierAt(sentAt, secret)
			if c.body != "" {
				received = []byte(c.body)
			}
			if c.verifier != nil {
				verifier = c.verifier
			}
			err := verifier.Verify(header, received)
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, signature.ErrInvalid)
			assert.ErrorContains(t, err, c.want)
		})
	}
}

func TestARotation(t *testing.T) {
	older, newer := secretOf(t, repeated('o', 32)), secretOf(t, repeated('n', 32))
	header := http.Header{}
	require.NoError(t, signature.Sign(header, "a/1", sentAt, []byte("x"), newer, older))
	for _, secrets := range [][]signature.Secret{{older}, {newer}, {older, newer}} {
		assert.NoError(t, verifierAt(sentAt, secrets...).Verify(header, []byte("x")))
	}
}

func TestWhatCannotBeSigned(t *testing.T) {
	secret := secretOf(t, repeated('a', 24))
	for _, id := range []string{"", "a.b", "a b", "a\nb", "ä", "\x7f"} {
		header := http.Header{}
		assert.ErrorContains(t, signature.Sign(header, id, sentAt, nil, secret), "the id", "%q", id)
		assert.Empty(t, header)
	}
	assert.ErrorContains(t, signature.Sign(http.Header{}, "a", sentAt, nil), "no secret")
	assert.ErrorContains(t, signature.Sign(http.Header{}, "a", sentAt, nil, secret, signature.Secret{}), "zero value")
}

func TestSecrets(t *testing.T) {
	for text, want := range map[string]string{
		repeated('a', 24): "", repeated('a', 64): "", strings.TrimPrefix(repeated('a', 24), "whsec_"): "",
		repeated('a', 23): "23 bytes", repeated('a', 65): "65 bytes", "whsec_": "0 bytes", "": "0 bytes",
		"whsec_hunter2hunter2hunter2-_": "base64", "whsk_" + repeated('a', 24): "base64",
	} {
		_, err := signature.ParseSecret(text)
		if want == "" {
			assert.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, want, "%q", text)
		assert.NotContains(t, err.Error(), "hunter2")
	}
	assert.NotEqual(t, signature.NewSecret(), signature.NewSecret())
	assert.False(t, secretOf(t, signature.NewSecret()).IsZero())
}

func TestASecretShowsNothing(t *testing.T) {
	text := repeated('k', 24)
	secret := secretOf(t, text)
	shown := struct{ Secrets []signature.Secret }{[]signature.Secret{secret}}
	encoded, err := json.Marshal(shown)
	require.NoError(t, err)
	// Of an unexported field fmt prints what it is made of, whatever methods it has.
	type config struct{ secret signature.Secret }
	hidden := config{secret}
	for _, s := range []string{fmt.Sprintf("%v %+v %#v", hidden, hidden, hidden), fmt.Sprintf("%+v", &hidden)} {
		assert.NotContains(t, s, "kkk")
		assert.NotContains(t, s, "6b6b6b")
		assert.NotContains(t, s, "0x6b, 0x6b")
		assert.NotContains(t, s, "107 107")
	}
	for _, s := range []string{
		fmt.Sprint(shown), fmt.Sprintf("%+v %#v %q %x %s %d", shown, shown, shown, shown, shown, shown),
		fmt.Sprintf("%x %v", &secret, &secret), string(encoded),
	} {
		assert.Contains(t, s, "whsec_…")
		assert.NotContains(t, s, "kkk")
		assert.NotContains(t, s, strings.TrimPrefix(text, "whsec_"))
		assert.NotContains(t, s, "6b6b6b", "in hexadecimal")
		assert.NotContains(t, s, "107 107", "in decimal")
	}
	assert.Equal(t, "no secret", fmt.Sprint(signature.Secret{}))
}

func FuzzVerify(f *testing.F) {
	secret := secretOf(f, repeated('a', 24))
	f.Add("a/1", "1614265330", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", []byte("x"))
	f.Add("a%2E1/1", "0", "v1, v1a, v2,x", []byte(""))
	f.Add("", "-1", "", []byte("\xff"))
	f.Fuzz(func(t *testing.T, id, timestamp, signatures string, body []byte) {
		verifier := verifierAt(sentAt, secret)
		forged := http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {timestamp}, "Webhook-Signature": {signatures}}
		require.ErrorIs(t, verifier.Verify(forged, body), signature.ErrInvalid, "nobody guesses a signature")

		signed := http.Header{}
		if signature.Sign(signed, id, sentAt, body, secret) != nil {
			return
		}
		require.NoError(t, verifier.Verify(signed, body))
		right := signed.Get(signature.HeaderSignature)
		signed.Set(signature.HeaderSignature, signatures+" "+right)
		if strings.Count(signatures, " ") < 15 {
			require.NoError(t, verifier.Verify(signed, body), "what stands beside a good one does not matter")
		}
		signed.Set(signature.HeaderSignature, right)
		if at, err := strconv.ParseInt(timestamp, 10, 64); err != nil || at != sentAt.Unix() {
			signed.Set(signature.HeaderTimestamp, timestamp)
			require.ErrorIs(t, verifier.Verify(signed, body), signature.ErrInvalid)
		}
	})
}
