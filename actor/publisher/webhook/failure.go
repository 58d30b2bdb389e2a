package webhook

import (
	"crypto/tls"
	"errors"
	"net"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
)

// maxReason bounds the text of a failed request, in bytes: net/http quotes what the other side has sent.
const maxReason = 200

// noAnswer reads the error of a request that was not answered.
func noAnswer(to *target, err error) error {
	failed := &requestError{to: to.shown, err: err}
	op, isOp := errors.AsType[*net.OpError](err)
	_, isUntrusted := errors.AsType[*tls.CertificateVerificationError](err)
	// Without a connection, or one to the wrong host, nothing was sent.
	if isUntrusted || isOp && (op.Op == "dial" || op.Op == "proxyconnect") {
		return publisher.RetryAfter(failed, 0)
	}
	return publisher.Unknown(failed)
}

// requestError is a failed request, in a text that is bounded and can be printed.
type requestError struct {
	to  string
	err error
}

func (e *requestError) Error() string {
	text := e.err.Error()
	more := ""
	if len(text) > maxReason {
		text, more = text[:maxReason], "…"
	}
	return "POST " + e.to + ": " + printable(text) + more
}

func (e *requestError) Unwrap() error { return e.err }
