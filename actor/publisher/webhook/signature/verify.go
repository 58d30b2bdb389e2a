package signature

import (
	"crypto/hmac"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// DefaultTolerance is how far a timestamp may be from the receiver's clock.
const DefaultTolerance = 5 * time.Minute

// maxSignatures bounds how many signatures of a request are looked at: more than any rotation makes.
const maxSignatures = 16

// ErrInvalid is wrapped by every error of [Verifier.Verify]: do not act on the request, answer 401.
var ErrInvalid = errors.New("the webhook's signature is not valid")

// Verifier tells a receiver whether a request was sent by somebody who knows the secret. It is safe for concurrent use
// as long as nobody changes it.
type Verifier struct {
	// Secrets are those that the sender may have used: one, or the old and the new one during a rotation.
	Secrets []Secret
	// Tolerance is how far the timestamp may be from Now, before or after; 0 or less is [DefaultTolerance]. A request that
	// somebody has recorded can be sent again for that long, so remember the ids for twice that time if this matters.
	Tolerance time.Duration
	// Now is the receiver's clock; nil is time.Now.
	Now func() time.Time
}

// Verify returns nil if one of the secrets has signed the body and what the request's header says, lately. The body
// is the request's as it came, read whole (and no further than you are willing to) and not yet decoded. The error wraps
// [ErrInvalid] and repeats nothing of the request.
func (v *Verifier) Verify(header http.Header, body []byte) error {
	id, timestamp, signatures := header.Get(HeaderID), header.Get(HeaderTimestamp), header.Get(HeaderSignature)
	for _, name := range []string{HeaderID, HeaderTimestamp, HeaderSignature} {
		if values := header[name]; len(values) != 1 || values[0] == "" {
			return fmt.Errorf("%w: the header %s must be there once", ErrInvalid, name)
		}
	}
	if !validID(id) {
		return fmt.Errorf("%w: the id has a character that it must not have", ErrInvalid)
	}
	if err := v.timely(timestamp); err != nil {
		return err
	}
	for _, s := range v.Secrets {
		if s.IsZero() {
			return fmt.Errorf("%w: a secret of the verifier is the zero value: make it with ParseSecret", ErrInvalid)
		}
		if signedBy(signatures, s.sum(id, timestamp, body)) {
			return nil
		}
	}
	return fmt.Errorf("%w: no signature fits one of the %d secrets", ErrInvalid, len(v.Secrets))
}

// timely reports as an error what is wrong with the timestamp.
func (v *Verifier) timely(timestamp string) error {
	seconds, err := strconv.ParseUint(timestamp, 10, 63)
	if err != nil {
		return fmt.Errorf("%w: the timestamp is not a number of seconds", ErrInvalid)
	}
	now := time.Now
	if v.Now != nil {
		now = v.Now
	}
	tolerance := v.Tolerance
	if tolerance <= 0 {
		tolerance = DefaultTolerance
	}
	// The difference saturates, so that a timestamp of a far future does not come around.
	if age := now().Sub(time.Unix(int64(seconds), 0)); age.Abs() > tolerance {
		return fmt.Errorf("%w: the timestamp is more than %v away from this clock", ErrInvalid, tolerance)
	}
	return nil
}

// signedBy reports whether the wanted sum is among the signatures, which are separated by spaces. Those of another
// version say nothing.
func signedBy(signatures string, want []byte) bool {
	found := false
	n := 0
	for one := range strings.SplitSeq(signatures, " ") {
		if n++; n > maxSignatures {
			break
		}
		encoded, ok := strings.CutPrefix(one, version)
		if !ok {
			continue
		}
		if sum, err := base64.StdEncoding.Strict().DecodeString(encoded); err == nil && hmac.Equal(sum, want) {
			found = true
		}
	}
	return found
}
