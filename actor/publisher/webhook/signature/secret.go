package signature

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// Length of a secret, in bytes before it is encoded.
const (
	minSecret = 24
	maxSecret = 64
	newSecret = 32
)

// prefix tells people, and scanners for leaked secrets, what the text after it is.
const prefix = "whsec_"

// Secret is what sender and receiver of a webhook share. It shows nothing of itself when it is printed or logged. The
// zero value is no secret: nothing is signed with it, or verified.
type Secret struct {
	_ [0]func() // == would compare pointers
	// key is behind a pointer because fmt, which cannot call the methods of an unexported field's value, prints what the
	// value is made of.
	key *[]byte
}

// ParseSecret reads a secret as it is given to people: "whsec_" and the base64 of 24 to 64 random bytes. The prefix
// may be missing. The error does not repeat the text.
func ParseSecret(text string) (Secret, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, prefix))
	switch {
	case err != nil:
		return Secret{}, errors.New("signature: the secret is not whsec_ and base64")
	case len(key) < minSecret || len(key) > maxSecret:
		return Secret{}, fmt.Errorf("signature: the secret has %d bytes, it must have %d to %d", len(key), minSecret, maxSecret)
	}
	return Secret{key: &key}, nil
}

// NewSecret returns 32 random bytes as the text that [ParseSecret] reads: what to store, and to give to a customer.
func NewSecret() string {
	key := make([]byte, newSecret)
	_, _ = rand.Read(key) // never fails
	return prefix + base64.StdEncoding.EncodeToString(key)
}

// IsZero reports whether s is the zero value.
func (s Secret) IsZero() bool { return s.key == nil }

// Format shows a placeholder, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// String is a placeholder.
func (s Secret) String() string {
	if s.IsZero() {
		return "no secret"
	}
	return prefix + "…"
}

// MarshalText is a placeholder too, for what prints by encoding; it cannot be read back.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
