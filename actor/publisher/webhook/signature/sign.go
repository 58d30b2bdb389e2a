package signature

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The headers of a signed request, in the form that net/http keeps them in.
const (
	HeaderID        = "Webhook-Id"
	HeaderTimestamp = "Webhook-Timestamp"
	HeaderSignature = "Webhook-Signature"
)

// version is the scheme of the signatures made here: HMAC-SHA256.
const version = "v1,"

// Sign sets the three headers of a request with the body, sent at the time. There is one signature for each secret, in
// their order, so that during a rotation a receiver that knows either of them is content.
//
// The id must be of printable ASCII without a space, and without a full stop: that is what separates it from the
// timestamp in what is signed.
func Sign(header http.Header, id string, at time.Time, body []byte, secrets ...Secret) error {
	if !validID(id) {
		return errors.New("signature: the id is empty, or has a character other than printable ASCII, or a space or full stop")
	}
	if len(secrets) == 0 {
		return errors.New("signature: there is no secret to sign with")
	}
	timestamp := strconv.FormatInt(at.Unix(), 10)
	var signatures strings.Builder
	for i, s := range secrets {
		if s.IsZero() {
			return errors.New("signature: a secret is the zero value: make it with ParseSecret")
		}
		if i > 0 {
			signatures.WriteByte(' ')
		}
		signatures.WriteString(version)
		signatures.WriteString(base64.StdEncoding.EncodeToString(s.sum(id, timestamp, body)))
	}
	header[HeaderID] = []string{id}
	header[HeaderTimestamp] = []string{timestamp}
	header[HeaderSignature] = []string{signatures.String()}
	return nil
}

func (s Secret) sum(id, timestamp string, body []byte) []byte {
	mac := hmac.New(sha256.New, *s.key)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	return mac.Sum(nil)
}

func validID(id string) bool {
	return id != "" && !strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '.' })
}
