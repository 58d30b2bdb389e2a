package signature_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher/webhook/signature"
)

// A receiver verifies before it reads anything else out of the request.
func ExampleVerifier() {
	secret, err := signature.ParseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw") // from the receiver's configuration
	if err != nil {
		fmt.Println(err)
		return
	}
	verifier := &signature.Verifier{Secrets: []signature.Secret{secret}}

	receive := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 2<<20))
		if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
			http.Error(w, "the body is too long", http.StatusRequestEntityTooLarge) // the event is given up for good
			return
		}
		if err != nil {
			http.Error(w, "the body has not come whole", http.StatusServiceUnavailable) // it is sent again
			return
		}
		if err := verifier.Verify(r.Header, body); err != nil {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		// Store the event, unless one with this webhook-id is stored already, and only then:
		w.WriteHeader(http.StatusNoContent)
	}

	const body = `{"specversion":"1.0"}`
	for _, sent := range []string{body, strings.ToUpper(body)} {
		r := httptest.NewRequest(http.MethodPost, "/hook", strings.NewReader(sent))
		if err := signature.Sign(r.Header, "order-1/1", time.Now(), []byte(body), secret); err != nil {
			fmt.Println(err)
			return
		}
		w := httptest.NewRecorder()
		receive(w, r)
		fmt.Println(w.Code)
	}
	// Output:
	// 204
	// 401
}

// A secret is made once, and given to the receiver. It does not show itself by chance.
func ExampleNewSecret() {
	text := signature.NewSecret()
	secret, err := signature.ParseSecret(text)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(strings.HasPrefix(text, "whsec_"), strings.Contains(fmt.Sprint(secret), text))
	// Output: true false
}
